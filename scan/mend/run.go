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
	Update  bool     // send results to the platform, without which policies are not checked there
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
	prog, err := command.Tool{Name: "mend", Path: c.o.Path, VersionArgs: []string{"version"}}.Find(ctx)
	if err != nil {
		return nil, err
	}
	end := &ended{version: prog.Version}
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
		end.file = filepath.Join(dir, "mend.sarif")
		args = append(args, "--dir", ".", "--formats", "sarif", "--filename", end.file)
	case Container:
		end.file, workdir = filepath.Join(dir, "mend.sarif"), dir
		args = append(args, "--format", "sarif", "--filename", end.file)
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
		end.mute = true
		args = append(args, "--dir", ".")
	}
	call := command.Call{Args: append(args, c.o.Args...), Dir: workdir, Env: c.o.Env}
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
	if text, kind := cliExit(end.out.Code); kind != nil {
		return nil, fail(t, kind, errors.New(text), words(end.out))
	}
	if end.violated && end.file != "" {
		if _, err := os.Stat(end.file); err != nil {
			end.file = "" // it stopped at the verdict
		}
	}
	return end, nil
}

// cliExit says what an exit code of the Mend CLI means, nil for the two that are verdicts.
func cliExit(code int) (text string, kind error) {
	switch code {
	case 0, 9:
		return "", nil
	case 1:
		return "exit code 1: a parameter is wrong", scan.ErrConfig
	case 2:
		return "exit code 2: the Mend server cannot be reached", scan.ErrUnavailable
	case 3:
		return "exit code 3: the licence does not cover this", scan.ErrDenied
	case 4:
		return "exit code 4: no language Mend knows", scan.ErrSkipped
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

// NewAgent returns a scanner that runs the Unified Agent with -generateScanReport. The error, with
// [scan.ErrConfig], names every option that is missing or cannot be.
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
	args := []string{"-jar", jar, "-d", ".", "-generateScanReport", "true"}
	if a.o.Config != "" {
		config, err := filepath.Abs(a.o.Config)
		if err != nil {
			return nil, fail(t, scan.ErrConfig, err, nil)
		}
		args = append(args, "-c", config)
	}
	call := command.Call{Args: append(args, a.o.Args...), Dir: t.Path, Env: a.o.Env, Secrets: map[string]func(context.Context) (string, error){}}
	for name, value := range map[string]string{"WS_WSS_URL": a.o.URL, "WS_PRODUCTNAME": a.o.Product, "WS_PROJECTNAME": a.o.Project} {
		if value != "" {
			call.Env = append(call.Env, name+"="+value)
		}
	}
	for name, value := range map[string]func(context.Context) (string, error){"WS_APIKEY": a.o.APIKey, "WS_USERKEY": a.o.UserKey} {
		if value != nil {
			call.Secrets[name] = value
		}
	}
	out, err := java.Run(ctx, call)
	if err != nil {
		return nil, err
	}
	if text, kind := agentExit(out.Code); kind != nil {
		return nil, fail(t, kind, errors.New(text), words(out))
	}
	return &ended{violated: out.Code == 254, out: out}, nil
}

// agentExit says what an exit code of the Unified Agent means: its codes are negative, and a system hands out
// their lowest eight bits. Nil for the two that are verdicts.
func agentExit(code int) (text string, kind error) {
	switch code {
	case 0, 254: // success, -2: policy violation
		return "", nil
	case 253:
		return "exit code -3: a problem of the agent or its configuration", scan.ErrBroken
	case 252:
		return "exit code -4: the Mend server cannot be reached", scan.ErrUnavailable
	case 251:
		return "exit code -5: the Mend server failed", scan.ErrUnavailable
	case 250:
		return "exit code -6: a step before the scan failed", scan.ErrBroken
	case 255:
		return "exit code -1: the scan failed", scan.ErrBroken
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
