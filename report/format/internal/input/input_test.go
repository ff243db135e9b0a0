package input_test

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report/format/internal/input"
)

func TestReadJSON_countsRepeatedNames(t *testing.T) {
	tests := map[string]int{
		`{}`:                                    0,
		`{"a":1,"b":{"a":1},"c":[{"a":1}]}`:     0,
		`{"a":1,"a":2}`:                         1,
		`{"a":1,"a":2,"a":3,"b":{"x":0,"x":0}}`: 3,
		`[{"a":"{\"a\":1,\"a\":2}"}]`:           0,
		`{"a":["a","a"],"b":"a"}`:               0,
	}
	for in, want := range tests {
		doc, err := input.ReadJSON(strings.NewReader(in), input.Limits{})
		require.NoError(t, err)
		assert.Equal(t, want, doc.DuplicateKeys, in)
	}
}

func TestReadJSON_refuses(t *testing.T) {
	for in, says := range map[string]string{
		"":                       "empty",
		" \n":                    "empty",
		`["` + "\xff" + `"]`:     "byte 2: invalid UTF-8",
		strings.Repeat("[", 11):  "deeper than the cap of 10, at byte 10",
		strings.Repeat(" ", 101): "the cap of 100 bytes",
	} {
		_, err := input.ReadJSON(strings.NewReader(in), input.Limits{Depth: 10, Bytes: 100})
		require.ErrorContains(t, err, says)
	}
}

func TestList(t *testing.T) {
	type item struct {
		A string
		B int
	}
	read := func(in string) (items []item, bad []input.BadElement) {
		var l struct{ L input.List[item] }
		require.NoError(t, json.Unmarshal([]byte(`{"l": `+in+`}`), &l))
		assert.True(t, l.L.Present)
		items = slices.Collect(l.L.Read(func(e input.BadElement) { bad = append(bad, e) }))
		for range l.L.Read(func(input.BadElement) {}) { // it may be left early, and read again
			break
		}
		assert.Equal(t, items, slices.Collect(l.L.Read(func(input.BadElement) {})))
		return items, bad
	}
	items, bad := read(`[{"A":"x","B":1},{"A":2,"B":3},7,null,{"B":1e99,"A":"y"}]`)
	assert.Equal(t, []item{{"x", 1}, {"", 3}, {"y", 0}}, items)
	require.Len(t, bad, 4)
	assert.Equal(t, []bool{false, true, true, false}, []bool{bad[0].Lost, bad[1].Lost, bad[2].Lost, bad[3].Lost})

	for _, in := range []string{`"x"`, `{"a":1}`, `7`} {
		_, bad = read(in)
		assert.Equal(t, -1, bad[0].Index)
	}
	items, bad = read(`null`)
	assert.Empty(t, items)
	assert.Empty(t, bad)
	l := input.ListOf([]item{{A: "z"}})
	assert.Equal(t, 1, l.Len())
	assert.Equal(t, []item{{A: "z"}}, slices.Collect(l.Read(nil)))
}

func TestScalars(t *testing.T) {
	var v struct {
		T []input.Text
		N []input.Number
		F []input.Flag
		L []input.Texts
	}
	require.NoError(t, json.Unmarshal([]byte(`{
		"T":["a",1,true,null,{},[]], "N":[1,"2.5","x",1e999,null,-3,{}], "F":[true,"True","no",1,null],
		"L":["a",["a",1,null],null,{}]
	}`), &v))
	assert.Equal(t, []input.Text{"a", "1", "true", "", "", ""}, v.T)
	assert.Equal(t, []input.Number{1, 2.5, 0, 0, 0, -3, 0}, v.N)
	assert.Equal(t, []input.Flag{true, true, false, false, false}, v.F)
	assert.Equal(t, []input.Texts{{"a"}, {"a", "1"}, nil, nil}, v.L)
	assert.Equal(t, 0, input.Number(-3).Int())
	assert.Equal(t, 0, input.Number(1e12).Int())
}

func TestLines(t *testing.T) {
	var got []string
	for n, line := range input.Lines(strings.NewReader("\xef\xbb\xbfa\r\n\n" + strings.Repeat("x", 200_000) + "\nlast")) {
		require.NoError(t, line.Err)
		assert.Equal(t, len(got)+1, n)
		assert.Equal(t, n == 4, line.Last)
		got = append(got, string(line.Text))
	}
	assert.Equal(t, []string{"a", "", strings.Repeat("x", 200_000), "last"}, got)
}

func TestXML(t *testing.T) {
	x := input.NewXML(strings.NewReader(`<?xml version="1.0" encoding="ISO-8859-1"?><a><b>caf`+"\xe9"+`<c>!</c></b><d><e/></d></a>`), input.Limits{})
	var seen []string
	for {
		tok, err := x.Token()
		if err == io.EOF { //nolint:errorlint // Token returns it bare
			break
		}
		require.NoError(t, err)
		if e, ok := tok.(xml.StartElement); ok {
			seen = append(seen, e.Name.Local)
			switch e.Name.Local {
			case "b":
				text, err := x.Text(100)
				require.NoError(t, err)
				assert.Equal(t, "café!", text)
			case "d":
				require.NoError(t, x.Skip())
			}
		}
	}
	assert.Equal(t, []string{"a", "b", "d"}, seen)
}

func TestVulnerable(t *testing.T) {
	assert.Equal(t, "libx 1.0: overflow (fixed in 1.1)", input.Vulnerable("libx", "1.0", "libx: overflow\nmore", "1.1"))
	assert.Equal(t, "libx (no fix yet)", input.Vulnerable("libx", "", "", ""))
}

func TestBestCVSS(t *testing.T) {
	best := input.BestCVSS([]input.CVSS{{Vector: "AV:N", Score: 10}, {Vector: "CVSS:3.1/AV:N", Score: 5}, {Version: "3.1", Score: 7.5}, {Version: "4.0", Score: 11}})
	assert.Equal(t, 7.5, best.Score)
}
