package secrets_test

import (
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/secretstest"
)

const bindDoc = `{"s":"text","n":42,"neg":-1,"f":2.5,"on":true,"d":"1m30s","addr":"10.0.0.1","url":"https://x.example/p","obj":{"A":7},"list":["a","b"],"m":{"k":1},"big":300,"word":"hunter22"}`

type base struct {
	Password string `secret:"mem://a#word"`
}

func TestResolver_Bind_embedded(t *testing.T) {
	r := newResolver(t, secretstest.NewMemory(map[string]string{"a": bindDoc}), nil)
	var c struct{ base }
	require.NoError(t, r.Bind(t.Context(), &c))
	assert.Equal(t, "hunter22", c.Password)
}

func TestResolver_Bind(t *testing.T) {
	r := newResolver(t, secretstest.NewMemory(map[string]string{"a": bindDoc}), nil)
	var c struct {
		V      secrets.Value   `secret:"mem://a#s"`
		S      string          `secret:"mem://a#s"`
		B      []byte          `secret:"mem://a#s"`
		N      int             `secret:"mem://a#n"`
		N8     int8            `secret:"mem://a#n"`
		U      uint16          `secret:"mem://a#n"`
		Neg    int64           `secret:"mem://a#neg"`
		F      float64         `secret:"mem://a#f"`
		On     bool            `secret:"mem://a#on"`
		D      time.Duration   `secret:"mem://a#d"`
		P      *int            `secret:"mem://a#n"`
		Addr   netip.Addr      `secret:"mem://a#addr"`
		URL    *url.URL        `secret:"mem://a#url"`
		Obj    struct{ A int } `secret:"mem://a#obj"`
		List   []string        `secret:"mem://a#list"`
		M      map[string]int  `secret:"mem://a#m"`
		Absent string          `secret:"mem://none,optional"`
		NoKey  string          `secret:"mem://a#none,optional"`
		Inner  struct {
			S string `secret:"mem://a#s"`
		}
		untagged string
	}
	c.Absent, c.NoKey = "kept", "kept"
	require.NoError(t, r.Bind(t.Context(), &c))
	assert.Equal(t, "text", c.V.Expose())
	assert.Equal(t, "text", c.S)
	assert.Equal(t, "text", string(c.B))
	assert.Equal(t, 42, c.N)
	assert.EqualValues(t, 42, c.N8)
	assert.EqualValues(t, 42, c.U)
	assert.EqualValues(t, -1, c.Neg)
	assert.InDelta(t, 2.5, c.F, 0)
	assert.True(t, c.On)
	assert.Equal(t, 90*time.Second, c.D)
	assert.Equal(t, 42, *c.P)
	assert.Equal(t, "10.0.0.1", c.Addr.String())
	assert.Equal(t, "x.example", c.URL.Host)
	assert.Equal(t, 7, c.Obj.A)
	assert.Equal(t, []string{"a", "b"}, c.List)
	assert.Equal(t, map[string]int{"k": 1}, c.M)
	assert.Equal(t, "kept", c.Absent)
	assert.Equal(t, "kept", c.NoKey)
	assert.Equal(t, "text", c.Inner.S)
	assert.Empty(t, c.untagged)
}

func TestResolver_Bind_reportsAllAndSetsNothing(t *testing.T) {
	r := newResolver(t, secretstest.NewMemory(map[string]string{"a": bindDoc}), nil)
	type config struct {
		Good    string        `secret:"mem://a#s"`
		Missing string        `secret:"mem://none#k"`
		NoKey   string        `secret:"mem://a#none"`
		Word    int           `secret:"mem://a#word"`
		Small   int8          `secret:"mem://a#big"`
		Sign    uint          `secret:"mem://a#neg"`
		Dur     time.Duration `secret:"mem://a#word"`
		Flag    bool          `secret:"mem://a#word"`
		Addr    netip.Addr    `secret:"mem://a#word"`
		List    []string      `secret:"mem://a#word"`
		Chan    chan int      `secret:"mem://a#s"`
		Ref     string        `secret:"nonsense"`
		hidden  string        `secret:"mem://a#s"` //nolint:unused // that is the test
		Inner   struct {
			X int `secret:"mem://a#s"`
		}
	}
	var c config
	err := r.Bind(t.Context(), &c)
	for _, field := range []string{"Missing", "NoKey", "Word", "Small", "Sign", "Dur", "Flag", "Addr", "List", "Chan", "Ref", "hidden", "Inner.X"} {
		assert.ErrorContains(t, err, "field config."+field)
	}
	for _, kind := range []error{secrets.ErrNotFound, secrets.ErrNoKey, secrets.ErrType, secrets.ErrBadRef, secrets.ErrInvalid} {
		require.ErrorIs(t, err, kind)
	}
	assert.ErrorContains(t, err, "out of the range of int8")
	assert.Empty(t, secretstest.Leaks(err.Error(), "hunter22"))
	assert.Equal(t, config{}, c, "nothing half done")

	require.ErrorIs(t, r.Bind(t.Context(), c), secrets.ErrInvalid)
	require.ErrorIs(t, r.Bind(t.Context(), (*config)(nil)), secrets.ErrInvalid)
	require.ErrorIs(t, r.Bind(t.Context(), nil), secrets.ErrInvalid)
}
