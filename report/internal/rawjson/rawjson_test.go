package rawjson_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
)

// FuzzWalk holds the walker to what encoding/json says of the same text.
func FuzzWalk(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `{"a":1}`, ` { "a" : [ 1 , {"b":"\\\"}"} , null ] , "c\u0041" : "x\ny" } `, `[1,-2.5e3,"",true,false,null]`,
		`"\ud83d\ude00 \ud83d"`, `{"a":{"a":[[],[{}]]},"":0}`, `12`, `"a\\"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if !json.Valid(in) {
			return
		}
		in = bytes.TrimSpace(in)
		walk(t, in)
		assert.Equal(t, len(in), rawjson.Skip(append(in[:len(in):len(in)], ", {}"...)))
		if in[0] == '{' || in[0] == '[' || in[0] == '"' {
			for i := range in {
				assert.Equal(t, -1, rawjson.Skip(in[:i]), "%q", in[:i])
			}
		}
		var want, got bytes.Buffer
		require.NoError(t, json.Compact(&want, in))
		got.Write(rawjson.Compact(nil, in))
		assert.Equal(t, want.String(), got.String())
	})
}

func walk(t *testing.T, v []byte) {
	t.Helper()
	switch v[0] {
	case '{':
		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(v, &want))
		got := map[string]json.RawMessage{}
		for name, value := range rawjson.Members(v) {
			if bytes.Contains(name, []byte{0xff}) || !validUTF8(name) {
				return // encoding/json replaces what the decoder in front of this package refuses
			}
			got[rawjson.Name(name)] = value
			walk(t, value)
		}
		assert.Equal(t, want, got)
	case '[':
		var want []json.RawMessage
		require.NoError(t, json.Unmarshal(v, &want))
		n := 0
		for e := range rawjson.Elements(v) {
			assert.Equal(t, string(want[n]), string(e))
			walk(t, e)
			n++
		}
		assert.Len(t, want, n)
	case '"':
		if !validUTF8(v) {
			return
		}
		var want, back string
		require.NoError(t, json.Unmarshal(v, &want))
		got, ok := rawjson.String(v)
		assert.True(t, ok)
		assert.Equal(t, want, got)
		require.NoError(t, json.Unmarshal(rawjson.AppendString(nil, got), &back))
		assert.Equal(t, want, back)
	}
}

func validUTF8(b []byte) bool { return bytes.Equal(bytes.ToValidUTF8(b, nil), b) }

func TestScalars(t *testing.T) {
	n, ok := rawjson.Int([]byte("7.0"))
	assert.True(t, ok)
	assert.Equal(t, 7, n)
	for _, s := range []string{"7.5", "1e99", `"7"`, "null", ""} {
		_, ok = rawjson.Int([]byte(s))
		assert.False(t, ok, s)
	}
	assert.Equal(t, []string{"a", "b"}, rawjson.Strings([]byte(`["a",1,"b",null]`)))
	assert.Equal(t, `"x"`, string(rawjson.Member([]byte(`{"a":1,"\u0062":"x"}`), "b")))
	assert.Nil(t, rawjson.Member([]byte(`[1]`), "b"))
	assert.Equal(t, `"a\u0000\u007f`+"\ufffd"+`\"\\"`, string(rawjson.AppendString(nil, "a\x00\x7f\xff\"\\")))
}
