package secrets_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/secrets"
)

func redactor(tb testing.TB, values ...string) *secrets.Redactor {
	tb.Helper()
	r := secrets.NewRedactor()
	for i, v := range values {
		require.NoError(tb, r.Add(fmt.Sprint("value", i), secrets.NewValue(v)))
	}
	return r
}

func TestRedactor_Redact(t *testing.T) {
	for name, c := range map[string]struct {
		values   []string
		in, want string
	}{
		"plain":                   {[]string{"hunter22"}, "a hunter22 b hunter22", "a *** b ***"},
		"nothing known":           {nil, "a hunter22 b", "a hunter22 b"},
		"longest first":           {[]string{"pass", "password1"}, "password1 passwor", "*** ***wor"},
		"overlapping":             {[]string{"abcdef", "defghi"}, "xabcdefghix", "x***x"},
		"touching":                {[]string{"abcdef"}, "abcdefabcdef", "***"},
		"inside a longer near it": {[]string{"abcdefgh", "cdef"}, "abcdefgx", "ab***gx"},
		"prefix at the end":       {[]string{"abcdefgh"}, "xabcdefg", "xabcdefg"},
		"short match in a prefix": {[]string{"abcdefgh", "abcd"}, "xabcdefg", "x***efg"},
		"each line":               {[]string{"first line\n  second\nxy"}, "1: first line\n2: second\n3: xy", "1: ***\n2: ***\n3: xy"},
	} {
		t.Run(name, func(t *testing.T) {
			r := redactor(t, c.values...)
			assert.Equal(t, c.want, r.Redact(c.in))
			var out bytes.Buffer
			w := r.Writer(&out)
			for _, b := range []byte(c.in) {
				_, err := w.Write([]byte{b})
				require.NoError(t, err)
			}
			require.NoError(t, w.Close())
			assert.Equal(t, c.want, out.String(), "byte by byte")
		})
	}
}

func TestRedactor_encodings(t *testing.T) {
	for _, secret := range []string{"p@:/?#%ss 1'\"$`\\!", "plainletters", "ünïcödé-☃", "<tag>&amp;", "😀 ab+c/d", "{\"a\": 1}", "-----BEGIN\nabcdef/+==\nEND-----", "0000"} {
		r := redactor(t, secret)
		jsonText, err := json.Marshal(secret)
		require.NoError(t, err)
		for name, text := range map[string]string{
			"raw": secret, "hex": hex.EncodeToString([]byte(secret)), "HEX": fmt.Sprintf("%X", secret),
			"query": url.QueryEscape(secret), "path": url.PathEscape(secret), "userinfo": url.UserPassword("u", secret).String()[2:],
			"json": string(jsonText[1 : len(jsonText)-1]), "go": strconv.Quote(secret)[1 : len(strconv.Quote(secret))-1],
			"json of Python": jsonASCII(secret, "", `\u%04x`), "json of .NET": jsonASCII(secret, "\"&'<>+`", `\u%04X`),
			"json of PHP": strings.ReplaceAll(jsonASCII(secret, "", `\u%04x`), "/", `\/`),
			"go ascii":    strconv.QuoteToASCII(secret)[1 : len(strconv.QuoteToASCII(secret))-1],
			"html":        html.EscapeString(secret), "shell": strings.ReplaceAll(secret, "'", `'\''`),
			"base64": base64.StdEncoding.EncodeToString([]byte(secret)), "base64 URL": base64.RawURLEncoding.EncodeToString([]byte(secret)),
		} {
			assert.Equal(t, "<***>", r.Redact("<"+text+">"), "%s of %q", name, secret)
		}
		for offset := range 5 {
			for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
				text := enc.EncodeToString([]byte("user:"[:offset] + secret + "@host"))
				got := r.Redact(text)
				assert.Contains(t, got, secrets.Mask, "base64 behind %d bytes", offset)
				// What is left of the value is at most the bits it shares with a neighbour at either end.
				assert.LessOrEqual(t, len(got)-len(secrets.Mask), (offset*8+5)/6+(5*8+5)/6+1+3)
			}
		}
	}
}

// What others write, copied from what they wrote.
func TestRedactor_encodingsOfOthers(t *testing.T) {
	const secret = "p@:/?#%s~ 1'\"$`\\!*(),=+é"
	r := redactor(t, secret, "1st \"line\"\n2nd 'line'\x1b\\", `<a b="c">'&'`)
	for name, text := range map[string]string{
		"urllib.parse.quote":      `p%40%3A/%3F%23%25s~%201%27%22%24%60%5C%21%2A%28%29%2C%3D%2B%C3%A9`,
		"urllib.parse.quote_plus": `p%40%3A%2F%3F%23%25s~+1%27%22%24%60%5C%21%2A%28%29%2C%3D%2B%C3%A9`,
		"encodeURIComponent":      `p%40%3A%2F%3F%23%25s~%201'%22%24%60%5C!*()%2C%3D%2B%C3%A9`,
		"encodeURI":               `p@:/?#%25s~%201'%22$%60%5C!*(),=+%C3%A9`,
		"URLSearchParams":         `p%40%3A%2F%3F%23%25s%7E+1%27%22%24%60%5C%21*%28%29%2C%3D%2B%C3%A9`,
		"java.net.URLEncoder":     `p%40%3A%2F%3F%23%25s%7E+1%27%22%24%60%5C%21*%28%29%2C%3D%2B%C3%A9`,
		"jq @uri":                 `p%40%3A%2F%3F%23%25s~%201'%22%24%60%5C!*()%2C%3D%2B%C3%A9`,
		"jq @sh":                  `p@:/?#%s~ 1'\''"$` + "`" + `\!*(),=+é`,
		"jq @html":                `p@:/?#%s~ 1&apos;&quot;$` + "`" + `\!*(),=+é`,
		"bash printf %q":          `p@:/\?#%s~\ 1\'\"\$\` + "`" + `\\\!\*\(\)\,=+é`,
		"bash, locale C":          `p@:/?#%s~ 1\'"$` + "`" + `\\!*(),=+\303\251`,
		"bash $'':":               `1st "line"\n2nd \'line\'\E\\`,
		"xml.sax.saxutils.escape": `&lt;a b="c"&gt;'&amp;'`,
		"python html.escape":      `&lt;a b=&quot;c&quot;&gt;&#x27;&amp;&#x27;`,
		"go, bytes":               strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]"),
		"yaml":                    strings.ReplaceAll(secret, "'", "''"),
	} {
		assert.Equal(t, "<***>", r.Redact("<"+text+">"), name)
	}
}

// jsonASCII goes by way of encoding/json, to be independent of what it tests.
func jsonASCII(s, also, unit string) string {
	var b bytes.Buffer
	for _, c := range s {
		switch {
		case c >= 0x80 || strings.ContainsRune(also, c):
			for _, u := range utf16.Encode([]rune{c}) {
				fmt.Fprintf(&b, unit, u)
			}
		case strings.ContainsRune("<>&", c): // which encoding/json escapes
			b.WriteRune(c)
		default:
			quoted, _ := json.Marshal(string(c))
			b.Write(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

func TestRedactor_refusesShortValues(t *testing.T) {
	r := secrets.NewRedactor()
	require.NoError(t, r.Add("empty", secrets.Value{}))
	err := r.Add("vault://kv/app#pin", secrets.NewValue("xy1"))
	require.ErrorIs(t, err, secrets.ErrTooShort)
	assert.Contains(t, err.Error(), "vault://kv/app#pin")
	assert.NotContains(t, err.Error(), "xy1")
	assert.Equal(t, "xy1", r.Redact("xy1"))
}

func TestRedactor_learnsWhileWriting(t *testing.T) {
	r := redactor(t, "first-value")
	var out bytes.Buffer
	w := r.Writer(&out)
	fmt.Fprint(w, "first-value second-value ")
	require.NoError(t, r.Add("second", secrets.NewValue("second-value")))
	fmt.Fprint(w, "second-")
	fmt.Fprint(w, "value")
	require.NoError(t, w.Close())
	assert.Equal(t, "*** second-value ***", out.String())
}

func TestRedactingWriter_holdsBackOnlyWhatMayBeAValue(t *testing.T) {
	var out bytes.Buffer
	w := redactor(t, "hunter22").Writer(&out)
	fmt.Fprint(w, "password? ")
	assert.Equal(t, "password? ", out.String(), "a prompt must not wait")
	fmt.Fprint(w, "x hunt")
	assert.Equal(t, "password? x ", out.String())
	fmt.Fprint(w, "ing")
	assert.Equal(t, "password? x hunting", out.String())
}

func TestRedactingWriter_errorIsSticky(t *testing.T) {
	pr, pw := io.Pipe()
	pr.CloseWithError(fs.ErrClosed)
	w := redactor(t, "hunter22").Writer(pw)
	_, err := w.Write([]byte("abc"))
	require.ErrorIs(t, err, fs.ErrClosed)
	require.ErrorIs(t, w.Close(), fs.ErrClosed)
}

func TestRedactor_Error(t *testing.T) {
	r := redactor(t, "hunter22")
	require.NoError(t, r.Error(nil))
	inner := &fs.PathError{Op: "open", Path: "/tmp/hunter22", Err: fs.ErrNotExist}
	err := r.Error(fmt.Errorf("login as hunter22: %w", inner))
	assert.Equal(t, "login as ***: open /tmp/***: file does not exist", err.Error())
	require.ErrorIs(t, err, fs.ErrNotExist)
	var pe *fs.PathError
	require.ErrorAs(t, err, &pe)
	require.NoError(t, errors.Unwrap(err))
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%x", "%s"} {
		out := fmt.Sprintf(verb, err)
		assert.NotContains(t, out, "hunter22", verb)
		assert.NotContains(t, out, hex.EncodeToString([]byte("hunter22")), verb)
	}
}

func TestRedactor_Handler(t *testing.T) {
	r := redactor(t, "hunter22", "12345678")
	for name, newHandler := range map[string]func(io.Writer) slog.Handler{
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log := slog.New(r.Handler(newHandler(&out))).With("with", "hunter22").WithGroup("g-hunter22")
			log.Info("message hunter22", "k", "v hunter22", "err", errors.New("bad hunter22"), "n", 12345678,
				"struct", struct{ A, b string }{"hunter22", "hunter22"}, "bytes", []byte("hunter22"), "key-hunter22", 1,
				slog.Group("inner", "x", "hunter22"), "map", map[string]string{"a": "hunter22"}, "fine", "untouched", "pi", 3)
			assert.NotContains(t, out.String(), "hunter22")
			assert.NotContains(t, out.String(), base64.StdEncoding.EncodeToString([]byte("hunter22")))
			assert.NotContains(t, out.String(), "12345678")
			assert.Contains(t, out.String(), "untouched")
			assert.Contains(t, out.String(), secrets.Mask)
		})
	}
}

func TestRedactor_doesNotPrint(t *testing.T) {
	r := redactor(t, "hunter22")
	w := r.Writer(io.Discard)
	fmt.Fprint(w, "hunter2") // held back
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s", "%x"} {
		out := fmt.Sprintf(verb, []any{r, *r, w, *w, struct{ r secrets.Redactor }{*r}})
		assert.NotContains(t, out, "hunter2", verb)
		assert.NotContains(t, out, hex.EncodeToString([]byte("hunter2")), verb)
	}
}

// naive is the specification of the matcher: mask every byte that lies in any occurrence of any pattern.
func naive(patterns []string, s string) string {
	covered := make([]bool, len(s)+1)
	for i := range s {
		for _, p := range patterns {
			if p != "" && strings.HasPrefix(s[i:], p) {
				for j := i; j < i+len(p); j++ {
					covered[j] = true
				}
			}
		}
	}
	var b strings.Builder
	for i := range len(s) {
		switch {
		case !covered[i]:
			b.WriteByte(s[i])
		case i == 0 || !covered[i-1]:
			b.WriteString(secrets.Mask)
		}
	}
	return b.String()
}

func FuzzRedactor_splits(f *testing.F) {
	f.Add("hunter22", "password1", "a hunter22 password1 hunter2", uint64(1))
	f.Add("abcdef", "defghi", "abcdefghi", uint64(2))
	f.Add("aaaa", "aaaaaaaa", "aaaaaaaaaaaaaaa", uint64(3))
	f.Add("line one\nline two", "x'y\"z", "line one line two x'y\"z", uint64(4))
	f.Fuzz(func(t *testing.T, a, b, text string, seed uint64) {
		r := secrets.NewRedactor()
		for _, v := range []string{a, b} {
			if err := r.Add("v", secrets.NewValue(v)); err != nil {
				require.ErrorIs(t, err, secrets.ErrTooShort)
			}
		}
		whole := r.Redact(text)
		var out bytes.Buffer
		w := r.Writer(&out)
		rnd := rand.New(rand.NewPCG(seed, 1))
		for rest := []byte(text); len(rest) > 0; {
			n := 1 + rnd.IntN(len(rest))
			_, err := w.Write(rest[:n])
			require.NoError(t, err)
			rest = rest[n:]
		}
		require.NoError(t, w.Close())
		require.Equal(t, whole, out.String())
		for _, v := range []string{a, b} {
			if len(v) >= 4 && !strings.Contains(v, "*") && !strings.Contains(secrets.Mask, v) {
				// A mask may put two remains side by side, but "*" keeps them apart.
				require.NotContains(t, whole, v)
			}
		}
	})
}

func TestRedactor_masksExactlyTheOccurrences(t *testing.T) {
	// Letters that no encoding of the values changes and no other form of them hits.
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		word := func(n int) string {
			b := make([]byte, n)
			for i := range b {
				b[i] = "ab"[rnd.IntN(2)]
			}
			return string(b)
		}
		values := []string{word(4 + rnd.IntN(4)), word(4 + rnd.IntN(6)), word(5)}
		text := word(rnd.IntN(40))
		require.Equal(t, naive(values, text), redactor(t, values...).Redact(text), "%q in %q", values, text)
	}
}

func BenchmarkRedactor(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	r := secrets.NewRedactor()
	for i := range 100 {
		v := make([]byte, 24)
		for j := range v {
			v[j] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=!$%"[rnd.IntN(68)]
		}
		require.NoError(b, r.Add(strconv.Itoa(i), secrets.NewValueBytes(v)))
	}
	line := "2026-11-23T01:02:03Z INFO building image registry.example.com/team/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 step=4/12 took=1.25s\n"
	text := []byte(strings.Repeat(line, 1<<20/len(line)))
	b.Run("waybill", func(b *testing.B) {
		w := r.Writer(io.Discard)
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			_, _ = w.Write(text)
		}
	})
	b.Run("io.Copy", func(b *testing.B) { // the bound nobody beats
		b.SetBytes(int64(len(text)))
		var sink bytes.Buffer
		for b.Loop() {
			sink.Reset()
			_, _ = sink.Write(text)
		}
	})
	b.Run("strings.Replacer", func(b *testing.B) { // raw values only, no borders
		var pairs []string
		for range 100 {
			v := make([]byte, 24)
			for j := range v {
				v[j] = byte('a' + rnd.IntN(26))
			}
			pairs = append(pairs, string(v), secrets.Mask)
		}
		rep := strings.NewReplacer(pairs...)
		b.SetBytes(int64(len(text)))
		s := string(text)
		for b.Loop() {
			_ = rep.Replace(s)
		}
	})
}
