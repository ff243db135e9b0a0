package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/internal/progress"
	"github.com/waybill-dev/waybill/examples/boutique/internal/telemetry"
)

// start makes what the run needs, runs it, and cleans up.
func (c *config) start(ctx context.Context, stdout, stderr io.Writer) error {
	if c.extract != "" {
		_, err := extractInputs(ctx, c.extract)
		return err
	}
	p, err := c.assemble(ctx)
	if err != nil {
		return err
	}
	defer p.close(context.WithoutCancel(ctx))
	if p.trace, err = telemetry.FromEnv(ctx, "boutique", p.record.Build); err != nil {
		fmt.Fprintln(stderr, "boutique: no telemetry:", p.redactor.Error(err))
	}
	p.show = progress.New(stdout, progress.IsTerminal(stdout))
	err = p.run(ctx)
	p.show.Close()
	return errors.Join(err, p.summary(stdout), p.announce(ctx, stdout))
}

// assemble brings together what a run needs: inputs, the waybill so far, servers, clients. When it fails nothing
// is left behind.
func (c *config) assemble(ctx context.Context) (_ *pipeline, err error) {
	p := &pipeline{config: c}
	defer func() {
		if err != nil {
			p.close(context.WithoutCancel(ctx))
		}
	}()
	if p.work, err = os.MkdirTemp(c.ci.TempDir, "boutique-"); err != nil {
		return nil, err
	}
	in, err := c.prepare(ctx, p.work)
	if err != nil {
		return nil, err
	}
	if p.policy, err = readPolicy(c.policyFile); err != nil {
		return nil, err
	}
	if c.baseline != "" { // it may be one of the files that make room for this run's
		kept := filepath.Join(p.work, "baseline.sarif")
		if err := copyFile(kept, c.baseline); err != nil {
			return nil, usage(err)
		}
		c.baseline = kept
	}
	if p.record, err = c.open(ctx); err != nil {
		return nil, err
	}
	if p.services, err = c.find(p.record.Services); err != nil {
		return nil, err
	}
	if p.standIns, err = startStandIns(ctx, c, in, p.services, p.work); err != nil {
		return nil, err
	}
	if p.clients, err = c.connect(p.standIns, p.work); err != nil {
		return nil, err
	}
	if p.standIns.cluster != nil {
		p.standIns.cluster.registry = p.registry
	}
	p.record.Services, p.record.Steps = nil, c.plan(p.standIns, p.clients, p.record.Steps)
	for _, s := range p.services {
		p.record.Services = append(p.record.Services, s.name)
	}
	return p, nil
}

// close ends everything that was started and removes what was only for the run.
func (p *pipeline) close(ctx context.Context) {
	if p.standIns != nil {
		p.standIns.close()
	}
	if p.clients != nil {
		p.clients.close(ctx)
	}
	for _, f := range p.opened {
		_ = f.Close()
	}
	_ = os.RemoveAll(p.work)
}

// prepare brings the inputs to where they are read.
func (c *config) prepare(ctx context.Context, work string) (inputs, error) {
	c.embedded, c.fixtureDB = c.source == "" && c.inputs == "", c.vulndb == ""
	if c.source == "" { // whatever the CI system builds, it is not the shop of this program
		c.ci.Commit, c.ci.Branch, c.ci.PullRequest, c.ci.PullRequestBranch, c.ci.PullRequestTarget = "", "", "", "", ""
	}
	switch {
	case c.dryRun:
		c.hold = "a dry run changes nothing"
	case c.ci.PullRequest != "":
		c.hold = "pull request " + c.ci.PullRequest + " is checked, not shipped"
	}
	in := inputs(c.inputs)
	if c.inputs == "" {
		var err error
		if in, err = extractInputs(ctx, filepath.Join(work, "inputs")); err != nil {
			return in, err
		}
	}
	if c.breaking != "" {
		if err := breaks[c.breaking](ctx, in); err != nil {
			return in, err
		}
	}
	c.policyFile, c.vulndb = cmp.Or(c.policyFile, in.policy()), cmp.Or(c.vulndb, in.vulndb())
	switch {
	case c.source == "":
		c.source = in.source()
	case strings.Contains(c.source, "://") || strings.HasPrefix(c.source, "git@"):
		parent := mkdir(filepath.Join(work, "clone"))
		if _, err := userGit(ctx, parent, "clone", "-q", "--", c.source); err != nil {
			return in, err
		}
		dir, err := onlyEntry(parent) // named after the repository, as the service at its top and the waybill are
		if err != nil {
			return in, err
		}
		if c.ci.Commit != "" {
			if _, err := userGit(ctx, dir, "checkout", "-q", "--detach", c.ci.Commit); err != nil {
				return in, err
			}
		}
		c.source = dir
	}
	if info, err := os.Stat(c.source); err != nil || !info.IsDir() {
		return in, fmt.Errorf("%w: -source %s is no directory", errUsage, c.source)
	}
	abs, err := filepath.Abs(c.source)
	c.source = abs
	return in, err
}

func copyFile(to, from string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

func onlyEntry(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		return "", errors.Join(err, fmt.Errorf("%d entries in %s, and not one", len(entries), dir))
	}
	return filepath.Join(dir, entries[0].Name()), nil
}

// open returns the waybill of the stages before, or begins one.
func (c *config) open(ctx context.Context) (*record, error) {
	if c.stage != "all" && c.stage != "source" {
		r, err := c.resume()
		if err == nil {
			r.Outcome = running
		}
		return r, err
	}
	if entries, err := os.ReadDir(c.out); err == nil && len(entries) > 0 {
		if _, err := os.Stat(c.path(recordFile)); err != nil {
			return nil, fmt.Errorf("%w: -out %s holds other things than a run's", errUsage, c.out)
		}
	}
	if err := os.MkdirAll(c.out, 0o755); err != nil {
		return nil, err
	}
	for _, name := range outputs { // of an earlier run
		if err := os.RemoveAll(c.path(name)); err != nil {
			return nil, err
		}
	}
	return &record{
		Version: 1, Outcome: running, Started: time.Now().UTC(),
		Build: cmp.Or(c.build, c.ci.Build, strconv.FormatInt(time.Now().Unix(), 10)),
		CI:    c.ci.System, Source: c.sourceName(), Branch: c.ci.Branch, PullRequest: c.ci.PullRequest,
		Services: []string{}, Files: []file{}, Images: []shipped{},
	}, nil
}

// sourceName is what the waybill calls the source: no path of this machine, no credentials.
func (c *config) sourceName() string {
	if c.embedded {
		return "embedded"
	}
	return filepath.Base(c.source)
}

// find lists the services of the source that are wanted.
func (c *config) find(before []string) ([]service, error) {
	dirs, err := services(c.source)
	if err != nil {
		return nil, err
	}
	var all []service
	names := map[string]int{}
	for _, dir := range dirs {
		name := path.Base(dir)
		if name == "src" { // of the service above
			name = path.Base(path.Dir(dir))
		}
		if dir == "." {
			name = filepath.Base(c.source)
		}
		names[name]++
		all = append(all, service{name: strings.ToLower(name), dir: filepath.FromSlash(dir)})
	}
	var errs []error
	for name, n := range names {
		if n > 1 {
			errs = append(errs, fmt.Errorf("%d services are called %s", n, name))
		}
	}
	for _, name := range c.only {
		if !slices.ContainsFunc(all, func(s service) bool { return s.name == name }) {
			errs = append(errs, fmt.Errorf("-service %s is no directory with a Dockerfile", name))
		}
	}
	all = slices.DeleteFunc(all, func(s service) bool {
		return len(c.only) > 0 && !slices.Contains(c.only, s.name) || len(before) > 0 && !slices.Contains(before, s.name)
	})
	if len(all) == 0 {
		errs = append(errs, fmt.Errorf("%s holds no directory with a Dockerfile", c.source))
	}
	for _, s := range all {
		if name := path.Join(c.prefix, s.name); !repositoryPattern.MatchString(name) {
			errs = append(errs, fmt.Errorf("%s: %s is no name that a registry takes for an image", s.dir, name))
		}
	}
	if c.builder == "go" && c.wants("image") {
		for _, s := range all {
			if _, err := programIn(filepath.Join(c.source, s.dir)); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w: -builder buildx or docker builds its image", s.name, err))
			}
		}
	}
	return all, usage(errors.Join(errs...))
}

// isShop reports whether a source is this program's own shop, edited or not.
func isShop(source string) bool {
	b, err := os.ReadFile(filepath.Join(source, "go.mod"))
	return err == nil && string(b) == goMod
}
