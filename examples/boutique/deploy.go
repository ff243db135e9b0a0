package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waybill-dev/waybill/gitops/argocd"
)

// deploy is the last stage: it syncs, waits until our commit and our images are what runs, and buys something.
// What does not get healthy, or does not sell, is rolled back.
func (p *pipeline) deploy(ctx context.Context) error {
	if p.stage == "deploy" {
		if err := p.fetchSecrets(ctx); err != nil {
			return err
		}
	}
	err := p.sync(ctx)
	if err == nil {
		err = p.smoke(ctx)
	}
	if errors.Is(err, errStopped) {
		return errors.Join(err, p.rollback(ctx))
	}
	return err
}

// sync waits until our commit, or one made on top of it, and our images are live.
func (p *pipeline) sync(ctx context.Context) error {
	return p.do(ctx, "sync", 0, func(ctx context.Context, st ongoing) error {
		want := argocd.Want{Revisions: []string{p.record.Change.Revision}, Descends: p.repo.Descends}
		for _, i := range p.record.Images {
			want.Images = append(want.Images, i.ref())
		}
		d, err := p.argo.SyncAndWait(ctx, p.app, want, p.patience())
		switch {
		case errors.Is(err, argocd.ErrDegraded), errors.Is(err, argocd.ErrTimeout), errors.Is(err, argocd.ErrSyncFailed), errors.Is(err, argocd.ErrOutOfSync):
			return fmt.Errorf("%w: %w", errStopped, err)
		case err != nil:
			return err
		}
		p.record.Live = liveOf(d)
		st.Detail = fmt.Sprintf("%s is %s and %s at %.12s", d.App, d.Sync, d.Health, d.Revisions[0])
		return nil
	})
}

// rollback brings back what ran before: by a commit, as git is what says what runs.
func (p *pipeline) rollback(ctx context.Context) error {
	s := p.record.step("rollback")
	s.Executed, s.Reason = p.record.step("sync").Executed, p.record.step("sync").Reason
	if p.record.Change.Noop {
		s.Executed, s.Reason = notRun, "nothing was changed, so there is nothing to go back to"
	}
	return p.do(ctx, "rollback", 0, func(ctx context.Context, st ongoing) error {
		commit, err := p.revert(ctx)
		if err != nil {
			return fmt.Errorf("not rolled back: %w", err)
		}
		if len(commit.Superseded) > 0 {
			st.Executed, st.Reason = notRun, "somebody has deployed something else since"
			return nil
		}
		p.record.Rollback = changeOf(commit)
		d, err := p.argo.SyncAndWait(ctx, p.app, argocd.Want{Revisions: []string{commit.Revision}, Descends: p.repo.Descends}, p.patience())
		if err != nil {
			return fmt.Errorf("rolled back by commit %.12s, which is not healthy either: %w", commit.Revision, err)
		}
		p.record.Live = liveOf(d)
		st.Detail = fmt.Sprintf("rolled back by commit %.12s: %s is %s and %s", commit.Revision, d.App, d.Sync, d.Health)
		return nil
	})
}

func (p *pipeline) patience() *argocd.WaitOptions {
	o := &argocd.WaitOptions{Timeout: p.timeout}
	if p.standIns.argocd != nil {
		o.DegradedGrace = -1 // the stand-in is Degraded only when a program has ended
		o.Poll = time.Second
	}
	return o
}

func liveOf(d *argocd.Deployed) *live {
	return &live{App: d.App, Revisions: d.Revisions, Images: d.Images, Sync: string(d.Sync), Health: string(d.Health)}
}
