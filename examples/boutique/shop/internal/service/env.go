package service

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Env is what a service is told from outside. What makes no sense is reported when all of it was read.
type Env struct {
	Log *slog.Logger

	// Work, when a setup sets it, runs beside the server, which listens on addr; the service ends with it.
	Work func(ctx context.Context, addr string) error

	getenv    func(string) string
	transport *http.Transport
	errs      []error
}

// NewEnv returns an environment of what getenv knows.
func NewEnv(getenv func(string) string, log *slog.Logger) *Env {
	return &Env{getenv: getenv, Log: log, transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		MaxIdleConnsPerHost:   16,
		MaxConnsPerHost:       64,
		IdleConnTimeout:       30 * time.Second, // before the server gives up, or a request meets a closed connection
		ResponseHeaderTimeout: callTimeout,
	}}
}

// Fail keeps the service from starting.
func (e *Env) Fail(err error) { e.errs = append(e.errs, err) }

// Get returns a variable, or the fallback when it is empty or not set.
func (e *Env) Get(key, fallback string) string {
	if v := e.getenv(key); v != "" {
		return v
	}
	return fallback
}

// Int returns a variable that is a number from 0 to limit.
func (e *Env) Int(key string, fallback, limit int) int {
	v := e.Get(key, strconv.Itoa(fallback))
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > limit {
		e.Fail(fmt.Errorf("%s=%q is not a number from 0 to %d", key, v, limit))
	}
	return n
}

// Bool returns a variable that says yes or no; not set is no.
func (e *Env) Bool(key string) bool {
	v := e.Get(key, "false")
	b, err := strconv.ParseBool(v)
	if err != nil {
		e.Fail(fmt.Errorf("%s=%q is neither true nor false", key, v))
	}
	return b
}

// Addr returns the URL of a peer: NAME_ADDR holds host:port, and without it the peer is at name:8080.
func (e *Env) Addr(name string) string {
	key := strings.ToUpper(name) + "_ADDR"
	addr := e.Get(key, name+":8080")
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		e.Fail(fmt.Errorf("%s is not host:port", key))
	}
	return strings.TrimRight(addr, "/")
}

// Peer returns a client of another service.
func (e *Env) Peer(name string) *Client {
	return NewClient(name, e.Addr(name), e.transport)
}
