package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/offspring"
	"github.com/waybill-dev/waybill/scan"
)

// Call is one run of a [Program]. The zero value runs it without arguments, in the current directory, with
// a small environment and nothing on standard input.
type Call struct {
	Args []string  // passed as they are; no shell reads them
	Dir  string    // working directory; "" is the current one
	In   io.Reader // standard input; nil is empty

	// Env is added to the environment, as "NAME=value". Without InheritEnv the rest of it is what programs
	// need to work at all: the path, the home and temporary directories, locale, proxies and
	// certificates; nothing else the calling process was given.
	Env        []string
	InheritEnv bool     // pass on the whole environment of this process, its credentials included
	WithoutEnv []string // names of variables that are not passed on all the same

	// Secrets are environment variables whose values are fetched right before the start, and replaced by
	// "[redacted]" wherever they turn up in what the program writes.
	Secrets map[string]func(ctx context.Context) (string, error)

	// Out receives standard output as it comes; nil collects it in Output.Stdout. Secrets are replaced in
	// the collected form only.
	Out io.Writer

	MaxOutput int64         // cap of standard output in bytes; 0 is 256 MiB. A program that writes more is ended
	Grace     time.Duration // from a polite end (SIGTERM) to a forced one; 0 is 3 s
}

// Output is what a program left behind when it ended by itself.
type Output struct {
	Code   int    // exit code; what it means is the caller's to know
	Stdout []byte // nil when Call.Out was given
	Stderr string // the last 64 KiB of standard error, redacted

	hide *strings.Replacer // nil when there are no secrets
}

// Redact returns b with the values of Call.Secrets replaced: for files the program wrote.
func (o *Output) Redact(b []byte) []byte {
	if o.hide == nil {
		return b
	}
	return []byte(o.hide.Replace(string(b)))
}

const (
	defaultMaxOutput = 256 << 20
	maxStderr        = 64 << 10
)

// Run runs the program and waits for it. A program that ends by itself, with whatever exit code, is no
// error. Ending ctx ends the program and the processes it started: politely first, by force after
// Call.Grace. On Linux that reaches processes in groups and sessions of their own, too; on Windows only the program
// itself is ended, by force.
//
// Errors are [*scan.Error]: [scan.ErrTooLarge] when standard output went past its cap, [scan.ErrBroken]
// when the program did not start, was killed, or its output could not be read to the end; a cancelled
// context is in the chain as [context.Canceled] or [context.DeadlineExceeded].
func (p *Program) Run(ctx context.Context, c Call) (*Output, error) {
	fail := func(kind, err error, stderr string) error {
		return &scan.Error{Op: "run " + p.Path, Scanner: p.Name, Kind: kind, Err: err, Stderr: stderr}
	}
	env, hide, err := c.environment(ctx)
	if err != nil {
		return nil, fail(scan.ErrConfig, err, "")
	}

	running, end := context.WithCancelCause(ctx)
	defer end(nil)
	var collected bytes.Buffer
	stdout := &capped{w: c.Out, left: c.MaxOutput, limit: c.MaxOutput, end: end}
	if c.Out == nil {
		stdout.w = &collected
	}
	if c.MaxOutput <= 0 {
		stdout.left, stdout.limit = defaultMaxOutput, defaultMaxOutput
	}
	stderr := &tail{max: maxStderr}

	cmd := exec.CommandContext(running, p.Path, c.Args...)
	mark := offspring.Mark()
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stderr = c.Dir, append(env, mark), c.In, stderr
	cmd.WaitDelay = c.Grace
	if cmd.WaitDelay <= 0 {
		cmd.WaitDelay = 3 * time.Second
	}
	killGroup := ownGroup(cmd)
	err = runInto(running, cmd, stdout)
	if running.Err() != nil || errors.Is(err, exec.ErrWaitDelay) {
		killGroup() // what the program started and left behind
		offspring.End(mark)
	}

	errText := hide.Replace(stderr.String())
	if over, ok := errors.AsType[*tooLargeError](context.Cause(running)); ok {
		return nil, fail(scan.ErrTooLarge, over, errText)
	}
	if ctx.Err() != nil {
		return nil, fail(scan.ErrBroken, fmt.Errorf("ended before it was done: %w", context.Cause(ctx)), errText)
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.Exited():
	case errors.As(err, &exit):
		return nil, fail(scan.ErrBroken, fmt.Errorf("ended by itself or by the system: %s", exit.ProcessState), errText)
	default:
		return nil, fail(scan.ErrBroken, err, errText)
	}
	out := &Output{Code: cmd.ProcessState.ExitCode(), Stderr: errText}
	if len(c.Secrets) > 0 {
		out.hide = hide
	}
	if c.Out == nil {
		out.Stdout = out.Redact(collected.Bytes())
	}
	return out, nil
}

// passed are the variables a program gets without asking. None of them is a credential, unless a proxy's address holds
// one; without it a program behind that proxy could do nothing.
var passed = []string{
	"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES",
	"XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "JAVA_HOME",
	"TEMP", "TMP", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "APPDATA", "LOCALAPPDATA", "USERPROFILE", "PROGRAMDATA",
}

func (c Call) environment(ctx context.Context) (env []string, hide *strings.Replacer, err error) {
	if c.InheritEnv {
		env = os.Environ()
	} else {
		for _, name := range passed {
			if v, ok := os.LookupEnv(name); ok { //nolint:forbidigo // what the child gets is taken from here
				env = append(env, name+"="+v)
			}
		}
		env = append(env, offspring.Inherited()...)
	}
	env = slices.DeleteFunc(env, func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.Contains(c.WithoutEnv, name)
	})
	env = append(env, c.Env...)
	var hidden []string
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		v, err := c.Secrets[name](ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("fetching %s: %w", name, err)
		}
		if strings.ContainsRune(v, 0) {
			return nil, nil, fmt.Errorf("%s holds a NUL byte", name)
		}
		env = append(env, name+"="+v)
		for line := range strings.Lines(v) {
			// A piece too short to be a secret would only garble the message.
			if line = strings.TrimSpace(line); len(line) >= 4 {
				hidden = append(hidden, forms(line)...)
			}
		}
	}
	return env, hider(hidden), nil
}

const redacted = "[redacted]"

// forms are a secret as it is, and as it stands in JSON and in addresses.
func forms(secret string) []string {
	quoted := func(escapeHTML bool) string {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escapeHTML)
		_ = enc.Encode(secret) // a text can always be written
		return strings.TrimSuffix(strings.TrimPrefix(b.String(), `"`), "\"\n")
	}
	return []string{secret, quoted(true), quoted(false), url.QueryEscape(secret), url.PathEscape(secret)}
}

// hider replaces texts, longer ones before those they start with.
func hider(texts []string) *strings.Replacer {
	slices.SortStableFunc(texts, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, t := range texts {
		pairs = append(pairs, t, redacted)
	}
	return strings.NewReplacer(pairs...)
}

type tooLargeError struct {
	what  string
	limit int64
}

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("%s went past the cap of %d bytes", e.what, e.limit)
}

// capped passes on at most limit bytes; the first one more ends the program.
type capped struct {
	w           io.Writer
	left, limit int64
	end         context.CancelCauseFunc
}

func (c *capped) Write(b []byte) (int, error) {
	if int64(len(b)) > c.left {
		err := &tooLargeError{what: "standard output", limit: c.limit}
		c.end(err)
		return 0, err
	}
	c.left -= int64(len(b))
	return c.w.Write(b)
}

// tail keeps the last max bytes written to it.
type tail struct {
	b   []byte
	max int
	cut bool
}

func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	if len(t.b) > 2*t.max {
		t.b, t.cut = append(t.b[:0], t.b[len(t.b)-t.max:]...), true
	}
	return len(b), nil
}

// String starts with a whole line: half of one might hold half of a secret, which would not be recognised.
func (t *tail) String() string {
	b := t.b
	if over := len(b) - t.max; over > 0 {
		b, t.cut = b[over:], true
	}
	if t.cut {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
