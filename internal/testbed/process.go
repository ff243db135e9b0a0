package testbed

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Process is a server program that runs until the test ends.
type Process struct {
	Cmd  *exec.Cmd
	name string
	log  tail
	done chan struct{} // closed when the process has ended
	once sync.Once
}

// StartProcess starts cmd and waits until ready reports nil, at most a minute. The process gets SIGTERM when
// the test ends, and SIGKILL ten seconds later; the last of what it printed is shown when the test failed.
func StartProcess(tb TB, name string, cmd *exec.Cmd, ready func(ctx context.Context) error) *Process {
	tb.Helper()
	p := &Process{Cmd: cmd, name: name, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.log
	}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("testbed: starting %s: %v", name, err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	tb.Cleanup(func() {
		p.Stop()
		if tb.Failed() {
			tb.Logf("testbed: the last of what %s printed:\n%s", name, p.Log())
		}
	})
	p.wait(tb, ready)
	return p
}

// Stop ends the process and waits until it is gone. Calling it again does nothing.
func (p *Process) Stop() {
	p.once.Do(func() {
		_ = p.Cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
			p.Kill()
		}
	})
}

// Kill ends the process at once, as a crash would, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill()
	<-p.done
}

// Log returns the last 64 KiB of what the process printed.
func (p *Process) Log() string { return p.log.String() }

func (p *Process) wait(tb TB, ready func(ctx context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	err := Eventually(ctx, func(ctx context.Context) error {
		select {
		case <-p.done:
			tb.Fatalf("testbed: %s ended (%s) before it was ready:\n%s", p.name, p.Cmd.ProcessState, p.Log())
		default:
		}
		return ready(ctx)
	})
	if err != nil {
		tb.Fatalf("testbed: %s is not ready: %v\n%s", p.name, err, p.Log())
	}
}

// Eventually calls f until it returns nil or ctx ends; then the last error of f is returned.
func Eventually(ctx context.Context, f func(ctx context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// Answers returns a readiness check: a GET of url gets a reply below 500.
func Answers(url string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 500 {
			return fmt.Errorf("GET %s: %s", url, resp.Status)
		}
		return nil
	}
}

// Listens returns a readiness check: something accepts connections at the address.
func Listens(network, address string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// FreePort returns a TCP port on 127.0.0.1 that nothing listened on a moment ago.
func FreePort(tb TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// FreeAddr returns 127.0.0.1 with a [FreePort].
func FreeAddr(tb TB) string {
	tb.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(tb)))
}

// WriteFile writes a file and fails the test when it cannot.
func WriteFile(tb TB, path, content string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatalf("testbed: %v", err)
	}
}

// tail keeps the last 64 KiB written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if over := t.buf.Len() - 64<<10; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
