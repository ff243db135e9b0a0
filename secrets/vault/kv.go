package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/waybill-dev/waybill/secrets"
)

// mount is where a secrets engine sits.
type mount struct {
	path    string // with a slash at the end
	engine  string // "kv", "database", …
	version int    // of kv: 1 or 2
	given   bool   // by Options.KV
}

// Get reads what lies at the reference's path, as a JSON object; see the package comment. It makes a Client a
// [secrets.Store]; the resolver picks the key.
func (c *Client) Get(ctx context.Context, ref secrets.Ref) (secrets.Value, secrets.Meta, error) {
	ref = ref.WithoutKey()
	fail := func(kind, err error) (secrets.Value, secrets.Meta, error) {
		return secrets.Value{}, secrets.Meta{}, &secrets.Error{Op: "get", Ref: ref.String(), Kind: kind, Err: err}
	}
	if strings.HasPrefix(ref.Path, "sys/") || strings.HasPrefix(ref.Path, "auth/") {
		return fail(secrets.ErrBadRef, errors.New("sys/ and auth/ hold no secrets"))
	}
	m, cached, err := c.mount(ctx, ref)
	if err != nil {
		return secrets.Value{}, secrets.Meta{}, err
	}
	if m.engine != "kv" {
		if ref.Version != 0 {
			return fail(secrets.ErrBadRef, fmt.Errorf("%s is a %s engine, which has no versions", m.path, m.engine))
		}
		return c.dynamic(ctx, ref, ref.Path)
	}
	v, meta, err := c.readKV(ctx, ref, m)
	if cached && !m.given && (errors.Is(err, secrets.ErrNotFound) || errors.Is(err, secrets.ErrWrongEngine)) {
		// Perhaps the mount is not what it was.
		c.unmount(m)
		again, _, probeErr := c.mount(ctx, ref)
		if probeErr == nil && again != m && again.engine == "kv" {
			return c.readKV(ctx, ref, again)
		}
	}
	return v, meta, err
}

func (c *Client) readKV(ctx context.Context, ref secrets.Ref, m mount) (secrets.Value, secrets.Meta, error) {
	r, err := kvRequest(ref, m)
	if err != nil {
		return secrets.Value{}, secrets.Meta{}, err
	}
	reply, err := c.call(ctx, r)
	if err != nil {
		return secrets.Value{}, secrets.Meta{}, err
	}
	meta := secrets.Meta{Path: r.path}
	if m.version == 2 {
		if reply, meta, err = unpack(reply, meta, ref); err != nil {
			return secrets.Value{}, secrets.Meta{}, err
		}
	}
	v, err := document(reply, ref)
	return v, meta, err
}

// kvRequest is the reading of ref on m.
func kvRequest(ref secrets.Ref, m mount) (request, error) {
	r := request{op: "get", ref: ref.String(), method: http.MethodGet, path: ref.Path}
	if m.version == 2 {
		r.path = m.path + "data/" + secretPath(ref.Path, m)
		if ref.Version != 0 {
			r.query = url.Values{"version": {strconv.Itoa(ref.Version)}}
		}
	} else if ref.Version != 0 {
		return r, &secrets.Error{Op: r.op, Ref: r.ref, Kind: secrets.ErrWrongEngine, Err: fmt.Errorf("%s is version 1 of the key-value engine, which keeps no versions", m.path)}
	}
	if secretPath(ref.Path, m) == "" {
		return r, &secrets.Error{Op: r.op, Ref: r.ref, Kind: secrets.ErrBadRef, Err: errors.New("names a mount, not a secret in it")}
	}
	return r, nil
}

// secretPath is what lies behind the mount, without the data/ of the API spelling.
func secretPath(path string, m mount) string {
	behind := strings.TrimPrefix(path+"/", m.path)
	if m.version == 2 {
		behind = strings.TrimPrefix(behind, "data/")
	}
	return strings.TrimSuffix(behind, "/")
}

// unpack takes the secret and its metadata out of a version 2 reply.
func unpack(reply *api.Secret, meta secrets.Meta, ref secrets.Ref) (*api.Secret, secrets.Meta, error) {
	fail := func(kind error, text string) (*api.Secret, secrets.Meta, error) {
		return nil, meta, &secrets.Error{Op: "get", Ref: ref.String(), Kind: kind, Err: errors.New(text)}
	}
	if reply == nil {
		return fail(secrets.ErrMalformed, "the reply is empty")
	}
	if m, ok := reply.Data["metadata"].(map[string]any); ok {
		if n, ok := m["version"].(json.Number); ok {
			v, _ := n.Int64()
			meta.Version = int(v)
		}
		if text, ok := m["created_time"].(string); ok {
			meta.Created, _ = time.Parse(time.RFC3339Nano, text)
		}
	} else {
		return fail(secrets.ErrMalformed, "the reply holds no metadata; is the mount really version 2?")
	}
	data, ok := reply.Data["data"].(map[string]any)
	if !ok {
		if kind := missing(reply); !errors.Is(kind, secrets.ErrNotFound) {
			return fail(kind, "the reply holds no data")
		}
		return fail(secrets.ErrMalformed, "the reply holds no data")
	}
	return &api.Secret{Data: data}, meta, nil
}

// document is a secret as a JSON object: members sorted, numbers as Vault wrote them.
func document(reply *api.Secret, ref secrets.Ref) (secrets.Value, error) {
	if reply == nil || reply.Data == nil {
		return secrets.Value{}, &secrets.Error{Op: "get", Ref: ref.String(), Kind: secrets.ErrMalformed, Err: errors.New("the reply holds no data")}
	}
	b, err := encode(reply.Data)
	if err != nil {
		return secrets.Value{}, &secrets.Error{Op: "get", Ref: ref.String(), Kind: secrets.ErrMalformed, Err: errNotJSON}
	}
	defer clear(b)
	return secrets.NewValueBytes(b), nil
}

// encode writes JSON as it is: no escapes for HTML.
func encode(data map[string]any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(data)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// mount returns the engine that ref lies on, and whether that was known already.
func (c *Client) mount(ctx context.Context, ref secrets.Ref) (m mount, cached bool, err error) {
	first, _, _ := strings.Cut(ref.Path, "/")
	for {
		if m, ok := c.mounted(ref.Path); ok {
			return m, true, nil
		}
		var asked bool
		// One at a time below a first element: most paths share their mount.
		m, err := c.probes.Do(ctx, first, func(ctx context.Context) (mount, error) {
			asked = true
			return c.probe(ctx, ref)
		})
		if asked || err != nil && (ctx.Err() != nil || shared(err)) {
			return m, false, forProbe(err, ref)
		}
	}
}

func forProbe(err error, ref secrets.Ref) error {
	if err == nil {
		return nil
	}
	if e, ours := errors.AsType[*secrets.Error](err); ours {
		own := *e // it may be shared
		own.Ref = ref.String()
		return &own
	}
	return &secrets.Error{Op: "get", Ref: ref.String(), Err: err}
}

// shared reports whether somebody else's failed probe tells that ours would fail too: Vault is out of reach, and not
// only for the time that they had.
func shared(err error) bool {
	e, ours := errors.AsType[*secrets.Error](err)
	_, ended := errors.AsType[*endedError](err)
	return ours && e.Retryable() && !ended
}

func (c *Client) mounted(path string) (mount, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range path + "/" {
		if r == '/' { // mounts do not lie below one another, so the first is the one
			if m, ok := c.mounts[(path + "/")[:i+1]]; ok {
				return m, true
			}
		}
	}
	return mount{}, false
}

func (c *Client) unmount(m mount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.mounts, m.path)
}

// probe asks Vault. The path is open to any token that may do something below the mount.
func (c *Client) probe(ctx context.Context, ref secrets.Ref) (mount, error) {
	if m, ok := c.mounted(ref.Path); ok {
		return m, nil
	}
	reply, err := c.call(ctx, request{op: "get", ref: ref.String(), method: http.MethodGet, path: "sys/internal/ui/mounts/" + ref.Path})
	if err != nil {
		return mount{}, err
	}
	bad := &secrets.Error{Op: "get", Ref: ref.String(), Kind: secrets.ErrMalformed, Err: errors.New("the reply does not say what is mounted there")}
	if reply == nil {
		return mount{}, bad
	}
	path, _ := reply.Data["path"].(string)
	engine, _ := reply.Data["type"].(string)
	if path == "" || engine == "" || !strings.HasPrefix(ref.Path+"/", path) {
		return mount{}, bad
	}
	m := mount{path: path, engine: engine}
	if engine == "kv" || engine == "generic" {
		m.engine, m.version = "kv", 1
		if options, ok := reply.Data["options"].(map[string]any); ok && options["version"] == "2" {
			m.version = 2
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mounts[path] = m
	return m, nil
}
