package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/secrets"
)

// Policy returns the least a Vault policy must grant for a program to read refs through this package: reading
// each path, looking after its own token, and revoking its leases where dynamic secrets are among them. It asks
// Vault for the mounts that [Options.KV] does not name. References of other schemes are left out.
func (c *Client) Policy(ctx context.Context, refs ...string) (string, error) {
	paths, err := c.paths(ctx, refs)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	rule := func(path, capability, why string) {
		fmt.Fprintf(&b, "\n# %s\npath %q {\n  capabilities = [%q]\n}\n", why, path, capability)
	}
	b.WriteString("# The least a program needs that reads the secrets below.\n")
	dynamic := false
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		rule(path, "read", strings.Join(paths[path].refs, ", "))
		dynamic = dynamic || paths[path].dynamic
	}
	rule("auth/token/lookup-self", "read", "is the token alive?")
	rule("auth/token/renew-self", "update", "keep it so")
	rule("auth/token/revoke-self", "update", "and end it")
	if dynamic {
		rule("sys/leases/renew", "update", "keep dynamic secrets alive")
		rule("sys/leases/revoke", "update", "and end them")
	}
	return b.String(), nil
}

// need is why a path must be readable.
type need struct {
	refs    []string
	dynamic bool
}

// paths returns the API paths that reading refs takes.
func (c *Client) paths(ctx context.Context, refs []string) (map[string]need, error) {
	out := map[string]need{}
	var errs []error
	for _, text := range refs {
		ref, err := secrets.ParseRef(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if ref.Scheme != "vault" {
			continue
		}
		bad := func(why string) {
			errs = append(errs, &secrets.Error{Op: "policy", Ref: text, Kind: secrets.ErrBadRef, Err: errors.New(why)})
		}
		if strings.ContainsAny(ref.Path, "*+\"\\${}") {
			bad("a policy cannot name the path exactly")
			continue
		}
		ref = ref.WithoutKey()
		m, _, err := c.mount(ctx, ref)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		path := ref.Path
		if m.engine == "kv" {
			r, err := kvRequest(ref, m)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			path = r.path
		}
		n := out[path]
		n.dynamic = m.engine != "kv"
		if !slices.Contains(n.refs, text) {
			n.refs = append(n.refs, text)
		}
		out[path] = n
	}
	return out, errors.Join(errs...)
}

// Mounts returns the key-value mounts that refs lie on, with their version, as [Options.KV] and package
// secrets/export take them.
func (c *Client) Mounts(ctx context.Context, refs ...string) (map[string]int, error) {
	out := map[string]int{}
	var errs []error
	for _, text := range refs {
		ref, err := secrets.ParseRef(text)
		if err == nil && ref.Scheme == "vault" {
			var m mount
			if m, _, err = c.mount(ctx, ref); err == nil && m.engine == "kv" {
				out[strings.TrimSuffix(m.path, "/")] = m.version
			}
		}
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// Check is one thing [Client.Preflight] looked at.
type Check struct {
	Name   string `json:"name"`            // transport, health, storage, token, access, excess
	About  string `json:"about,omitempty"` // the path, where it is about one
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Preflight looks, before the first secret is read, whether that will work and is wise: https or this machine
// (or AllowInsecureHTTP), unsealed, not in dev mode (in-memory storage; or AllowDevMode), no root token (or
// AllowRootToken), a token that ends, and for each reference the right to read it. It reports all checks, and
// an error that joins those that failed: [secrets.ErrInsecure], [secrets.ErrSealed], [secrets.ErrDenied].
// Rights beyond reading are reported as not OK under the name excess, but are no error.
func (c *Client) Preflight(ctx context.Context, refs ...string) ([]Check, error) {
	p := preflight{c: c}
	p.transport()
	if p.health(ctx) {
		if s, err := c.session(ctx); err != nil {
			p.failed("token", "", err)
		} else {
			p.token(ctx, s)
			p.access(ctx, refs)
		}
	}
	return p.checks, errors.Join(p.errs...)
}

type preflight struct {
	c      *Client
	checks []Check
	errs   []error
}

func (p *preflight) note(name, about string, ok bool, format string, args ...any) {
	p.checks = append(p.checks, Check{name, about, ok, fmt.Sprintf(format, args...)})
}

func (p *preflight) failed(name, about string, err error) {
	p.note(name, about, false, "%v", err)
	p.errs = append(p.errs, err)
}

func (p *preflight) refuse(name, about string, kind error, format string, args ...any) {
	p.failed(name, about, &secrets.Error{Op: "preflight", Ref: about, Kind: kind, Err: fmt.Errorf(format, args...)})
}

func (p *preflight) transport() {
	address := p.c.api.Address()
	if strings.HasPrefix(address, "https://") {
		p.note("transport", "", true, "https")
		return
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(address, "http://"), "/")
	switch {
	case httpx.IsLoopback(host):
		p.note("transport", "", true, "plain HTTP, to this machine")
	case p.c.o.AllowInsecureHTTP:
		p.note("transport", "", true, "plain HTTP, which AllowInsecureHTTP permits")
	default:
		p.refuse("transport", "", secrets.ErrInsecure, "plain HTTP to %s", host)
	}
}

// health reports whether it makes sense to go on.
func (p *preflight) health(ctx context.Context) bool {
	reply, err := p.c.send(ctx, request{op: "preflight", ref: "sys/seal-status", method: http.MethodGet, path: "sys/seal-status", root: true})
	switch {
	case err != nil:
		p.failed("health", "", err)
		return false
	case reply == nil || reply.Data["initialized"] != true:
		p.refuse("health", "", secrets.ErrUnavailable, "not initialized")
		return false
	case reply.Data["sealed"] == true:
		p.refuse("health", "", secrets.ErrSealed, "unseal it first")
		return false
	}
	p.note("health", "", true, "Vault %v, unsealed", reply.Data["version"])
	storage, _ := reply.Data["storage_type"].(string)
	switch {
	case storage != "inmem":
		p.note("storage", "", true, "%s", storage)
	case p.c.o.AllowDevMode:
		p.note("storage", "", true, "in memory, which AllowDevMode permits")
	default:
		p.refuse("storage", "", secrets.ErrInsecure, "in memory: this is dev mode, and all is gone at the next restart")
	}
	return true
}

func (p *preflight) token(ctx context.Context, s *session) {
	info, err := p.c.lookUp(ctx, s.token)
	if err != nil {
		p.failed("token", "", err)
		return
	}
	root := slices.Contains(info.Policies, "root")
	switch {
	case root && !p.c.o.AllowRootToken:
		p.refuse("token", "", secrets.ErrInsecure, "it is a root token; log in with a role, or set AllowRootToken")
	case root:
		p.note("token", "", true, "a root token, which AllowRootToken permits")
	case info.TTL == 0:
		p.refuse("token", "", secrets.ErrInsecure, "it never ends")
	default:
		p.note("token", "", true, "policies %s, ends in %s", strings.Join(info.Policies, ", "), info.TTL.Round(time.Second))
	}
}

func (p *preflight) access(ctx context.Context, refs []string) {
	paths, err := p.c.paths(ctx, refs)
	if err != nil {
		p.failed("access", "", err)
	}
	if len(paths) == 0 {
		return
	}
	sorted := slices.Sorted(maps.Keys(paths))
	list := make([]any, len(sorted))
	for i, path := range sorted {
		list[i] = path
	}
	reply, err := p.c.call(ctx, request{
		op: "preflight", ref: "sys/capabilities-self", method: http.MethodPost, path: "sys/capabilities-self", body: map[string]any{"paths": list},
	})
	if errors.Is(err, secrets.ErrDenied) {
		p.note("access", "", false, "the token may not ask for its rights (sys/capabilities-self)")
		return
	}
	if err != nil || reply == nil {
		p.failed("access", "", err)
		return
	}
	for _, path := range sorted {
		p.capabilities(path, reply)
	}
}

func (p *preflight) capabilities(path string, reply *api.Secret) {
	var have []string
	if l, ok := reply.Data[path].([]any); ok {
		for _, x := range l {
			have = append(have, fmt.Sprint(x))
		}
	}
	root := slices.Contains(have, "root")
	if !root && !slices.Contains(have, "read") {
		p.refuse("access", path, secrets.ErrDenied, "no right to read it, only %s", strings.Join(have, ", "))
		return
	}
	p.note("access", path, true, "may be read")
	if more := slices.DeleteFunc(have, func(c string) bool { return c == "read" || c == "root" }); len(more) > 0 {
		p.note("excess", path, false, "the token also has %s, which reading does not take", strings.Join(more, ", "))
	}
}
