// Deploy brings a revision live with Argo CD and waits until it is Healthy.
//
//	go run ./examples/deploy -server https://argocd.example.com -app shop -revision 6dcb09b5b57875f334f61aebed695e2e4193db5e -image registry.example.com/shop:42
//	go run ./examples/deploy -server http://127.0.0.1:8080 -app cart -app catalog -timeout 2m
//
// For each application it prints one JSON object: what is live and how long it took, or what is wrong. Several
// applications go side by side. It ends with 0 when all are Healthy, 1 when one is not in time, 2 when it was
// called in a wrong way, and 3 when the server is out of reach or does not allow it. The token is taken from
// ARGOCD_AUTH_TOKEN.
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
	"sync"
	"syscall"
	"time"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdgrpc"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// job is what the command line asks for.
type job struct {
	server, project string
	apps            []string
	want            argocd.Want
	timeout         time.Duration
	grpc, insecure  bool
}

// deployed is printed for an application that is live.
type deployed struct {
	App      string            `json:"app"`
	Revision string            `json:"revision"`
	Sync     argocd.SyncCode   `json:"sync"`
	Health   argocd.HealthCode `json:"health"`
	Seconds  seconds           `json:"seconds"`
}

type seconds struct {
	Refresh float64 `json:"refresh"`
	Sync    float64 `json:"sync"`
	Healthy float64 `json:"healthy"`
	Total   float64 `json:"total"`
}

// failed is printed for one that is not.
type failed struct {
	App    string         `json:"app"`
	Error  string         `json:"error"`
	Report *argocd.Report `json:"report,omitempty"`
}

var (
	errUsage = errors.New("usage")
	errPrint = errors.New("cannot print")
)

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	j, err := parse(args, stderr)
	if err == nil {
		err = j.do(ctx, getenv("ARGOCD_AUTH_TOKEN"), stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stderr, "deploy:", err)
	}
	return code(err)
}

// code is the exit code: the worst of the applications' errors decides.
func code(err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage), errors.Is(err, argocd.ErrInvalid):
		return 2
	}
	for _, broken := range []error{errPrint, argocd.ErrDenied, argocd.ErrUnavailable, argocd.ErrNotFound, argocd.ErrReply, argocd.ErrRefused, context.Canceled} {
		if errors.Is(err, broken) {
			return 3
		}
	}
	return 1
}

func parse(args []string, stderr io.Writer) (*job, error) {
	j := &job{}
	fs := flag.NewFlagSet("deploy", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&j.server, "server", "", "`URL` of Argo CD")
	list(fs, &j.apps, "app", "application to deploy, by `NAME` or NAMESPACE/NAME; may be given again")
	fs.StringVar(&j.project, "project", "default", "`NAME` of the applications' project")
	list(fs, &j.want.Revisions, "revision", "commit `SHA` that must be live; none means the newest of the target")
	list(fs, &j.want.Images, "image", "image `REF` that must run; may be given again")
	fs.DurationVar(&j.timeout, "timeout", 5*time.Minute, "how long to wait")
	fs.BoolVar(&j.grpc, "grpc", false, "speak gRPC rather than REST")
	fs.BoolVar(&j.insecure, "insecure", false, "allow plain HTTP to other hosts than this one")
	if err := fs.Parse(args); err != nil {
		return nil, errors.Join(errUsage, err)
	}
	switch {
	case fs.NArg() > 0:
		return nil, fmt.Errorf("%w: unexpected argument %q", errUsage, fs.Arg(0))
	case j.server == "":
		return nil, fmt.Errorf("%w: -server is required", errUsage)
	case len(j.apps) == 0:
		return nil, fmt.Errorf("%w: -app is required", errUsage)
	case len(j.want.Revisions) > 1:
		return nil, fmt.Errorf("%w: -revision can be given once", errUsage)
	case j.timeout <= 0:
		return nil, fmt.Errorf("%w: -timeout must be positive", errUsage)
	}
	return j, nil
}

func list(fs *flag.FlagSet, to *[]string, name, usage string) {
	fs.Func(name, usage, func(s string) error {
		*to = append(*to, s)
		return nil
	})
}

// do deploys all applications and prints each when it is done.
func (j *job) do(ctx context.Context, token string, stdout io.Writer) error {
	client, done, err := j.client(token)
	if err != nil {
		return err
	}
	defer done()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	out := json.NewEncoder(stdout)
	show := func(v any) {
		if err := out.Encode(v); err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", errPrint, err))
		}
	}
	for _, app := range j.apps {
		wg.Go(func() {
			d, err := client.SyncAndWait(ctx, app, j.want, &argocd.WaitOptions{Timeout: j.timeout})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				f := failed{App: app, Error: err.Error()}
				if e, ok := errors.AsType[*argocd.Error](err); ok {
					f.Report = e.Report
				}
				errs = append(errs, err)
				show(f)
				return
			}
			show(report(d))
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func report(d *argocd.Deployed) deployed {
	r := deployed{App: d.App, Sync: d.Sync, Health: d.Health, Seconds: seconds{
		Refresh: d.Took.Refresh.Seconds(), Sync: d.Took.Sync.Seconds(), Healthy: d.Took.Healthy.Seconds(), Total: d.Took.Total.Seconds(),
	}}
	if len(d.Revisions) > 0 {
		r.Revision = d.Revisions[0]
	}
	return r
}

func (j *job) client(token string) (*argocd.Client, func(), error) {
	var bearer func(context.Context) (string, error)
	if token != "" {
		bearer = func(context.Context) (string, error) { return token, nil }
	}
	if j.grpc {
		c, err := argocdgrpc.New(j.server, &argocdgrpc.Options{Token: bearer, Project: j.project, AllowInsecureHTTP: j.insecure})
		if err != nil {
			return nil, nil, err
		}
		return c.Client, func() { _ = c.Close() }, nil
	}
	c, err := argocd.New(j.server, &argocd.Options{Token: bearer, Project: j.project, AllowInsecureHTTP: j.insecure})
	return c, func() {}, err
}
