// Command boutique takes an eleven-service shop the whole way: source, images, GitOps repository, cluster, mail.
//
// It scans and tests the source, builds the images, scans what is about to be pushed, pushes it when the gates
// agree, sets eleven tags and digests in one commit, waits until Argo CD runs exactly that, buys something in the
// shop, and sends one mail. Every server that no flag names is stood in for by this library's own fakes, embedded
// and speaking the real protocols; out/waybill.json says of each step what it ran on.
//
// Exit codes: 0 deployed (or all that was asked for), 1 stopped by a gate or not healthy, 2 usage, 3 something is
// broken or was cancelled.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/waybill-dev/waybill/examples/boutique/internal/progress"
	"github.com/waybill-dev/waybill/examples/boutique/internal/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one does not wait for us
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

var errUsage = errors.New("usage")

// usage marks an error as one of the caller's.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errUsage, err)
}

// config is what the flags and the environment say.
type config struct {
	servers
	ci ciEnv

	stage, build, out                 string
	source, inputs, extract, breaking string
	only, reports                     []string
	builder, buildkit, prefix         string
	mend, vulndb, trivyDB             string
	policyFile, baseline              string
	shop                              string // URL of the frontend
	timeout                           time.Duration
	dryRun                            bool

	embedded  bool   // the source is our own
	fixtureDB bool   // the vulnerability database is
	hold      string // why nothing is pushed and deployed
}

func (c *config) flags(stderr io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("boutique", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&c.stage, "stage", "all", "`stage` to run: "+strings.Join(stages, ", ")+", or all; -out hands over from one to the next")
	f.StringVar(&c.out, "out", "out", "`directory` for waybill.json, the reports and the images")
	f.StringVar(&c.build, "build-id", "", "`number` of the build, the images' tag; by default what Azure DevOps or GitHub calls it, or the time")
	f.BoolVar(&c.dryRun, "dry-run", false, "do everything up to the push; show what would be committed; change and send nothing")

	f.StringVar(&c.source, "source", "", "`directory or URL` of a git repository in which a directory with a Dockerfile is a service; the embedded shop when empty")
	list(f, &c.only, "service", "`name` of a service to take, rather than all; may be repeated, or a list with commas")
	list(f, &c.reports, "reports", "`pattern` of JUnit and coverage files that earlier steps left in the source; with it no go test is run; may be repeated")
	f.StringVar(&c.inputs, "inputs", "", "`directory` that -extract wrote: source, policy, and what the stand-ins are filled with")
	f.StringVar(&c.extract, "extract", "", "write the inputs of an ordinary run to a new `directory` and do nothing else")
	f.StringVar(&c.breaking, "break", "", "spoil one `input` of the run: "+breakNames())

	f.StringVar(&c.builder, "builder", "go", "`builder` of the images: go (Go programs, no daemon), or buildx or docker (from the Dockerfile)")
	f.StringVar(&c.buildkit, "buildkit", os.Getenv("BUILDKIT_HOST"), "`address` of a BuildKit for -builder buildx; BUILDKIT_HOST by default")
	f.StringVar(&c.registry, "registry", "", "`host:port` of the registry")
	f.StringVar(&c.prefix, "prefix", "boutique", "`path` of the images in the registry, in front of the service's name")
	f.StringVar(&c.git, "git", "", "`URL` of the GitOps repository")
	f.StringVar(&c.branch, "branch", "", "`branch` of the GitOps repository; its default branch when empty")
	f.StringVar(&c.argocd, "argocd", "", "`URL` of Argo CD")
	f.StringVar(&c.app, "app", "boutique", "`name` of the Argo CD application")
	f.StringVar(&c.shop, "shop", "", "`URL` of the deployed frontend, to buy something there")
	f.DurationVar(&c.timeout, "timeout", 10*time.Minute, "how `long` a deployment may take")

	f.StringVar(&c.vault, "vault", "", "`URL` of Vault; VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID, log in")
	f.StringVar(&c.secret, "secret", "secret/boutique", "`path` in Vault of the credentials; see the README for its keys")
	f.StringVar(&c.user, "user", "ci", "`name` to log in with at the registry, the git and the mail server")

	f.StringVar(&c.sonar, "sonar", "", "`URL` of SonarQube; sonar-scanner is run if there is one, else its report-task.txt is read")
	f.StringVar(&c.project, "project", "boutique", "`key` of the project in SonarQube")
	f.StringVar(&c.mend, "mend", "", "`file or directory` that Mend left behind")
	f.StringVar(&c.vulndb, "vulndb", "", "`directory or URL` of the Go vulnerability database, such as https://vuln.go.dev; a fixture when empty")
	f.StringVar(&c.trivyDB, "trivy-cache", "", "Trivy's cache `directory` with the database, to scan offline")
	f.StringVar(&c.policyFile, "policy", "", "`file` that says what may be shipped; that of the inputs when empty")
	f.StringVar(&c.baseline, "baseline", "", "SARIF `file` of an earlier run: a policy can ask for what is new")

	f.StringVar(&c.smtp, "smtp", "", "`host:port` of the mail server")
	f.StringVar(&c.from, "from", "ci@example.com", "`sender` of the mail")
	f.StringVar(&c.to, "to", "shop-team@example.com", "`recipient` of the mail")
	f.BoolVar(&c.insecure, "insecure", false, "permit plain HTTP to servers that are not on this machine")
	return f
}

func list(f *flag.FlagSet, into *[]string, name, usage string) {
	f.Func(name, usage, func(v string) error {
		*into = append(*into, strings.Split(v, ",")...)
		return nil
	})
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := &config{ci: ciFromEnv()}
	f := c.flags(stderr)
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case f.NArg() > 0:
		err = fmt.Errorf("%w: no arguments are taken, and there is %q", errUsage, f.Args())
	default:
		if err = c.check(); err == nil {
			err = c.start(ctx, stdout, stderr)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "boutique:", err)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	case errors.Is(err, errStopped) && ctx.Err() == nil:
		return 1
	}
	return 3
}

// check finds contradictions in the flags, all at once.
func (c *config) check() error {
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(c.stage != "all" && !slices.Contains(stages, c.stage), "-stage %s is none of %s, all", c.stage, strings.Join(stages, ", "))
	wrong(c.breaking != "" && breaks[c.breaking] == nil, "-break %s is none of %s", c.breaking, breakNames())
	wrong(c.breaking != "" && (c.source != "" || c.inputs != ""), "-break spoils the embedded inputs; your own you spoil yourself")
	wrong(!slices.Contains([]string{"go", "buildx", "docker"}, c.builder), "-builder %s is none of go, buildx, docker", c.builder)
	wrong((c.git == "") != (c.argocd == ""), "-git and -argocd go together: Argo CD reads the repository")
	wrong(c.vault == "" && (c.registry != "" || c.git != "" || c.sonar != "" || c.smtp != ""), "real servers want real credentials: -vault is missing")
	if c.stage != "all" && !c.dryRun {
		// What a stage leaves in a stand-in ends with its process.
		wrong(c.wants("image") && c.registry == "", "-stage image needs -registry: what is pushed to the embedded one ends with this process; -stage all has it all in one")
		wrong((c.wants("gitops") || c.wants("deploy")) && (c.registry == "" || c.git == ""), "-stage %s needs -registry, -git and -argocd: the embedded ones know nothing of another process; -stage all has it all in one", c.stage)
	}
	wrong(c.dryRun && c.stage == "deploy", "-dry-run deploys nothing, so there is nothing to do for -stage deploy")
	return usage(errors.Join(errs...))
}

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
	if p.record, err = c.open(ctx); err != nil {
		return nil, err
	}
	if p.services, err = c.find(p.record.Services); err != nil {
		return nil, err
	}
	if p.standIns, err = startStandIns(ctx, c, in, p.services, p.work); err != nil {
		return nil, err
	}
	if p.clients, err = c.connect(p.standIns); err != nil {
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
		dir := filepath.Join(work, "source")
		if err := git(ctx, work, "clone", "-q", "--", c.source, dir); err != nil {
			return in, err
		}
		if c.ci.Commit != "" {
			if err := git(ctx, dir, "checkout", "-q", "--detach", c.ci.Commit); err != nil {
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

// open returns the waybill of the stages before, or begins one.
func (c *config) open(ctx context.Context) (*record, error) {
	if c.stage != "all" && c.stage != "source" {
		r, err := resume(c.out, c.stage, c.build)
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
	if c.builder == "go" && c.wants("image") {
		for _, s := range all {
			switch _, err := programIn(filepath.Join(c.source, s.dir)); {
			case errors.Is(err, errNoProgram):
				errs = append(errs, fmt.Errorf("%s is no Go program: -builder buildx or docker builds from its Dockerfile", s.name))
			case err != nil:
				errs = append(errs, fmt.Errorf("%s: %w: -builder buildx or docker can", s.name, err))
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
