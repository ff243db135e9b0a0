package secrets_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/secrets"
)

func TestParseRef(t *testing.T) {
	for text, want := range map[string]secrets.Ref{
		"vault://kv/app#password":         {Scheme: "vault", Path: "kv/app", Key: "password"},
		"vault://kv/team/app?version=3#k": {Scheme: "vault", Path: "kv/team/app", Key: "k", Version: 3},
		"vault://kv/app":                  {Scheme: "vault", Path: "kv/app"},
		"env://NAME":                      {Scheme: "env", Path: "NAME"},
		"env://CONFIG#token":              {Scheme: "env", Path: "CONFIG", Key: "token"},
		"file:///run/secrets/db":          {Scheme: "file", Path: "/run/secrets/db"},
		"file:///a%20b#c%23d":             {Scheme: "file", Path: "/a b", Key: "c#d"},
		"vault://kv/a%3Fb":                {Scheme: "vault", Path: "kv/a?b"},
		"my-store.2+x://p#k/with/slash":   {Scheme: "my-store.2+x", Path: "p", Key: "k/with/slash"},
	} {
		r, err := secrets.ParseRef(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, r, text)
		again, err := secrets.ParseRef(r.String())
		require.NoError(t, err, text)
		assert.Equal(t, r, again, text)
	}
}

func TestParseRef_refuses(t *testing.T) {
	for text, why := range map[string]string{
		"":                                     "want scheme://",
		"kv/app#k":                             "want scheme://",
		"hunter22-put-here-by-mistake":         "want scheme://",
		"://x":                                 "scheme",
		"Vault://x":                            "scheme",
		"1a://x":                               "scheme",
		"vault://":                             "empty path",
		"vault:///kv/app":                      "slash",
		"vault://kv/app/":                      "slash",
		"vault://kv//app":                      "empty element",
		"vault://kv/../sys":                    "'..'",
		"vault://kv/%2e%2e/sys":                "'..'",
		"vault://kv/app#":                      "empty key",
		"vault://kv/app?version=0#k":           "version",
		"vault://kv/app?version=-1":            "version",
		"vault://kv/app?version=x":             "version",
		"vault://kv/app?version=1;x":           "query",
		"vault://kv/app?version=1&x=2":         "unknown parameter",
		"vault://kv/app?v=1":                   "unknown parameter",
		"vault://kv/app#k?version=3":           "before the '#'",
		"vault://kv/app#k#l":                   "percent-encoded",
		"vault://kv/%zz":                       "percent-encoding",
		"vault://kv/a#%zz":                     "percent-encoding",
		"file://relative/path":                 "absolute",
		"vault://kv/a\nb":                      "control character",
		"vault://" + strings.Repeat("a", 5000): "longer than",
	} {
		_, err := secrets.ParseRef(text)
		require.ErrorIs(t, err, secrets.ErrBadRef, text)
		assert.ErrorContains(t, err, why, text)
		if len(text) > 12 && !strings.Contains(err.Error(), "scheme://path") {
			assert.NotContains(t, err.Error(), text)
		}
	}
	_, err := secrets.ParseRef("hunter22-put-here-by-mistake")
	assert.NotContains(t, err.Error(), "hunter22")
}

func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"vault://kv/app?version=3#k", "env://A", "file:///a%20b#c", "x://%00", "a://b?c=d#e#f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := secrets.ParseRef(s)
		if err != nil {
			require.ErrorIs(t, err, secrets.ErrBadRef)
			return
		}
		again, err := secrets.ParseRef(r.String())
		require.NoError(t, err, "%q of %q", r.String(), s)
		require.Equal(t, r, again)
	})
}
