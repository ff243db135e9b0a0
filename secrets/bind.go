package secrets

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// member returns one member of the JSON object in doc: text of a string, digits of a number as written,
// JSON of anything else.
func member(doc Value, key string) (Value, error) {
	b := doc.ExposeBytes()
	defer clear(b)
	if len(bytes.TrimSpace(b)) == 0 || bytes.TrimSpace(b)[0] != '{' {
		return Value{}, errors.New("the value is not a JSON object")
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(b, &object) != nil { // its error quotes the input
		return Value{}, errors.New("the value is not valid JSON")
	}
	raw, ok := object[key]
	switch {
	case !ok:
		return Value{}, errors.New("the JSON object has no such member")
	case string(raw) == "null":
		return Value{}, errors.New("the member is null")
	case raw[0] == '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return Value{}, errors.New("the value is not valid JSON")
		}
		return NewValue(s), nil
	}
	return newValue(raw), nil
}

// Bind fills the struct that dst points to from the references in its "secret" tags:
//
//	type Config struct {
//		Password secrets.Value `secret:"vault://kv/app#password"`
//		Port     uint16        `secret:"vault://kv/app#port"`
//		Proxy    *url.URL      `secret:"env://PROXY,optional"`
//		Pool     struct {
//			Size int `secret:"file:///etc/app/pool#size"`
//		}
//	}
//
// A field may be a [Value], string, []byte, bool, any integer or float, [time.Duration] (as "1m30s"),
// anything that unmarshals text or binary text (such as [net/netip.Addr] or [net/url.URL]), a pointer to
// one of these, or a struct, map or slice read from JSON. Structs without a tag are gone through. ",optional"
// leaves a field as it is when nothing is there ([ErrNotFound], [ErrNoKey]), and only then.
//
// Bind reports all failures at once, joined, each naming its field, and then leaves dst as it was. A value
// that does not fit is [ErrType].
func (r *Resolver) Bind(ctx context.Context, dst any) error {
	p := reflect.ValueOf(dst)
	if p.Kind() != reflect.Pointer || p.IsNil() || p.Elem().Kind() != reflect.Struct {
		return &Error{Op: "bind", Kind: ErrInvalid, Err: fmt.Errorf("want a pointer to a struct, got %T", dst)}
	}
	b := binder{r: r, ctx: ctx}
	b.structure(p.Elem(), p.Elem().Type().Name())
	if err := errors.Join(b.errs...); err != nil {
		return err
	}
	for _, set := range b.set {
		set()
	}
	return nil
}

type binder struct {
	r    *Resolver
	ctx  context.Context //nolint:containedctx // lives for one call
	set  []func()
	errs []error
}

func (b *binder) structure(s reflect.Value, name string) {
	for i := range s.NumField() {
		field := s.Type().Field(i)
		tag, tagged := field.Tag.Lookup("secret")
		where := strings.TrimPrefix(name+"."+field.Name, ".")
		switch {
		case !tagged && field.Type.Kind() == reflect.Struct && (field.IsExported() || field.Anonymous):
			b.structure(s.Field(i), where)
		case !tagged:
		case !field.IsExported():
			b.fail(where, ErrInvalid, errors.New("the field is not exported"))
		default:
			b.field(s.Field(i), tag, where)
		}
	}
}

func (b *binder) field(f reflect.Value, tag, where string) {
	ref, optional := strings.CutSuffix(tag, ",optional")
	v, err := b.r.Get(b.ctx, ref)
	switch {
	case err != nil && optional && (errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoKey)):
		return
	case err != nil:
		b.errs = append(b.errs, fmt.Errorf("field %s: %w", where, err))
		return
	}
	filled := reflect.New(f.Type()).Elem()
	if err := convert(filled, v); err != nil {
		b.fail(where+" from "+ref, ErrType, err)
		return
	}
	b.set = append(b.set, func() { f.Set(filled) })
}

func (b *binder) fail(where string, kind, err error) {
	b.errs = append(b.errs, &Error{Op: "bind", Ref: "field " + where, Kind: kind, Err: err})
}

var durationType = reflect.TypeFor[time.Duration]()

// convert sets dst to v. Its errors speak of types only: those of strconv and json quote what they read.
func convert(dst reflect.Value, v Value) error {
	if dst.Kind() == reflect.Pointer {
		dst.Set(reflect.New(dst.Type().Elem()))
		return convert(dst.Elem(), v)
	}
	if x, ok := reflect.TypeAssert[*Value](dst.Addr()); ok {
		*x = v
		return nil
	}
	b := v.ExposeBytes()
	defer clear(b)
	switch u := dst.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return plain(u.UnmarshalText(b), dst.Type())
	case encoding.BinaryUnmarshaler: // url.URL
		return plain(u.UnmarshalBinary(b), dst.Type())
	}
	s := string(b)
	var err error
	switch dst.Kind() {
	case reflect.String:
		dst.SetString(s)
	case reflect.Bool:
		var x bool
		x, err = strconv.ParseBool(s)
		dst.SetBool(x)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var x int64
		if dst.Type() == durationType {
			var d time.Duration
			d, err = time.ParseDuration(s)
			x = int64(d)
		} else {
			x, err = strconv.ParseInt(s, 10, dst.Type().Bits())
		}
		dst.SetInt(x)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var x uint64
		x, err = strconv.ParseUint(s, 10, dst.Type().Bits())
		dst.SetUint(x)
	case reflect.Float32, reflect.Float64:
		var x float64
		x, err = strconv.ParseFloat(s, dst.Type().Bits())
		dst.SetFloat(x)
	case reflect.Slice:
		if dst.Type().Elem().Kind() == reflect.Uint8 {
			dst.SetBytes([]byte(s))
			return nil
		}
		err = json.Unmarshal(b, dst.Addr().Interface())
	case reflect.Struct, reflect.Map:
		err = json.Unmarshal(b, dst.Addr().Interface())
	default:
		return fmt.Errorf("fields of type %s cannot be bound", dst.Type())
	}
	return plain(err, dst.Type())
}

func plain(err error, t reflect.Type) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("out of the range of %s", t)
	}
	return fmt.Errorf("not a valid %s", t)
}
