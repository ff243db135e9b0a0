// Package argocd brings a commit live with Argo CD and knows that it is live: it refreshes, syncs, follows
// its own operation, and waits until the caller's revision and the caller's images are the ones that run and
// are Healthy. "Synced and Healthy" alone says nothing of the kind: right after a push an application is
// still Synced and Healthy, at the revision before.
//
//	c, err := argocd.New("https://argocd.example.com", &argocd.Options{Token: token})
//	…
//	d, err := c.SyncAndWait(ctx, "shop", argocd.Want{
//		Revisions: []string{commit.Revision},
//		Images:    []string{"registry.example.com/shop@sha256:…"},
//	}, nil)
//
// The package speaks Argo CD's REST API (versions 2.14 to 3.3) with net/http and needs nothing else. The
// package argocdgrpc, a module of its own, brings the same [Client] over gRPC. Package argocdtest is a fake
// server for tests.
//
// # Errors
//
// Every error is an [*Error], or the joined errors of a bad [Options] inside one. Its Kind is one of the
// sentinels below and is found by [errors.Is]. The failure of a wait carries a [*Report] of what was last
// seen. A wait that ran out also is a [context.DeadlineExceeded], and ErrUnavailable when the server was out of
// reach at its end; one that was cancelled is a [context.Canceled]. What the server answered is reached by [errors.As] with a [*StatusError].
package argocd

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/retry"
)

// Client drives applications of one Argo CD. It is safe for concurrent use and holds no goroutines between
// calls.
type Client struct {
	api     API
	project string
	timeout time.Duration
}

// Ref names an application for an [API].
type Ref struct {
	Name      string
	Namespace string // "" is the one that Argo CD itself runs in
	Project   string
}

// NewFromAPI returns a client over a connection of the caller's. The project is the AppProject of the
// applications, "" for "default": a server tells "does not exist" from "not allowed" only to those who name
// it. requestTimeout bounds each single request, 0 for 30 seconds.
func NewFromAPI(api API, project string, requestTimeout time.Duration) *Client {
	if project == "" {
		project = "default"
	}
	if requestTimeout <= 0 {
		requestTimeout = 30 * time.Second
	}
	return &Client{api: api, project: project, timeout: requestTimeout}
}

// Status returns the application as the server has it now. It is called by its name, or by
// "namespace/name" when it lives outside of Argo CD's own namespace; so in all methods.
func (c *Client) Status(ctx context.Context, app string) (*Application, error) {
	return c.get(ctx, "status", app, NoRefresh)
}

// Refresh makes the server read the repository anew and compare, and returns the outcome. hard also drops
// the cached manifests.
func (c *Client) Refresh(ctx context.Context, app string, hard bool) (*Application, error) {
	mode := NormalRefresh
	if hard {
		mode = HardRefresh
	}
	return c.get(ctx, "refresh", app, mode)
}

func (c *Client) get(ctx context.Context, op, app string, mode RefreshMode) (*Application, error) {
	ref, err := c.ref(app)
	if err != nil {
		return nil, wrap(op, app, err)
	}
	var a *Application
	err = retry.Do(ctx, retry.Policy{}, func(ctx context.Context, _ int) error {
		ctx, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		a, err = c.api.Get(ctx, ref, mode)
		return againIfTransient(err)
	})
	if err != nil {
		return nil, wrap(op, app, err)
	}
	return a, nil
}

// SyncOptions say how to sync. The zero value syncs everything to the application's target revision, by the
// application's own options.
type SyncOptions struct {
	// Revisions to sync to, one for each source ("" for a source's own target). With automated sync the
	// server takes no other than the target.
	Revisions []string
	Prune     bool       // delete what the revision no longer has
	DryRun    bool       // change nothing; the operation's result says what would be done
	Force     bool       // delete and make anew what cannot be patched
	Apply     bool       // plain apply without hooks
	Resources []Resource // only these; the application as a whole stays OutOfSync
	Retry     *Retry     // nil leaves it to the application
	Options   []string   // such as "CreateNamespace=true"; nil leaves them to the application
	Infos     []Info     // notes that go with the operation
	ID        string     // finds the operation again; "" makes a random one
}

// Retry is how often, and after which pauses, the server tries a failed sync again.
type Retry struct {
	Limit    int           // tries after the first; negative for no end
	Base     time.Duration // first pause, 0 for the server's (5 s)
	Factor   int           // by which each pause is longer than the one before, 0 for the server's (2)
	MaxPause time.Duration // 0 for the server's (3 minutes)
}

// IDInfo is the name of the info that carries an operation's id.
const IDInfo = "waybill-id"

// Started is an operation that the server has taken on. It may still be running.
type Started struct {
	ID          string   // by which [WaitOptions].Operation follows it; "" for a rollback
	Revisions   []string // as far as they are known
	Application *Application
}

// Sync starts a sync and does not wait for it. A request that broke half-way is sent again with the same id,
// and is not started twice.
//
// ErrBusy says that another operation is in progress, ErrBlocked that a sync window forbids it, ErrRefused
// that the server will not, for another reason.
func (c *Client) Sync(ctx context.Context, app string, o *SyncOptions) (*Started, error) {
	ref, err := c.ref(app)
	if err != nil {
		return nil, wrap("sync", app, err)
	}
	if o == nil {
		o = &SyncOptions{}
	}
	if err := o.check(); err != nil {
		return nil, wrap("sync", app, err)
	}
	req := o.request()
	var a *Application
	unsure := false // an earlier try may have reached the server
	err = retry.Do(ctx, retry.Policy{}, func(ctx context.Context, _ int) error {
		ctx, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		if unsure {
			if a, err = c.api.Get(ctx, ref, NoRefresh); err != nil || a.hasOperation(req.id()) {
				return againIfTransient(err)
			}
		}
		a, err = c.api.Sync(ctx, ref, req)
		unsure = unsure || transient(err)
		return againIfTransient(err)
	})
	if err != nil {
		return nil, wrap("sync", app, err)
	}
	started := &Started{ID: req.id(), Revisions: a.Operation.revisions(), Application: a}
	if s := a.Status.OperationState; a.Operation == nil && s != nil { // found again, and over already
		started.Revisions = s.revisions()
	}
	return started, nil
}

func (o *SyncOptions) check() error {
	var errs []error
	if o.Retry != nil && (o.Retry.Base < 0 || o.Retry.MaxPause < 0 || o.Retry.Factor < 0) {
		errs = append(errs, field("Retry", "negative pause or factor"))
	}
	for i, r := range o.Resources {
		if r.Kind == "" || r.Name == "" {
			errs = append(errs, field(fmt.Sprintf("Resources[%d]", i), "kind and name are required"))
		}
	}
	for _, in := range o.Infos {
		if in.Name == IDInfo {
			errs = append(errs, field("Infos", "%s is set through ID", IDInfo))
		}
	}
	return invalid(errs...)
}

func (o *SyncOptions) request() SyncRequest {
	id := o.ID
	if id == "" {
		id = rand.Text()
	}
	req := SyncRequest{
		Prune: o.Prune, DryRun: o.DryRun, Resources: o.Resources,
		Infos: append(slices.Clone(o.Infos), Info{Name: IDInfo, Value: id}),
	}
	switch {
	case o.Apply:
		req.Strategy = &SyncStrategy{Apply: &Force{Force: o.Force}}
	case o.Force:
		req.Strategy = &SyncStrategy{Hook: &Force{Force: true}}
	}
	if o.Options != nil {
		req.SyncOptions = &SyncOptionItems{Items: o.Options}
	}
	if r := o.Retry; r != nil {
		req.RetryStrategy = &RetryStrategy{Limit: r.Limit}
		if r.Base > 0 || r.Factor > 0 || r.MaxPause > 0 {
			b := &Backoff{Duration: r.Base.String(), MaxDuration: r.MaxPause.String()}
			if r.Base == 0 {
				b.Duration = "5s"
			}
			if r.MaxPause == 0 {
				b.MaxDuration = "3m"
			}
			b.Factor = cmp.Or(r.Factor, 2)
			req.RetryStrategy.Backoff = b
		}
	}
	switch len(o.Revisions) {
	case 0:
	case 1:
		req.Revision = o.Revisions[0]
	default:
		for i, rev := range o.Revisions {
			if rev != "" {
				req.Revisions = append(req.Revisions, rev)
				req.SourcePositions = append(req.SourcePositions, i+1)
			}
		}
	}
	return req
}

// RollbackOptions say how to roll back.
type RollbackOptions struct {
	Prune  bool // delete what the older revision did not have
	DryRun bool // change nothing
}

// Rollback starts a sync back to an entry of [Client.History] and does not wait for it. The application is
// OutOfSync afterwards, as its target revision is still the newer one; so wait for it with
//
//	c.Wait(ctx, app, argocd.Want{Revisions: started.Revisions, AllowOutOfSync: true}, nil)
//
// ErrNotFound says that there is no such entry, ErrRefused that the application syncs by itself (it would
// undo the rollback; revert the commit instead).
func (c *Client) Rollback(ctx context.Context, app string, id int64, o *RollbackOptions) (*Started, error) {
	ref, err := c.ref(app)
	if err != nil {
		return nil, wrap("rollback", app, err)
	}
	if o == nil {
		o = &RollbackOptions{}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	a, err := c.api.Rollback(ctx, ref, RollbackRequest{ID: id, Prune: o.Prune, DryRun: o.DryRun})
	if err != nil {
		return nil, wrap("rollback", app, err)
	}
	return &Started{Revisions: a.Operation.revisions(), Application: a}, nil
}

// Terminate ends the operation in progress, whoever started it, and reports whether there was one.
func (c *Client) Terminate(ctx context.Context, app string) (bool, error) {
	ref, err := c.ref(app)
	if err != nil {
		return false, wrap("terminate", app, err)
	}
	err = retry.Do(ctx, retry.Policy{}, func(ctx context.Context, _ int) error {
		ctx, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		return againIfTransient(c.api.Terminate(ctx, ref))
	})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(kindOf(err), errIdle):
		return false, nil
	}
	return false, wrap("terminate", app, err)
}

// History returns what was deployed, oldest first. The server keeps ten entries unless told otherwise.
func (c *Client) History(ctx context.Context, app string) ([]HistoryEntry, error) {
	a, err := c.get(ctx, "history", app, NoRefresh)
	if err != nil {
		return nil, err
	}
	return a.Status.History, nil
}

// Resources returns the application's resources, those made by others included (pods), with their health.
func (c *Client) Resources(ctx context.Context, app string) ([]Node, error) {
	ref, err := c.ref(app)
	if err != nil {
		return nil, wrap("resources", app, err)
	}
	var nodes []Node
	err = retry.Do(ctx, retry.Policy{}, func(ctx context.Context, _ int) error {
		ctx, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		nodes, err = c.api.Resources(ctx, ref)
		return againIfTransient(err)
	})
	if err != nil {
		return nil, wrap("resources", app, err)
	}
	return nodes, nil
}

var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

func (c *Client) ref(app string) (Ref, error) {
	r := Ref{Name: app, Project: c.project}
	if ns, name, ok := strings.Cut(app, "/"); ok {
		r.Namespace, r.Name = ns, name
		if !dnsName.MatchString(ns) {
			return r, invalid(fmt.Errorf("%q is not a Kubernetes namespace", ns))
		}
	}
	if !dnsName.MatchString(r.Name) {
		return r, invalid(fmt.Errorf("%q is not the name of an application", r.Name))
	}
	return r, nil
}

func againIfTransient(err error) error {
	if transient(err) {
		return retry.Again(err)
	}
	return err
}
