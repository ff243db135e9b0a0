package outbox_test

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/outbox"
)

// A limit on the size of files stops the first write where a full disk would: in the middle.
func TestOpen_fullDisk(t *testing.T) {
	dir := t.TempDir()
	f, err := notify.New([]notify.Target{{Name: "a", Notifier: down{}}}, nil)
	require.NoError(t, err)

	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	page := uint64(os.Getpagesize()) //nolint:gosec // not negative
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 3 * page, Max: before.Max}))
	_, err = outbox.Open(dir, f, nil)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
	require.ErrorIs(t, err, notify.ErrUnavailable)
	assert.NoFileExists(t, filepath.Join(dir, "outbox.db"))

	b, err := outbox.Open(dir, f, nil)
	require.NoError(t, err, "once there is room again")
	require.NoError(t, b.Close())
}
