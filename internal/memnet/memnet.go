// Package memnet is a network in memory: a listener and its dialer, for servers and clients inside a
// testing/synctest bubble, where a real socket would stop the clock.
package memnet

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Listener is a [net.Listener] that [Listener.Dial] connects to.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen returns a new listener.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept and Dial fail from now on. Connections stay.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address that names no place.
func (l *Listener) Addr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "mem" }
func (addr) String() string  { return "127.0.0.1:1" } // loopback, so that plain HTTP to it is fine

// Dial connects to the listener. Its shape is that of [http.Transport].DialContext; network and address are
// ignored.
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Transport returns a transport whose connections all lead to the listener.
func (l *Listener) Transport() *http.Transport { return &http.Transport{DialContext: l.Dial} }
