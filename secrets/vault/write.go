package vault

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"github.com/waybill-dev/waybill/internal/retry"
	"github.com/waybill-dev/waybill/secrets"
)

// PutOptions configures [Client.Put].
type PutOptions struct {
	// Version is the one that must be current for the write to happen; 0 means that there must be none yet.
	Version int
	// Overwrite writes whatever is there. KV version 1 has nothing else.
	Overwrite bool
}

// Put writes a secret as a new version, and returns its number (0 on KV version 1). path is as in a reference,
// "secret/app". When the current version is not the one expected, nothing is written and the error is of kind
// [secrets.ErrConflict]. A [secrets.Value] in data, also in its maps, slices and pointers, is written as what it
// holds; one in a struct is refused.
func (c *Client) Put(ctx context.Context, path string, data map[string]any, o *PutOptions) (int, error) {
	if o == nil {
		o = &PutOptions{}
	}
	ref, m, err := c.writable(ctx, path)
	if err != nil {
		return 0, err
	}
	plain, err := exposed(data)
	if err != nil {
		return 0, &secrets.Error{Op: "put", Ref: ref.String(), Kind: secrets.ErrInvalid, Err: err}
	}
	return c.put(ctx, ref, m, plain, *o)
}

// Update reads a secret, lets change make the new one of it, and writes that by check-and-set, from the start
// when somebody else was faster, five times at most. change gets nil where nothing is, numbers as json.Number,
// and may be called again; it returns the whole new secret, or an error to leave things as they are. When it
// returns what is there already, nothing is written. Update returns the version that is now current.
func (c *Client) Update(ctx context.Context, path string, change func(old map[string]any) (map[string]any, error)) (int, error) {
	ref, m, err := c.writable(ctx, path)
	if err != nil {
		return 0, err
	}
	if m.version == 1 {
		return 0, &secrets.Error{Op: "update", Ref: path, Kind: secrets.ErrWrongEngine, Err: errors.New("KV version 1 has no check-and-set; use Put with Overwrite")}
	}
	var version int
	err = retry.Do(ctx, retry.Policy{Attempts: 5}, func(ctx context.Context, _ int) error {
		version, err = c.updateOnce(ctx, ref, m, change)
		if errors.Is(err, secrets.ErrConflict) {
			return retry.Again(err)
		}
		return err
	})
	return version, err
}

func (c *Client) updateOnce(ctx context.Context, ref secrets.Ref, m mount, change func(map[string]any) (map[string]any, error)) (int, error) {
	var old map[string]any
	v, meta, err := c.readKV(ctx, ref, m)
	current := meta.Version
	switch {
	case errors.Is(err, secrets.ErrNotFound):
	case errors.Is(err, secrets.ErrDeleted), errors.Is(err, secrets.ErrDestroyed):
		// To write over a version that can be brought back is for the caller to decide.
		return 0, err
	case err != nil:
		return 0, err
	default:
		dec := json.NewDecoder(bytes.NewReader(v.ExposeBytes()))
		dec.UseNumber()
		if dec.Decode(&old) != nil {
			return 0, &secrets.Error{Op: "update", Ref: ref.String(), Kind: secrets.ErrMalformed, Err: errNotJSON}
		}
	}
	changed, err := change(old)
	if err != nil {
		return 0, &secrets.Error{Op: "update", Ref: ref.String(), Kind: secrets.ErrInvalid, Err: fmt.Errorf("the change was not made: %w", err)}
	}
	plain, err := exposed(changed)
	if err != nil {
		return 0, &secrets.Error{Op: "update", Ref: ref.String(), Kind: secrets.ErrInvalid, Err: err}
	}
	after, err := encode(plain)
	if err != nil {
		return 0, &secrets.Error{Op: "update", Ref: ref.String(), Kind: secrets.ErrInvalid, Err: errors.New("the data cannot be written as JSON")}
	}
	if current > 0 && v.Equal(secrets.NewValueBytes(after)) {
		return current, nil
	}
	return c.put(ctx, ref, m, plain, PutOptions{Version: current})
}

func (c *Client) put(ctx context.Context, ref secrets.Ref, m mount, data map[string]any, o PutOptions) (int, error) {
	r := request{op: "put", ref: ref.String(), method: http.MethodPut, path: ref.Path, effect: true, body: data}
	if len(data) == 0 {
		return 0, &secrets.Error{Op: r.op, Ref: r.ref, Kind: secrets.ErrInvalid, Err: errors.New("there is no data to write")}
	}
	if m.version == 1 {
		if !o.Overwrite {
			return 0, &secrets.Error{Op: r.op, Ref: r.ref, Kind: secrets.ErrWrongEngine, Err: errors.New("KV version 1 has no check-and-set; set PutOptions.Overwrite")}
		}
		_, err := c.call(ctx, r)
		return 0, err
	}
	r.path = m.path + "data/" + secretPath(ref.Path, m)
	body := map[string]any{"data": r.body}
	if !o.Overwrite {
		body["options"] = map[string]any{"cas": o.Version}
	}
	r.body = body
	reply, err := c.call(ctx, r)
	if err != nil {
		return 0, err
	}
	if reply != nil {
		if n, ok := reply.Data["version"].(json.Number); ok {
			v, err := n.Int64()
			return int(v), err
		}
	}
	return 0, &secrets.Error{Op: r.op, Ref: r.ref, Kind: secrets.ErrMalformed, Err: errors.New("the reply names no version")}
}

func (c *Client) writable(ctx context.Context, path string) (secrets.Ref, mount, error) {
	ref, err := secrets.ParseRef("vault://" + path)
	if err == nil && (ref.Key != "" || ref.Version != 0) {
		err = &secrets.Error{Op: "put", Ref: path, Kind: secrets.ErrBadRef, Err: errors.New("want a path without version and key")}
	}
	if err != nil {
		return ref, mount{}, err
	}
	m, _, err := c.mount(ctx, ref)
	if err == nil && m.engine != "kv" {
		err = &secrets.Error{Op: "put", Ref: path, Kind: secrets.ErrWrongEngine, Err: fmt.Errorf("%s is a %s engine", m.path, m.engine)}
	}
	return ref, m, err
}

// exposed returns data with what its Values hold, as they themselves encode as [redacted]: those in maps, slices and
// behind pointers. One elsewhere, as in a struct, is refused.
func exposed(data map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(data))
	for k, v := range data {
		var err error
		if out[k], err = reveal(reflect.ValueOf(v), 0); err != nil {
			return nil, err
		}
	}
	return out, nil
}

var (
	valueType = reflect.TypeFor[secrets.Value]()
	jsonType  = reflect.TypeFor[json.Marshaler]()
	textType  = reflect.TypeFor[encoding.TextMarshaler]()
)

const maxDepth = 100 // what lies deeper holds itself

func reveal(v reflect.Value, depth int) (any, error) {
	switch {
	case !v.IsValid():
		return nil, nil //nolint:nilnil // as in JSON
	case depth > maxDepth:
		return nil, errors.New("the data is nested too deeply")
	case v.Type() == valueType:
		x, _ := reflect.TypeAssert[secrets.Value](v)
		return x.Expose(), nil
	case v.Type() == reflect.PointerTo(valueType):
		return reveal(v.Elem(), depth+1)
	case v.Type().Implements(jsonType), v.Type().Implements(textType), v.Kind() == reflect.Struct:
		return opaque(v.Interface())
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return reveal(v.Elem(), depth+1)
	case reflect.Map:
		if v.IsNil() {
			return v.Interface(), nil
		}
		out := reflect.MakeMapWithSize(reflect.MapOf(v.Type().Key(), reflect.TypeFor[any]()), v.Len())
		for it := v.MapRange(); it.Next(); {
			x, err := reveal(it.Value(), depth+1)
			if err != nil {
				return nil, err
			}
			item := reflect.New(reflect.TypeFor[any]()).Elem()
			if x != nil {
				item.Set(reflect.ValueOf(x))
			}
			out.SetMapIndex(it.Key(), item)
		}
		return out.Interface(), nil
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && (v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8) {
			return v.Interface(), nil // bytes are base64 in JSON
		}
		out := make([]any, v.Len())
		for i := range out {
			var err error
			if out[i], err = reveal(v.Index(i), depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v.Interface(), nil
}

// opaque returns x, which encodes itself or is a struct, if no Value shows in it.
func opaque(x any) (any, error) {
	b, err := json.Marshal(x)
	if err != nil {
		return nil, errors.New("the data cannot be written as JSON")
	}
	if bytes.Contains(b, []byte(secrets.Redacted)) {
		return nil, fmt.Errorf("a %T would be written as %s; use a map", x, secrets.Redacted)
	}
	return x, nil
}
