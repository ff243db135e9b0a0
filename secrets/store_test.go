package secrets_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/secretstest"
)

func TestStores(t *testing.T) {
	t.Run("env", func(t *testing.T) {
		secretstest.TestStore(t, func(t *testing.T) *secretstest.Harness { //nolint:thelper // opens, does not assert
			return &secretstest.Harness{
				Store: secrets.FromEnv(), Scheme: "env", Path: func(n string) string { return "SECRETS_TEST_" + strings.ToUpper(n) },
				Put: func(t *testing.T, path, text string) { t.Helper(); t.Setenv(path, text) },
			}
		})
	})
	t.Run("file", func(t *testing.T) {
		secretstest.TestStore(t, func(t *testing.T) *secretstest.Harness { //nolint:thelper // opens, does not assert
			dir := t.TempDir()
			return &secretstest.Harness{
				Store: secrets.FromFiles(&secrets.FileOptions{KeepNewline: true}), Scheme: "file", Path: func(n string) string { return filepath.ToSlash(filepath.Join(dir, n)) },
				Put: func(t *testing.T, path, text string) {
					t.Helper()
					require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
				},
			}
		})
	})
	t.Run("memory", func(t *testing.T) {
		secretstest.TestStore(t, func(*testing.T) *secretstest.Harness {
			m := secretstest.NewMemory(nil)
			return &secretstest.Harness{Store: m, Scheme: "memory", Put: func(_ *testing.T, path, text string) { m.Set(path, text) }, Versions: true}
		})
	})
}

func TestFromFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("in/newline", "value\n")
	write("in/crlf", "value\r\n")
	write("in/two", "value\n\n")
	write("in/empty", "")
	write("in/big", strings.Repeat("x", 101))
	write("outside", "not for you")
	require.NoError(t, os.Symlink("../outside", filepath.Join(dir, "in", "link")))
	require.NoError(t, os.Symlink("newline", filepath.Join(dir, "in", "good-link")))
	s := secrets.FromFiles(&secrets.FileOptions{Root: filepath.Join(dir, "in"), MaxBytes: 100})
	get := func(path string) (string, error) {
		v, _, err := s.Get(t.Context(), secrets.Ref{Scheme: "file", Path: path})
		return v.Expose(), err
	}
	for path, want := range map[string]string{"/newline": "value", "/crlf": "value", "/two": "value\n", "/empty": "", "/good-link": "value"} {
		got, err := get(path)
		require.NoError(t, err, path)
		assert.Equal(t, want, got, path)
	}
	_, err := get("/big")
	require.ErrorIs(t, err, secrets.ErrTooLarge)
	assert.ErrorContains(t, err, "cap of 100 bytes")
	_, err = get("/link")
	require.ErrorIs(t, err, secrets.ErrDenied, "a link that leaves the root")
	_, err = get("/../outside")
	require.Error(t, err)
	_, err = get("/")
	require.Error(t, err, "a directory")
}
