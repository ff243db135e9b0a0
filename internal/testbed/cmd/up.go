package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/internal/testbed"
)

// servers start a server and return what a person needs to use it.
func servers() map[string]func(tb testbed.TB) string {
	return map[string]func(tb testbed.TB) string{
		"registry": func(tb testbed.TB) string { return testbed.Registry(tb) },
		"vault": func(tb testbed.TB) string {
			v := testbed.StartVault(tb, nil)
			return fmt.Sprintf("VAULT_ADDR=%s VAULT_CACERT=%s VAULT_TOKEN=%s", v.URL, v.CAFile, v.RootToken)
		},
		"git": func(tb testbed.TB) string { return testbed.GitHTTP(tb, nil).Init("repo.git") },
		"kubernetes": func(tb testbed.TB) string {
			return "export KUBECONFIG=" + testbed.Kubernetes(tb).Kubeconfig
		},
		"argocd": func(tb testbed.TB) string {
			shop := testbed.NewShop(tb, "shop")
			a := testbed.ArgoCD(tb, testbed.ArgoCD33)
			a.Application("shop", shop.URL, "shop", false)
			return fmt.Sprintf("server %s, application shop of %s\nexport KUBECONFIG=%s ARGOCD_AUTH_TOKEN=%s", a.Server, shop.URL, a.Kubeconfig, a.APIKey)
		},
	}
}

// up starts the named server and keeps it until ctx ends.
func up(ctx context.Context, names []string) (err error) {
	known := slices.Sorted(maps.Keys(servers()))
	if len(names) != 1 || servers()[names[0]] == nil {
		return fmt.Errorf("up takes one of: %s", strings.Join(known, ", "))
	}
	p := &person{ctx: ctx}
	defer p.cleanUp()
	defer func() {
		if r := recover(); r != nil {
			stopped, ok := r.(error)
			if !ok || !errors.Is(stopped, errStopped) {
				panic(r)
			}
			err = stopped
		}
	}()
	fmt.Println(servers()[names[0]](p))
	fmt.Fprintln(os.Stderr, "running until interrupted")
	<-ctx.Done()
	return nil
}

var errStopped = errors.New("could not start")

// person is the TB of somebody who runs a server by hand.
type person struct {
	ctx      context.Context //nolint:containedctx // stands in for testing.TB, which holds one
	failed   bool
	cleanups []func()
}

func (p *person) Helper()                           {}
func (p *person) Context() context.Context          { return p.ctx }
func (p *person) Failed() bool                      { return p.failed }
func (p *person) Cleanup(f func())                  { p.cleanups = append(p.cleanups, f) }
func (p *person) Logf(format string, args ...any)   { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (p *person) Errorf(format string, args ...any) { p.failed = true; p.Logf(format, args...) }
func (p *person) Skipf(format string, args ...any)  { p.Fatalf(format, args...) }

func (p *person) Fatalf(format string, args ...any) {
	p.failed = true
	panic(fmt.Errorf("%w: %s", errStopped, fmt.Sprintf(format, args...)))
}

func (p *person) TempDir() string {
	dir, err := os.MkdirTemp("", "testbed-")
	if err != nil {
		p.Fatalf("%v", err)
	}
	p.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (p *person) cleanUp() {
	for _, f := range slices.Backward(p.cleanups) {
		f()
	}
}
