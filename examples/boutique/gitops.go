package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/manifest"
)

// bump is the GitOps stage: one commit that sets the tag and the digest of every image, and no other byte.
func (p *pipeline) bump(ctx context.Context) error {
	if p.stage == "gitops" {
		if err := p.fetchSecrets(ctx); err != nil {
			return err
		}
	}
	return p.do(ctx, "bump", 0, func(ctx context.Context, st ongoing) error {
		var edits []manifest.Edit
		for _, i := range p.record.Images {
			if !i.Pushed && !p.dryRun {
				return fmt.Errorf("the image of %s was not pushed", i.Service)
			}
			edits = append(edits, manifest.Edit{Image: i.Repository, To: i.Tag + "@" + i.Digest})
		}
		commit, err := p.repo.Bump(ctx, edits, &gitops.BumpOptions{Build: p.record.Build, Supersede: gitops.ByBuild, DryRun: p.dryRun})
		if err != nil {
			return err
		}
		if len(commit.Superseded) > 0 {
			c := commit.Superseded[0]
			return fmt.Errorf("%w: %s stands at the newer tag %s", errStopped, c.Image, c.OldTag)
		}
		p.record.Change = changeOf(commit)
		switch {
		case commit.Noop:
			st.Detail = fmt.Sprintf("%.12s has these images already", commit.Revision)
		case commit.DryRun:
			st.Detail = fmt.Sprintf("%d lines would change, and nothing was pushed", len(commit.Changes))
		default:
			st.Detail = fmt.Sprintf("commit %.12s on %s sets %d lines", commit.Revision, commit.Branch, len(commit.Changes))
		}
		return nil
	})
}

// revert sets the images back to what they were, unless somebody has deployed something else since.
func (p *pipeline) revert(ctx context.Context) (*gitops.Commit, error) {
	var edits []manifest.Edit
	for _, i := range p.record.Images {
		if to := p.record.Change.before(i.Repository); to != "" {
			edits = append(edits, manifest.Edit{Image: i.Repository, To: to})
		}
	}
	ours := func(standing, wanted string) (int, error) {
		if standing == p.record.Build {
			return -1, nil
		}
		return strings.Compare(standing, wanted), nil
	}
	return p.repo.Bump(ctx, edits, &gitops.BumpOptions{
		Build: p.record.Build, Supersede: ours, Message: "roll back build " + p.record.Build,
	})
}

// before returns the tag and digest that an image had, as a manifest.Edit takes them.
func (c *change) before(repository string) string {
	tag, digest := "", ""
	for _, e := range c.Edits {
		if e.Image != repository {
			continue
		}
		old, sum, _ := strings.Cut(e.Old, "@")
		switch {
		case strings.HasPrefix(old, "sha256:"): // a digest of its own, as in a kustomization
			digest = old
		case strings.Contains(old, "/"):
			tag = old[strings.LastIndexByte(old, ':')+1:]
			digest = sum
		case old != "":
			tag, digest = old, sum
		}
	}
	if digest != "" {
		return tag + "@" + digest
	}
	return tag
}

func changeOf(c *gitops.Commit) *change {
	out := &change{Revision: c.Revision, Branch: c.Branch, Noop: c.Noop, DryRun: c.DryRun, Edits: []edit{}}
	for _, e := range c.Changes {
		out.Edits = append(out.Edits, edit{File: e.File, Line: e.Line, Image: e.Image, Old: e.Old, New: e.New})
	}
	return out
}
