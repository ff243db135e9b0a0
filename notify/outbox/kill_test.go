package outbox_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/email"
	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/notify/outbox"
)

// The child process of TestOutbox_killed: it does what a step of a pipeline does, and kills itself at the named point.
const (
	childDir   = "OUTBOX_TEST_DIR"
	childSMTP  = "OUTBOX_TEST_SMTP"
	childPoint = "OUTBOX_TEST_KILL_AT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Getenv(childSMTP), os.Getenv(childPoint)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func child(dir, server, point string) error {
	n, err := email.New(server, "ci@example.test", []string{"dev@example.test"}, &email.Options{DisableTLS: true})
	if err != nil {
		return err
	}
	f, err := notify.New([]notify.Target{{Name: "mail", Notifier: n}}, nil)
	if err != nil {
		return err
	}
	b, err := outbox.Open(dir, f, outbox.WithHook(outbox.Options{}, func(at string) {
		if at == point {
			self, _ := os.FindProcess(os.Getpid())
			_ = self.Kill()
			select {} // until the signal arrives
		}
	}))
	if err != nil {
		return err
	}
	if _, err := b.Send(context.Background(), notify.Message{Title: "deployed", Key: "run-42"}); err != nil {
		return err
	}
	if _, err := b.Flush(context.Background()); err != nil {
		return err
	}
	return b.Close()
}

// A process that is killed at any point, and the next run of the same pipeline, together send one mail: one
// Message-ID, and one copy of it except where the server had it already and could not tell us.
func TestOutbox_killed(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	points := []struct {
		at     string // of the child, or of the conversation when the server kills it
		fault  *notifytest.SMTPFault
		copies int
	}{
		{"opened", nil, 1},
		{"enqueue", nil, 1},
		{"enqueue written", nil, 1},
		{"enqueued", nil, 1},
		{"picked", nil, 1},
		{"greeting", &notifytest.SMTPFault{At: "CONNECT"}, 1},
		{"MAIL", &notifytest.SMTPFault{At: "MAIL"}, 1},
		{"body", &notifytest.SMTPFault{At: "BODY"}, 1},
		{"mail taken, not answered", &notifytest.SMTPFault{At: ".", Keep: true}, 2},
		{"sent", nil, 2},
		{"recorded, not committed", nil, 2},
		{"recorded", nil, 1},
	}
	for _, p := range points {
		t.Run(p.at, func(t *testing.T) {
			s := notifytest.NewSMTPServer(t, nil)
			dir := t.TempDir()
			run := func(point string) *exec.Cmd {
				cmd := exec.CommandContext(t.Context(), self)
				cmd.Env = append(os.Environ(), childDir+"="+dir, childSMTP+"="+s.Addr, childPoint+"="+point)
				var out strings.Builder
				cmd.Stdout, cmd.Stderr = &out, &out
				t.Cleanup(func() {
					if t.Failed() {
						t.Log(out.String())
					}
				})
				return cmd
			}
			first := run(p.at)
			var pid atomic.Pointer[os.Process]
			started := make(chan struct{})
			if p.fault != nil {
				f := *p.fault
				f.Once, f.Close = true, true
				f.Do = func() {
					<-started
					_ = pid.Load().Kill()
				}
				s.Fail(f)
			}
			require.NoError(t, first.Start())
			pid.Store(first.Process)
			close(started)
			require.Error(t, first.Wait())
			require.Equal(t, -1, first.ProcessState.ExitCode(), "it was killed, it did not end by itself")

			require.NoError(t, run("").Run(), "the next run")
			require.NoError(t, run("").Run(), "and one more")
			ids := map[string]bool{}
			for _, m := range s.Mails() {
				ids[m.MessageID()] = true
			}
			assert.Len(t, ids, 1, "one mail")
			assert.Len(t, s.Mails(), p.copies)
		})
	}
	t.Logf("killed at %d points", len(points))
}
