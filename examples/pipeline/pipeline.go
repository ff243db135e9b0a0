package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/manifest"
	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/html"
	"github.com/waybill-dev/waybill/scan"
)

// errStopped is a no: a gate's, or that of a deployment that does not get healthy. Nothing is broken.
var errStopped = errors.New("stopped")

// policy is what the source must be like to be shipped.
var policy = report.Policy{
	Fail:         []report.Clause{{Severity: report.SeverityHigh}},
	RequireTools: []string{"gitleaks", "go test"},
	Tests:        &report.TestPolicy{},
	Coverage:     &report.CoveragePolicy{MinPercent: 50},
}

type pipeline struct {
	*clients
	at       servers
	source   string   // directory of a Go module
	services []string // packages in it
	build    string   // the images' tag
	out      string   // directory for what is made on the way
	say      func(step, format string, args ...any)
}

// run takes the source all the way, and tells people by one mail how that ended.
func (p *pipeline) run(ctx context.Context) error {
	err := p.deploy(ctx)
	return errors.Join(err, p.tell(context.WithoutCancel(ctx), err))
}

func (p *pipeline) deploy(ctx context.Context) error {
	if err := p.check(ctx); err != nil {
		return err
	}
	refs, err := p.ship(ctx)
	if err != nil {
		return err
	}
	commit, err := p.bump(ctx, refs)
	if err != nil {
		return err
	}
	return p.wait(ctx, commit, refs)
}

// check looks for secrets in the source and runs its tests. The gate decides whether it goes on.
func (p *pipeline) check(ctx context.Context) error {
	source := scan.Target{Kind: scan.Dir, Path: p.source}
	results, err := scan.Run(ctx, []scan.Job{{Scanner: p.leaks, Target: source}, {Scanner: p.tests, Target: source}}, nil)
	if err != nil {
		return err // a scan that broke is not a pass
	}
	var reports []report.Source
	for _, r := range results {
		p.say("scan", "%s: %s in %s", r.Scanner, r.Status, r.Took.Round(time.Millisecond))
		reports = append(reports, r.Report)
	}
	all := report.Join(reports...)
	verdict, err := policy.Gate(ctx, all)
	if err != nil {
		return err
	}
	page, err := os.Create(filepath.Join(p.out, "report.html"))
	if err != nil {
		return err
	}
	defer page.Close()
	if err := html.Write(ctx, page, all, &html.Options{Title: "Shop " + p.build, Verdict: &verdict}); err != nil {
		return err
	}
	if !verdict.Pass {
		return fmt.Errorf("%w by the gate: %v", errStopped, verdict.Reasons)
	}
	sum, err := report.Summarize(ctx, all)
	if err != nil {
		return err
	}
	p.say("gate", "pass: %d findings, %d of %d tests passed, %.0f %% of lines covered",
		sum.Findings, sum.Tests.Passed, sum.Tests.Total, sum.Coverage.Percent)
	return page.Close()
}

// ship builds an image of each service and pushes it. It returns what to deploy, by digest.
func (p *pipeline) ship(ctx context.Context) (refs []string, err error) {
	for _, service := range p.services {
		layout, err := image.Build(ctx, image.Spec{
			Layers:  []image.Source{image.GoProgram{Dir: p.source, Package: "./" + service}},
			User:    "65532:65532",
			Ports:   []string{"8080"},
			Version: p.build,
		}, filepath.Join(p.out, "images", service), nil)
		if err != nil {
			return nil, err
		}
		pushed, err := p.registry.Push(ctx, layout, []string{p.repository(service) + ":" + p.build}, nil)
		if err != nil {
			return nil, err
		}
		p.say("image", "pushed %s", pushed.Ref)
		refs = append(refs, pushed.Ref)
	}
	return refs, nil
}

// bump sets the images in the GitOps repository, tag and digest, all in one commit.
func (p *pipeline) bump(ctx context.Context, refs []string) (*gitops.Commit, error) {
	var edits []manifest.Edit
	for i, service := range p.services {
		_, digest, _ := strings.Cut(refs[i], "@")
		edits = append(edits, manifest.Edit{Image: p.repository(service), To: p.build + "@" + digest})
	}
	commit, err := p.repo.Bump(ctx, edits, &gitops.BumpOptions{Build: p.build, Supersede: gitops.ByBuild})
	if err != nil {
		return nil, err
	}
	if len(commit.Superseded) > 0 {
		return nil, fmt.Errorf("%w: a newer build is deployed already", errStopped)
	}
	for _, c := range commit.Changes {
		p.say("bump", "%s:%d: %s -> %s", c.File, c.Line, c.Old, c.New)
	}
	p.say("bump", "commit %s", commit.Revision)
	return commit, nil
}

// wait syncs the application and waits until our commit, or one made on top of it, and our images are live.
func (p *pipeline) wait(ctx context.Context, commit *gitops.Commit, refs []string) error {
	want := argocd.Want{Revisions: []string{commit.Revision}, Images: refs, Descends: p.repo.Descends}
	live, err := p.argo.SyncAndWait(ctx, p.at.app, want, nil)
	switch {
	case errors.Is(err, argocd.ErrDegraded), errors.Is(err, argocd.ErrTimeout), errors.Is(err, argocd.ErrSyncFailed), errors.Is(err, argocd.ErrOutOfSync):
		return fmt.Errorf("%w: %w", errStopped, err)
	case err != nil:
		return err
	}
	p.say("deploy", "%s is %s and %s at %s", live.App, live.Sync, live.Health, live.Revisions[0])
	return nil
}

// tell sends one mail about the run, the same one however often it is tried. A build that is run again and ends
// otherwise has another one.
func (p *pipeline) tell(ctx context.Context, failure error) error {
	m := notify.Message{Title: "Shop " + p.build + " is deployed", Outcome: notify.Succeeded, Key: "shop/" + p.build}
	if failure != nil {
		m.Title, m.Outcome, m.Severity = "Shop "+p.build+" is not deployed", notify.Failed, notify.SeverityError
		m.Summary, m.Key = failure.Error(), m.Key+"/failed"
	}
	results, err := p.people.Send(ctx, m)
	for _, r := range results {
		p.say("mail", "%q to %s: %s", m.Title, r.Target, r.Status)
	}
	return err
}

func (p *pipeline) repository(service string) string { return p.at.registry + "/shop/" + service }
