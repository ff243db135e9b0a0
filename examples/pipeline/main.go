// Command pipeline takes two small services the whole way: it scans and tests their source, builds and pushes
// their images, bumps the GitOps repository, waits until Argo CD runs exactly that, and sends a mail.
//
// Without flags everything it talks to is a fake of this library, embedded in the program: a Vault, a
// registry, a git server, Argo CD and a mail server that speak the real protocols. Flags point it at real ones.
//
// Exit codes: 0 deployed, 1 stopped by the gate or not healthy, 2 usage, 3 something is broken.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/waybill-dev/waybill/gitops"
)

//go:embed services deploy
var embedded embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	var at servers
	flags := flag.NewFlagSet("pipeline", flag.ContinueOnError)
	source := flags.String("source", "", "`directory` with an edited copy of the services' source; the embedded one when empty")
	extract := flags.String("extract", "", "write the services' source to a new `directory` and do nothing else")
	out := flags.String("out", "", "`directory` for the report and the images; a temporary one, removed at the end, when empty")
	build := flags.String("build", strconv.FormatInt(time.Now().Unix(), 10), "build `number`, the images' tag")
	flags.StringVar(&at.vault, "vault", "", "`URL` of a Vault; VAULT_TOKEN logs in; with it all other servers are real too")
	flags.StringVar(&at.secret, "secret", "secret/shop", "`path` in Vault with registry-password, git-token, argocd-token and smtp-password")
	flags.StringVar(&at.registry, "registry", "", "`host:port` of the registry")
	flags.StringVar(&at.git, "git", "", "`URL` of the GitOps repository")
	flags.StringVar(&at.argocd, "argocd", "", "`URL` of Argo CD")
	flags.StringVar(&at.app, "app", "shop", "`name` of the Argo CD application")
	flags.StringVar(&at.smtp, "smtp", "", "`host:port` of the mail server")
	flags.StringVar(&at.from, "from", "ci@example.com", "sender of the mail")
	flags.StringVar(&at.to, "to", "shop-team@example.com", "recipient of the mail")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(os.Stderr, "pipeline: no arguments are taken, and there is %q\n", flags.Args())
		return 2
	}

	err := func() error {
		if *extract != "" {
			return extractSource(*extract)
		}
		return start(ctx, at, *source, *out, *build)
	}()
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "pipeline:", err)
		return 2
	case errors.Is(err, errStopped):
		fmt.Fprintln(os.Stderr, "pipeline:", err)
		return 1
	}
	fmt.Fprintln(os.Stderr, "pipeline:", err)
	return 3
}

var errUsage = errors.New("usage")

// start makes what the pipeline needs, runs it, and cleans up.
func start(ctx context.Context, at servers, source, out, build string) error {
	work, err := os.MkdirTemp("", "pipeline-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if source == "" {
		source = filepath.Join(work, "source")
		if err := extractSource(source); err != nil {
			return err
		}
	}
	if out == "" {
		out = work
	} else if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	services, err := mains(source)
	if err != nil {
		return err
	}

	if _, err := gitops.ByBuild(build, build); err != nil {
		return fmt.Errorf("%w: -build %q: %w", errUsage, build, err)
	}
	given := []string{at.vault, at.registry, at.git, at.argocd, at.smtp}
	missing := slices.Contains(given, "")
	if missing && slices.Max(given) != "" {
		return fmt.Errorf("%w: -vault, -registry, -git, -argocd and -smtp go together, all or none", errUsage)
	}
	if missing {
		fakes, err := startFakes(&at)
		if err != nil {
			return err
		}
		defer fakes.close()
	} else {
		at.vaultToken = func(context.Context) (string, error) { return os.Getenv("VAULT_TOKEN"), nil }
	}

	c, err := at.connect()
	if err != nil {
		return err
	}
	defer c.close(context.WithoutCancel(ctx))
	began := time.Now()
	p := &pipeline{clients: c, at: at, source: source, services: services, build: build, out: out}
	p.say = func(step, format string, args ...any) {
		fmt.Printf("%6.2fs  %-8s %s\n", time.Since(began).Seconds(), step, fmt.Sprintf(format, args...))
	}
	return p.run(ctx)
}

// extractSource writes the services as a module of their own.
func extractSource(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("%w: %s is there already", errUsage, dir)
	}
	services, err := fs.Sub(embedded, "services")
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, services); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/shop\n\ngo 1.26\n"), 0o644)
}

// mains returns the directories of a module that hold a service.
func mains(source string) ([]string, error) {
	found, err := fs.Glob(os.DirFS(source), "*/main.go")
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: %s holds no directory with a main.go", errUsage, source)
	}
	for i := range found {
		found[i] = path.Dir(found[i])
	}
	slices.Sort(found)
	return found, nil
}
