package post

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/waybill-dev/waybill/notify"
)

// internal lists what is neither private, loopback nor link-local by its type, and yet no place for a message
// to go to: the special-purpose registries of IANA (RFC 6890).
var internal = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "fec0::/10",
)

// An IPv4 address inside an IPv6 one is judged by itself: where the prefix is, and at which byte it begins.
var embedded = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// isPublic reports whether a is an address of the public internet.
func isPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() { // loopback, link-local, multicast, unspecified are not global
		return false
	}
	for _, p := range internal {
		if p.Contains(a) {
			return false
		}
	}
	for _, e := range embedded {
		if b := a.As16(); a.Is6() && e.prefix.Contains(a) {
			return isPublic(netip.AddrFrom4([4]byte(b[e.at : e.at+4])))
		}
	}
	return true
}

// blocked is the error for an address that is not public.
type blocked struct{ addr netip.Addr }

func (b *blocked) Error() string {
	return fmt.Sprintf("%s is not an address of the public internet; allow private addresses if it is meant", b.addr)
}
func (b *blocked) Unwrap() error { return notify.ErrPrivateAddress }

// check looks at the address of a connection, not at a name: whatever a name resolves to at this moment, and
// however an address is spelled, this is where the bytes would go.
func check(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address of the connection: %w", err)
	}
	if !isPublic(ap.Addr()) {
		return &blocked{ap.Addr().Unmap().WithZone("")}
	}
	return nil
}

// guard makes t refuse to connect to addresses that are not public. A proxy that t is configured with is
// trusted; behind one, names are resolved by it, so only literal addresses can be checked.
func guard(t *http.Transport) http.RoundTripper {
	t = t.Clone()
	t.DisableKeepAlives = true // nobody could close the idle connections of a copy
	g := &guarded{t: t, proxy: t.Proxy}
	if t.Proxy != nil {
		t.Proxy = func(r *http.Request) (*url.URL, error) { return viaProxy(r.Context()), nil }
	}
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if viaProxy(ctx) != nil {
			if dial != nil {
				return dial(ctx, network, addr)
			}
			return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, addr)
		}
		if dial == nil {
			d := &net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error { return check(address) }}
			return d.DialContext(ctx, network, addr)
		}
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if err := check(conn.RemoteAddr().String()); err != nil { // connected, and nothing sent
			_ = conn.Close()
			return nil, err
		}
		return conn, nil
	}
	return g
}

type guarded struct {
	t     *http.Transport
	proxy func(*http.Request) (*url.URL, error)
}

type proxyKey struct{}

func viaProxy(ctx context.Context) *url.URL {
	u, _ := ctx.Value(proxyKey{}).(*url.URL)
	return u
}

// RoundTrip is called for the first request and for each redirect.
func (g *guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if g.proxy != nil {
		u, err := g.proxy(r)
		if err != nil {
			return nil, err
		}
		if u != nil {
			if a, err := netip.ParseAddr(r.URL.Hostname()); err == nil && !isPublic(a) {
				return nil, &blocked{a}
			}
			r = r.WithContext(context.WithValue(r.Context(), proxyKey{}, u))
		}
	}
	return g.t.RoundTrip(r)
}
