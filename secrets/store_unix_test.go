//go:build unix

package secrets_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/secrets"
)

func TestFromFiles_doesNotBlockOnAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, _, err := secrets.FromFiles(nil).Get(t.Context(), secrets.Ref{Scheme: "file", Path: path})
	require.ErrorIs(t, err, secrets.ErrBadRef)
}
