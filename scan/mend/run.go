package mend

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/waybill-dev/waybill/internal/leftover"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
)

// Product is what the Mend CLI scans.
type Product string

// The products of the Mend CLI.
const (
	Dependencies Product = "dep"   // writes no report that can be read: only the policies' verdict is known
	Code         Product = "code"  // writes SARIF
	Container    Product = "image" // writes SARIF
)

// CLIOptions for [NewCLI]. URL, Email and UserKey are those of the service user, as Mend's documentation names
// them; without them the CLI uses what it was set up with.
type CLIOptions struct {
	Product Product  // "" is Dependencies
	Path    string   // the mend command; "" is looked up on the PATH
	Scope   string   // where results belong: "organisation//application//project"
	Args    []string // more flags
	URL     string   // MEND_URL
	Email   string   // MEND_EMAIL
	UserKey func(ctx context.Context) (string, error)
	Env     []string // added to the environment, as "NAME=value"
	Update  bool     // send results to the platform; otherwise they are seen here only
}

// NewCLI returns a scanner that runs the Mend CLI. o may be nil. The error, with [scan.ErrConfig], names every
// option that cannot be.
func NewCLI(o *CLIOptions) (*Scanner, error) {
	if o == nil {
		o = &CLIOptions{}
	}
	c := cli{*o}
	s := &Scanner{run: c.run}
	var errs []error
	switch o.Product {
	case "", Dependencies:
		c.o.Product, s.kinds = Dependencies, []scan.Kind{scan.Dir, scan.Git}
	case Code:
		s.kinds = []scan.Kind{scan.Dir, scan.Git}
	case Container:
		s.kinds = []scan.Kind{scan.Image, scan.Archive}
	default:
		errs = append(errs, fmt.Errorf("the Product %q is none of dep, code, image", o.Product))
	}
	if (o.Email == "") != (o.UserKey == nil) {
		errs = append(errs, errors.New("only one of Email and UserKey is given"))
	}
	s.run = c.run
	if len(errs) > 0 {
		return nil, &scan.Error{Op: "new", Scanner: Name, Kind: scan.ErrConfig, Err: errors.Join(errs...)}
	}
	return s, nil
}

type cli struct{ o CLIOptions }

func (c cli) run(ctx context.Context, t scan.Target, dir string) (*ended, error) {
	prog, err := c.find(ctx)
	if err != nil {
		return nil, err
	}
	end := &ended{version: prog.Version, mute: c.o.Product == Dependencies}
	args := []string{string(c.o.Product), "--non-interactive", "--fail-policy"}
	if c.o.Scope != "" {
		args = append(args, "--scope", c.o.Scope)
	}
	if c.o.Update {
		args = append(args, "--update")
	}
	workdir := t.Path
	switch c.o.Product {
	case Code:
		// It writes reports only when asked with --report, too, and adds the suffix itself.
		args = append(args, "--dir", ".", "--report", "--formats", "sarif", "--filename", filepath.Join(dir, "mend"))
	case Container:
		workdir = dir
		args = append(args, "--format", "sarif", "--filename", filepath.Join(dir, "mend.sarif"))
		if t.Kind == scan.Archive {
			abs, err := filepath.Abs(t.Path)
			if err != nil {
				return nil, fail(t, scan.ErrTarget, err, nil)
			}
			args = append(args, "--tar", abs)
		} else {
			args = append(args, t.Path)
		}
	default:
		args = append(args, "--dir", ".")
	}
	call := command.Call{Args: append(args, c.o.Args...), Dir: workdir, Env: c.o.Env, MaxOutput: maxSaid}
	if c.o.URL != "" {
		call.Env = append(call.Env, "MEND_URL="+c.o.URL)
	}
	if c.o.UserKey != nil {
		call.Env = append(call.Env, "MEND_EMAIL="+c.o.Email)
		call.Secrets = map[string]func(context.Context) (string, error){"MEND_USER_KEY": c.o.UserKey}
	}
	if end.out, err = prog.Run(ctx, call); err != nil {
		return nil, err
	}
	end.violated = end.out.Code == 9
	if text, kind := cliExit(c.o.Product, end.out.Code); kind != nil {
		return nil, fail(t, kind, errors.New(text), words(end.out))
	}
	if !end.mute {
		end.file = written(dir)
		if end.file == "" && !end.violated { // with a violation it may stop at the verdict
			return nil, fail(t, scan.ErrOutput, errors.New("the tool wrote no report"), words(end.out))
		}
	}
	return end, nil
}

// find looks the CLI up. Its version is good to know and not needed.
func (c cli) find(ctx context.Context) (*command.Program, error) {
	tool := command.Tool{Name: "mend", Path: c.o.Path, VersionArgs: []string{"version"}}
	prog, err := tool.Find(ctx)
	if errors.Is(err, scan.ErrBroken) && ctx.Err() == nil {
		tool.VersionArgs = nil
		return tool.Find(ctx)
	}
	return prog, err
}

// written is the SARIF file in dir, which holds nothing else; "" when there is none.
func written(dir string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "mend*"))
	for _, name := range files {
		if strings.HasSuffix(name, ".sarif") {
			return name
		}
	}
	return ""
}

// cliExit says what an exit code of the Mend CLI means, nil for the two that are verdicts. Those from 3 to 8 are
// documented for Code alone.
func cliExit(product Product, code int) (text string, kind error) {
	switch {
	case code == 0, code == 9:
		return "", nil
	case code == 1:
		return "exit code 1: a parameter is wrong", scan.ErrConfig
	case code == 2:
		return "exit code 2: the Mend server cannot be reached", scan.ErrUnavailable
	case product != Code:
	case code == 3:
		return "exit code 3: the licence does not cover this", scan.ErrDenied
	case code == 4:
		return "exit code 4: no language Mend knows", scan.ErrSkipped
	case code == 5, code == 6, code == 7, code == 8:
		return fmt.Sprintf("exit code %d: the engine could not be updated, started or spoken to", code), scan.ErrBroken
	}
	return fmt.Sprintf("exit code %d", code), scan.ErrBroken
}

// AgentOptions for [NewAgent]. Jar is required.
type AgentOptions struct {
	Jar     string // path of wss-unified-agent.jar
	Java    string // the java command; "" is looked up on the PATH
	Config  string // wss-unified-agent.config; "" is the one in the target's directory, if there is one
	URL     string // WS_WSS_URL
	Product string // WS_PRODUCTNAME
	Project string // WS_PROJECTNAME
	APIKey  func(ctx context.Context) (string, error)
	UserKey func(ctx context.Context) (string, error)
	Args    []string // more flags
	Env     []string // added to the environment, as "NAME=value"
	Reports []string // files it leaves behind, as for NewReader; nil is DefaultReports
}

// NewAgent returns a scanner that runs the Unified Agent, tells it to check the policies (WS_CHECKPOLICIES), without
// which it knows no violation, and to write its report (WS_GENERATESCANREPORT), for which it needs a UserKey. Env and
// Args have the last word. The error, with [scan.ErrConfig], names every option that is missing or cannot be.
func NewAgent(o *AgentOptions) (*Scanner, error) {
	if o == nil {
		o = &AgentOptions{}
	}
	var errs []error
	if o.Jar == "" {
		errs = append(errs, errors.New("no Jar"))
	}
	for _, p := range o.Reports {
		errs = append(errs, leftover.Check(p))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &scan.Error{Op: "new", Scanner: Name, Kind: scan.ErrConfig, Err: err}
	}
	return &Scanner{kinds: []scan.Kind{scan.Dir, scan.Git}, reports: o.Reports, run: agent{*o}.run}, nil
}

type agent struct{ o AgentOptions }

func (a agent) run(ctx context.Context, t scan.Target, _ string) (*ended, error) {
	jar, err := filepath.Abs(a.o.Jar)
	if err != nil {
		return nil, fail(t, scan.ErrConfig, err, nil)
	}
	if _, err := os.Stat(jar); err != nil {
		return nil, fail(t, scan.ErrToolMissing, err, nil)
	}
	java, err := command.Tool{Name: "java", Path: a.o.Java}.Find(ctx)
	if err != nil {
		return nil, err
	}
	args := []string{"-jar", jar, "-d", "."}
	if a.o.Config != "" {
		config, err := filepath.Abs(a.o.Config)
		if err != nil {
			return nil, fail(t, scan.ErrConfig, err, nil)
		}
		args = append(args, "-c", config)
	}
	call := command.Call{
		Args: append(args, a.o.Args...), Dir: t.Path, MaxOutput: maxSaid, Env: []string{"WS_GENERATESCANREPORT=true", "WS_CHECKPOLICIES=true"},
		Secrets: map[string]func(context.Context) (string, error){},
	}
	for name, value := range map[string]string{"WS_WSS_URL": a.o.URL, "WS_PRODUCTNAME": a.o.Product, "WS_PROJECTNAME": a.o.Project} {
		if value != "" {
			call.Env = append(call.Env, name+"="+value)
		}
	}
	call.Env = append(call.Env, a.o.Env...)
	for name, value := range map[string]func(context.Context) (string, error){"WS_APIKEY": a.o.APIKey, "WS_USERKEY": a.o.UserKey} {
		if value != nil {
			call.Secrets[name] = value
		}
	}
	out, err := java.Run(ctx, call)
	if err != nil {
		return nil, err
	}
	// Its codes are negative. Windows hands them out as they are, other systems their lowest eight bits.
	code := int8(out.Code) //nolint:gosec // those bits
	if text, kind := agentExit(code); kind != nil {
		return nil, fail(t, kind, errors.New(text), words(out))
	}
	return &ended{violated: code == agentViolation, out: out}, nil
}

const agentViolation = -2

// agentExit says what an exit code of the Unified Agent means, nil for the two that are verdicts.
func agentExit(code int8) (text string, kind error) {
	switch code {
	case 0, agentViolation:
		return "", nil
	case -1:
		return "exit code -1: the scan failed", scan.ErrBroken
	case -3:
		return "exit code -3: a problem of the agent or its configuration", scan.ErrBroken
	case -4:
		return "exit code -4: the Mend server cannot be reached", scan.ErrUnavailable
	case -5:
		return "exit code -5: the Mend server failed", scan.ErrUnavailable
	case -6:
		return "exit code -6: a step before the scan failed", scan.ErrBroken
	}
	return fmt.Sprintf("exit code %d", code), scan.ErrBroken
}

// words finds the tool's last words: both tools write their errors among the rest of standard output.
func words(out *command.Output) *command.Output {
	if strings.TrimSpace(out.Stderr) != "" {
		return out
	}
	lines := bufio.NewScanner(strings.NewReader(string(out.Stdout)))
	last := ""
	for lines.Scan() {
		if text := strings.TrimSpace(lines.Text()); text != "" {
			last = text
		}
	}
	return &command.Output{Code: out.Code, Stderr: last}
}
