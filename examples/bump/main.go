// Bump sets images in a git repository with one commit, without cloning it.
//
//	bump -repo URL [-branch NAME] -image REPOSITORY=TO … [-path GLOB]… [-message T] [-supersede build|semver] [-dry-run]
//
// It prints the commit as JSON. Exit code 0: committed, or already so; 1: superseded by a newer tag, or an image
// was found nowhere; 2: wrong usage; 3: broken, unreachable or denied. Credentials come from GIT_TOKEN (https)
// or SSH_KEY_FILE (ssh; known hosts from SSH_KNOWN_HOSTS or ~/.ssh/known_hosts).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/manifest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr)) //nolint:gocritic // the process ends here, and so does the signal
}

// change is what is printed of a change.
type change struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Path string `json:"path"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

type result struct {
	Revision   string   `json:"revision"`
	Changes    []change `json:"changes"`
	Attempts   int      `json:"attempts"`
	Noop       bool     `json:"noop"`
	Superseded bool     `json:"superseded"`
	Diff       string   `json:"diff,omitempty"`
}

// request is what the flags say.
type request struct {
	url     string
	options gitops.Options
	edits   []manifest.Edit
	bump    gitops.BumpOptions
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	q, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	code, err := q.do(ctx, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "bump:", err)
	}
	return code
}

func parse(args []string, stderr io.Writer) (*request, error) {
	q := &request{}
	flags := flag.NewFlagSet("bump", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: bump -repo URL -image REPOSITORY=TO [-image …] [flags]")
		flags.PrintDefaults()
		fmt.Fprintln(stderr, "Credentials: GIT_TOKEN for https; SSH_KEY_FILE for ssh, with SSH_KNOWN_HOSTS or else ~/.ssh/known_hosts.")
	}
	flags.StringVar(&q.url, "repo", "", "`URL` of the repository: https, ssh or user@host:path")
	flags.StringVar(&q.options.Branch, "branch", "", "branch `name`; default the one the remote HEAD points to")
	flags.Func("image", "`REPOSITORY=TO`: set images of the repository to a tag, tag@digest, @digest or full reference; may be repeated", func(s string) error {
		image, to, found := strings.Cut(s, "=")
		if !found {
			return errors.New("want REPOSITORY=TO")
		}
		q.edits = append(q.edits, manifest.Edit{Image: image, To: to})
		return nil
	})
	flags.Func("path", "`GLOB` of files to read, such as apps/**/*.yaml; may be repeated; without, all YAML and JSON files", func(s string) error {
		q.bump.Paths = append(q.bump.Paths, s)
		return nil
	})
	flags.StringVar(&q.bump.Message, "message", "", "commit message, a text/`template` over .Branch, .Images and .Changes")
	flags.Func("supersede", "`rule` that keeps a newer tag from being overwritten: build or semver", func(s string) error {
		rules := map[string]gitops.Rule{"build": gitops.ByBuild, "semver": gitops.BySemver}
		if q.bump.Supersede = rules[s]; q.bump.Supersede == nil {
			return errors.New("want build or semver")
		}
		return nil
	})
	flags.BoolVar(&q.bump.DryRun, "dry-run", false, "make the commit but do not push it, and print its diff")
	flags.BoolVar(&q.options.AllowInsecureHTTP, "insecure", false, "allow plain http to other machines")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case q.url == "":
		err = errors.New("-repo is required")
	case len(q.edits) == 0:
		err = errors.New("-image is required")
	}
	if err != nil {
		fmt.Fprintln(stderr, "bump:", err)
	}
	return q, err
}

// do bumps, prints the outcome, and returns the exit code.
func (q *request) do(ctx context.Context, stdout io.Writer) (int, error) {
	if err := q.credentials(); errors.Is(err, errNoKey) {
		return 2, err
	} else if err != nil {
		return 3, err
	}
	repo, err := gitops.New(q.url, &q.options)
	if err != nil {
		return 2, err
	}
	c, err := repo.Bump(ctx, q.edits, &q.bump)
	switch {
	case errors.Is(err, manifest.ErrNotFound):
		return 1, err
	case errors.Is(err, gitops.ErrOptions):
		return 2, err
	case err != nil:
		return 3, err
	}
	res := result{Revision: c.Revision, Changes: []change{}, Attempts: c.Attempts, Noop: c.Noop, Superseded: len(c.Superseded) > 0, Diff: c.Diff}
	for _, ch := range c.Changes {
		res.Changes = append(res.Changes, change{ch.File, ch.Line, ch.Path, ch.Old, ch.New})
	}
	if err := json.NewEncoder(stdout).Encode(res); err != nil {
		return 3, err
	}
	if res.Superseded {
		s := c.Superseded[0]
		return 1, fmt.Errorf("superseded: %s:%d has %s, which is newer than %s", s.File, s.Line, s.OldTag, s.NewTag)
	}
	return 0, nil
}

var errNoKey = errors.New("SSH_KEY_FILE is required for ssh")

// credentials reads the environment.
func (q *request) credentials() error {
	switch scheme, _, found := strings.Cut(q.url, "://"); {
	case scheme == "http", scheme == "https":
		if token := os.Getenv("GIT_TOKEN"); token != "" {
			q.options.Token = func(context.Context) (string, error) { return token, nil }
		}
		return nil
	case found && scheme != "ssh", !strings.Contains(q.url, ":"):
		return nil // gitops.New says what is wrong with it
	}
	name := os.Getenv("SSH_KEY_FILE")
	if name == "" {
		return errNoKey
	}
	q.options.SSHKey = func(context.Context) (string, error) {
		key, err := os.ReadFile(name)
		return string(key), err
	}
	known := os.Getenv("SSH_KNOWN_HOSTS")
	if known == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return fmt.Errorf("SSH_KNOWN_HOSTS is not set: %w", err)
		}
		known = filepath.Join(home, ".ssh", "known_hosts")
	}
	var err error
	if q.options.KnownHosts, err = os.ReadFile(known); err != nil {
		return fmt.Errorf("known hosts of SSH_KNOWN_HOSTS or ~/.ssh: %w", err)
	}
	return nil
}
