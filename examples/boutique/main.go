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
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/waybill-dev/waybill/gitops"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one does not wait for us
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(600 << 20) // govulncheck's engine leaves much behind; to collect it earlier costs little
	}
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

var (
	tagPattern        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
)

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
	if c.stage != "all" {
		// What a stage leaves in a stand-in ends with its process.
		wrong(c.wants("image") && c.registry == "", "-stage image needs -registry: what is pushed to the embedded one ends with this process; -stage all has it all in one")
		wrong((c.wants("gitops") || c.wants("deploy")) && (c.registry == "" || c.git == ""), "-stage %s needs -registry, -git and -argocd: the embedded ones know nothing of another process; -stage all has it all in one", c.stage)
	}
	if build := cmp.Or(c.build, c.ci.Build); build != "" {
		_, err := gitops.ByBuild(build, build)
		wrong(err != nil || !tagPattern.MatchString(build), "-build-id %s is no image tag with a number in it, by which builds are told older from newer", build)
	}
	if c.shop != "" {
		u, err := url.Parse(c.shop)
		wrong(err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https", "-shop %s is no URL with http or https", c.shop)
	}
	wrong(c.timeout <= 0, "-timeout %s is no time to wait", c.timeout)
	wrong(c.dryRun && c.stage == "deploy", "-dry-run deploys nothing, so there is nothing to do for -stage deploy")
	return usage(errors.Join(errs...))
}
