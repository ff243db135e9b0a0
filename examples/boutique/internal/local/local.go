// Package local runs the shop's programs on this machine, each a process of its own on a free loopback port.
package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Services are the shop's programs, each behind those it calls. The load generator is none of them: it is run
// when there is something to load, with [Shop.Env].
var Services = []string{
	"ad", "cart", "currency", "email", "payment", "productcatalog", "shipping", "recommendation", "checkout", "frontend",
}

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 15 * time.Second
	keptBytes    = 16 << 10
)

// Shop is a running shop.
type Shop struct {
	addrs map[string]string
	procs []*proc
}

// Build compiles the shop in the directory of its module into dir, one program for each service.
func Build(ctx context.Context, source, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Without paths, as the compiler's cache then knows the packages from wherever they were built before.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", dir+string(filepath.Separator), "./...")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the shop: %w\n%s", err, out)
	}
	return nil
}

// Start starts the services, and returns when each of them listens. program tells where a service's program is.
// What they log goes to log, which may be nil.
func Start(ctx context.Context, program func(service string) string, log io.Writer) (*Shop, error) {
	s := &Shop{addrs: map[string]string{}}
	if log == nil {
		log = io.Discard
	}
	log = &locked{w: log}
	for _, name := range Services {
		p, err := start(ctx, name, program(name), s.Env(), log)
		if err != nil {
			return nil, errors.Join(err, s.Stop())
		}
		s.procs = append(s.procs, p)
		s.addrs[name] = p.addr
	}
	return s, nil
}

// Addr is where a service listens.
func (s *Shop) Addr(service string) string { return s.addrs[service] }

// URL is where people find the shop.
func (s *Shop) URL() string { return "http://" + s.addrs["frontend"] }

// Env is the environment in which a program finds the services.
func (s *Shop) Env() []string {
	var env []string
	for name, addr := range s.addrs {
		env = append(env, strings.ToUpper(name)+"_ADDR="+addr)
	}
	return env
}

// Stop asks all services to end and waits until they have. A service that did not end as it should is an error.
func (s *Shop) Stop() error {
	var errs []error
	for _, p := range slices.Backward(s.procs) {
		errs = append(errs, p.stop())
	}
	s.procs = nil
	return errors.Join(errs...)
}

type proc struct {
	name   string
	addr   string
	cmd    *exec.Cmd
	ended  chan struct{}
	err    error // once ended
	output *logReader
}

// start starts a program and waits until it says where it listens.
func start(ctx context.Context, name, program string, env []string, log io.Writer) (*proc, error) {
	p := &proc{name: name, ended: make(chan struct{}), output: &logReader{log: log, addr: make(chan string, 1)}}
	p.cmd = exec.Command(program, "-listen", "127.0.0.1:0")
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = p.output
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	var err error
	select {
	case p.addr = <-p.output.addr:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("%s: ended before it listened: %v\n%s", name, p.cmd.ProcessState, p.output.last())
	case <-ctx.Done():
		err = ctx.Err()
	case <-timeout.C:
		err = errors.New("it does not listen")
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	return nil, fmt.Errorf("%s: %w\n%s", name, err, p.output.last())
}

// stop asks the program to end, and waits until it has.
func (p *proc) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		_ = p.cmd.Process.Kill() // where there are no signals
	}
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-p.ended:
	case <-timeout.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w\n%s", p.name, p.err, p.output.last())
	}
	return nil
}

// logReader passes a program's log on, and finds in it where the program listens.
type logReader struct {
	log  io.Writer
	addr chan string

	mu   sync.Mutex
	line []byte // not ended yet
	tail []byte // of all of it
}

func (l *logReader) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, b...)
	l.tail = l.tail[max(0, len(l.tail)-keptBytes):]
	l.line = append(l.line, b...)
	for {
		line, rest, ended := bytes.Cut(l.line, []byte("\n"))
		if !ended {
			l.line = l.line[:min(len(l.line), keptBytes)]
			break
		}
		var entry struct{ Msg, Addr string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "listening" {
			select {
			case l.addr <- entry.Addr:
			default: // said twice
			}
		}
		l.line = bytes.Clone(rest)
	}
	return l.log.Write(b)
}

// last is the end of the log.
func (l *logReader) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.tail)
}

// locked lets several programs write, one at a time.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
