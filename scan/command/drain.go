package command

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"time"
)

// runInto runs a command and copies what it writes to w. It is cmd.Run with w as the standard output but for one
// thing: once the program has ended, cmd.WaitDelay counts while nothing comes, and not while w takes its time with
// what came.
func runInto(ctx context.Context, cmd *exec.Cmd, w io.Writer) error {
	r, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd.Stdout = out
	err = cmd.Start()
	out.Close()
	if err != nil {
		return err
	}
	d := &drain{r: r, delay: cmd.WaitDelay}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, d)
		_ = r.Close() // whoever still writes is told that nobody reads
		copied <- err
	}()
	err = cmd.Wait()
	d.programEnded()
	var copying error
	select {
	case copying = <-copied:
	case <-ctx.Done():
		giveUp := time.NewTimer(cmd.WaitDelay) // w may be stuck with what nobody wants any more
		defer giveUp.Stop()
		select {
		case copying = <-copied:
		case <-giveUp.C:
			copying = exec.ErrWaitDelay
		}
	}
	if errors.Is(copying, os.ErrDeadlineExceeded) || errors.Is(copying, os.ErrClosed) {
		copying = exec.ErrWaitDelay
	}
	if err == nil {
		err = copying
	}
	return err
}

// drain reads a program's output. When the program has ended, others may still hold the pipe; they get the delay for
// each read.
type drain struct {
	r     *os.File
	delay time.Duration
	ended atomic.Bool
}

func (d *drain) Read(b []byte) (int, error) {
	if d.ended.Load() {
		d.setDeadline()
	}
	return d.r.Read(b)
}

func (d *drain) programEnded() {
	d.ended.Store(true)
	d.setDeadline() // for the read that is under way
}

func (d *drain) setDeadline() {
	if err := d.r.SetReadDeadline(time.Now().Add(d.delay)); errors.Is(err, os.ErrNoDeadline) {
		time.AfterFunc(d.delay, func() { d.r.Close() }) // Windows
	}
}
