package secrets_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/secretstest"
)

type nested struct {
	Exported   secrets.Value
	unexported secrets.Value
	Inner      struct {
		deep secrets.Value
		P    *secrets.Value
	}
	list []secrets.Value
	m    map[string]secrets.Value
	any  any
}

func nest(v secrets.Value) nested {
	n := nested{Exported: v, unexported: v, list: []secrets.Value{v}, m: map[string]secrets.Value{"k": v}, any: v}
	n.Inner.deep, n.Inner.P = v, &v
	return n
}

// printed is everything that Go's own printers and encoders make of a value in several nestings.
func printed(v secrets.Value) map[string]string {
	out := map[string]string{}
	n := nest(v)
	shapes := map[string]any{"value": v, "pointer": &v, "struct": n, "struct pointer": &n, "slice": []any{v, n}, "map": map[string]any{"k": v, "n": n}, "error": fmt.Errorf("wrapped: %v %w", v, errors.New("x"))}
	for shape, x := range shapes {
		for verb := range strings.FieldsSeq("%v %+v %#v %s %q %x %X %d %o %b %c %U %e %g %t %p %T %08.3v") {
			out[shape+" "+verb] = fmt.Sprintf(verb, x)
		}
		out[shape+" Sprint"] = fmt.Sprint(x)
		j, _ := json.Marshal(x)
		y, _ := yaml.Marshal(x)
		out[shape+" json"], out[shape+" yaml"] = string(j), string(y)
		if m, err := xml.Marshal(x); err == nil {
			out[shape+" xml"] = string(m)
		}
		var g bytes.Buffer
		_ = gob.NewEncoder(&g).Encode(x)
		out[shape+" gob"] = g.String()
		var js, ts bytes.Buffer
		slog.New(slog.NewJSONHandler(&js, nil)).Info("m", "x", x, slog.Group("g", "x", x))
		slog.New(slog.NewTextHandler(&ts, nil)).Info("m", "x", x, slog.Group("g", "x", x))
		out[shape+" slog json"], out[shape+" slog text"] = js.String(), ts.String()
		out[shape+" testify"] = assert.CallerInfo()[0] + diff(x)
	}
	return out
}

// diff is what a failing assertion prints, which walks values by reflection.
func diff(x any) string {
	var r recorder
	assert.Equal(&r, x, "something else")
	return r.text
}

type recorder struct{ text string }

func (r *recorder) Errorf(format string, args ...any) { r.text += fmt.Sprintf(format, args...) }

func TestValue_doesNotPrint(t *testing.T) {
	sinks := 0
	for _, canary := range secretstest.Canaries() {
		for sink, text := range printed(secrets.NewValue(canary)) {
			sinks++
			assert.Empty(t, secretstest.Leaks(text, canary), "%s shows %q: %s", sink, canary, text)
		}
	}
	t.Logf("%d canaries, %d prints, no leak", len(secretstest.Canaries()), sinks)
	assert.Equal(t, "[redacted]", fmt.Sprint(secrets.NewValue("x")))
	j, err := json.Marshal(secrets.NewValue("x"))
	require.NoError(t, err)
	assert.Equal(t, `"[redacted]"`, string(j))
	require.Error(t, gob.NewEncoder(&bytes.Buffer{}).Encode(secrets.NewValue("x")), "gob must not pretend")
}

func TestValue_canariesAreFoundWhenTheyLeak(t *testing.T) { // the search itself works
	for _, canary := range secretstest.Canaries() {
		assert.NotEmpty(t, secretstest.Leaks(fmt.Sprint(struct{ s string }{canary}), canary))
		assert.NotEmpty(t, secretstest.Leaks(fmt.Sprintf("%x", canary), canary))
		assert.NotEmpty(t, secretstest.Leaks(fmt.Sprintf("%q", canary), canary))
		assert.NotEmpty(t, secretstest.Leaks(fmt.Sprintf("%d", []byte(canary)), canary))
	}
}

func TestValue_Destroy(t *testing.T) {
	v := secrets.NewValue("hunter22")
	w := v
	assert.Equal(t, 8, v.Len())
	assert.True(t, v.Equal(secrets.NewValueBytes([]byte("hunter22"))))
	assert.False(t, v.Equal(secrets.NewValue("hunter23")))
	own := v.ExposeBytes()
	w.Destroy()
	assert.Empty(t, v.Expose())
	assert.Empty(t, v.ExposeBytes())
	assert.True(t, v.Destroyed())
	assert.Equal(t, "hunter22", string(own), "a copy is the caller's")

	var zero secrets.Value
	zero.Destroy()
	assert.Empty(t, zero.Expose())
	assert.Zero(t, zero.Len())
	assert.False(t, zero.Destroyed())
	assert.True(t, zero.Equal(secrets.NewValue("")))
}
