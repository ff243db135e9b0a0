package gitops

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"text/template"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/waybill-dev/waybill/gitops/internal/gitobj"
	"github.com/waybill-dev/waybill/gitops/manifest"
	"github.com/waybill-dev/waybill/internal/retry"
)

// BumpOptions says how to commit. The zero value edits every YAML and JSON file in which an image stands.
type BumpOptions struct {
	// Paths are globs of the files to read: "apps/web/*.yaml", "apps/**/kustomization.yaml". Parts are as in
	// [path.Match]; "**" stands for any number of directories. With paths only these files are fetched; without,
	// the whole commit is: slower, same result.
	Paths []string

	// Supersede is the rule that keeps a newer deployment from being overwritten by an older one: if one of
	// the images stands at a newer tag than asked for, nothing is committed and the result says so. Nil
	// compares nothing. See [ByBuild] and [BySemver].
	Supersede Rule

	// Message is a [text/template] over [MessageData]. Empty names the images. Trailers follow it: Image, Digest,
	// Build, then Trailers, then Signed-off-by.
	Message  string
	Build    string // value of the trailer Build, if set
	Trailers []Trailer
	SignOff  bool // add Signed-off-by with the author

	Author    Identity // zero means waybill <waybill@localhost>
	Committer Identity // zero means Author

	// Signer signs the commit, if set.
	Signer Signer

	// DryRun makes the commit but does not push it; the result holds its diff.
	DryRun bool
}

// Commit is the outcome of a bump.
type Commit struct {
	// Revision is the full hash of the commit that holds the images as asked: the new commit or, when there
	// was nothing to do, the head of the branch as it was read. With Superseded it is that head too.
	Revision string            `json:"revision"`
	Parent   string            `json:"parent"` // head of the branch the edit was made on
	Branch   string            `json:"branch"` // without "refs/heads/"
	Changes  []manifest.Change `json:"changes"`
	Attempts int               `json:"attempts"` // 1 if nobody else pushed first

	Noop       bool              `json:"noop"`                 // everything was as asked already; nothing was pushed
	Superseded []manifest.Change `json:"superseded,omitempty"` // not made, as a newer tag stands there; nothing was pushed
	Skipped    []string          `json:"skipped,omitempty"`    // files that are no YAML but templates, and were left alone

	DryRun bool   `json:"dryRun,omitempty"` // nothing was pushed, and Revision is the commit that would have been
	Diff   string `json:"diff,omitempty"`   // unified diff, with DryRun only
}

// bump is a Bump call, read and checked.
type bump struct {
	repo      *Repo
	edits     []manifest.Edit
	o         BumpOptions
	globs     globs
	template  *template.Template
	author    Identity
	committer Identity

	last *attempt // the last push, until it is settled
}

// Bump sets images in the branch and pushes the change as one commit, on condition that the branch has not
// moved. If it has, the new head is read and the edit is made again, so nothing is ever lost or merged. An
// image that stands nowhere is [ErrEdit] with a [manifest.Error] that lists near matches.
//
// It needs no clone, no work tree and no git program: it fetches the commit, the trees and the files it needs
// and sends back only what changed.
func (r *Repo) Bump(ctx context.Context, edits []manifest.Edit, o *BumpOptions) (*Commit, error) {
	b, err := r.newBump(edits, o)
	if err != nil {
		return nil, r.wrap("bump", err)
	}
	select {
	case <-r.turn:
		defer func() { r.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, r.wrap("bump", ctx.Err())
	}
	var done *Commit
	err = retry.Do(ctx, r.policy, func(ctx context.Context, attempt int) error {
		began := time.Now()
		c, err := b.try(ctx, attempt)
		switch {
		case err == nil:
			done = c
		case errors.Is(err, ErrConflict):
			return retry.AgainAfter(err, yield(attempt, time.Since(began)))
		case errors.Is(err, ErrUnavailable):
			return retry.Again(err)
		}
		return err
	})
	if err != nil && b.last != nil && ctx.Err() == nil {
		// No further attempt looked at what became of the last push.
		if c, serr := b.look(ctx); c != nil || serr != nil {
			done, err = c, serr
		}
	}
	if err != nil {
		return nil, r.wrap("bump", err)
	}
	return done, nil
}

// maxPause bounds the pause between two attempts.
const maxPause = 5 * time.Second

// yield returns how long to let others go first after a lost race: random, up to as long as the attempt took,
// doubled with each further one. A pause that follows the server's own pace keeps few writers at it at a time,
// however many wait.
func yield(attempt int, took time.Duration) time.Duration {
	bound := min(took<<min(attempt-1, 5), maxPause)
	return rand.N(bound + 1) //nolint:gosec // jitter, not a secret
}

// attempt is a push whose outcome is not known yet.
type attempt struct {
	from, to plumbing.Hash
	commit   *Commit
	refused  string // what the server said; empty if its answer was lost
}

// settle finds out what became of the last push, now that the branch has been read again: the branch itself
// tells, while servers refuse in words of their own. It returns the commit if the branch holds it, an error if
// trying again is no use, and neither if somebody else was first, or is about to be while the branch is locked:
// servers hold the lock until it is written, which a slow disk draws out.
func (b *bump) settle(ctx context.Context, c *client, head plumbing.Hash, final bool) (*Commit, error) {
	last := b.last
	if last == nil {
		return nil, nil //nolint:nilnil // nothing was pushed yet
	}
	switch {
	case head == last.to:
		return last.commit, nil
	case last.refused != "" && head == last.from && (final || !locked(last.refused)):
		b.last = nil
		return nil, faultf(ErrRejected, "%s: %s", last.commit.Branch, last.refused)
	case last.refused == "" && head != last.from:
		// Pushed, perhaps, and somebody else's commit is on top of it already.
		if in, err := c.descends(ctx, last.to, head, b.repo.o.MaxBytes); err == nil && in {
			return last.commit, nil
		}
	}
	b.last = nil
	return nil, nil //nolint:nilnil // somebody else was first
}

// locked reports whether a push was refused because another one was under way, in git's words: "failed to update
// ref: … cannot lock ref 'refs/heads/main': Unable to create '….lock': File exists.", or in JGit's. Whole phrases,
// as hooks say "blocked" and "locked" when they mean it.
func locked(refused string) bool {
	for _, words := range []string{"cannot lock ref", ".lock'", "failed to update ref", "failed to lock"} {
		if strings.Contains(refused, words) {
			return true
		}
	}
	return false
}

// look settles the last push when there is no further attempt.
func (b *bump) look(ctx context.Context) (*Commit, error) {
	c, err := b.repo.connect(ctx)
	if err != nil {
		return nil, nil //nolint:nilnil // the error of the last attempt says more
	}
	defer c.transport.close()
	return b.settle(ctx, c, c.advert.hash, true)
}

func (r *Repo) newBump(edits []manifest.Edit, o *BumpOptions) (*bump, error) {
	b := &bump{repo: r, edits: edits}
	if o != nil {
		b.o = *o
	}
	var errs []error
	bad := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
	}
	_, err := manifest.NewEditor(edits, nil)
	bad("edits", err)
	b.globs, err = parseGlobs(b.o.Paths)
	bad("Paths", err)
	b.template, err = parseMessage(b.o.Message)
	bad("Message", err)
	b.author, b.committer = b.o.Author, b.o.Committer
	if b.author == (Identity{}) {
		b.author = Identity{"waybill", "waybill@localhost"}
	}
	if b.committer == (Identity{}) {
		b.committer = b.author
	}
	bad("Author", b.author.check())
	bad("Committer", b.committer.check())
	if strings.ContainsAny(b.o.Build, "\n\r\x00") {
		bad("Build", errors.New("it holds a line end"))
	}
	for _, t := range b.o.Trailers {
		bad("Trailers", t.check())
	}
	if len(errs) > 0 {
		return nil, &fault{ErrOptions, errors.Join(errs...)}
	}
	return b, nil
}

// try makes one attempt.
func (b *bump) try(ctx context.Context, number int) (*Commit, error) {
	c, err := b.repo.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.transport.close()
	head, err := c.head(b.repo.o.Branch)
	if err != nil {
		return nil, err
	}
	if done, err := b.settle(ctx, c, head, false); done != nil || err != nil {
		return done, err
	}
	s, err := c.snapshot(ctx, head, b.globs, b.repo.known.Load(), b.repo.o.MaxBytes)
	if err != nil {
		return nil, err
	}
	b.repo.known.Store(s.remember(nil))
	done := &Commit{
		Revision: head.String(), Parent: head.String(), Branch: strings.TrimPrefix(c.advert.branch, "refs/heads/"),
		Changes: []manifest.Change{}, Attempts: number, DryRun: b.o.DryRun,
	}
	changed, err := b.edit(s, done)
	if err != nil {
		return nil, err
	}
	if done.Superseded, err = b.superseded(done.Changes); err != nil {
		return nil, err
	}
	switch {
	case len(done.Superseded) > 0:
		done.Changes = []manifest.Change{}
		return done, nil
	case len(changed) == 0:
		done.Noop = true
		return done, nil
	}
	made := gitobj.Over(s.objs, 0)
	tree, err := made.Update(s.commit.TreeHash, changed)
	if err != nil {
		return nil, &fault{ErrProtocol, err}
	}
	message, err := b.message(done.Branch, done.Changes)
	if err != nil {
		return nil, err
	}
	data, err := b.commit(head, tree, message, time.Now())
	if err != nil {
		return nil, err
	}
	hash := made.Add(plumbing.CommitObject, data)
	done.Revision = hash.String()
	if b.o.DryRun {
		done.Diff = diff(s, changed)
		return done, nil
	}
	var pack bytes.Buffer
	if err := made.Pack(&pack, made.Hashes()); err != nil {
		return nil, &fault{ErrProtocol, err}
	}
	if err := b.push(ctx, c, &attempt{from: head, to: hash, commit: done}, pack.Bytes()); err != nil {
		return nil, err
	}
	b.repo.known.Store(s.remember(made))
	return done, nil
}

// head returns the head of the branch.
func (c *client) head(branch string) (plumbing.Hash, error) {
	switch {
	case c.advert.found:
		return c.advert.hash, nil
	case branch != "":
		return plumbing.ZeroHash, faultf(ErrNotFound, "no branch %s", branch)
	}
	return plumbing.ZeroHash, faultf(ErrNotFound, "HEAD points to no branch that exists: the repository is empty, or Branch has to be set")
}

// edit makes the edits in the files of the snapshot and returns those that changed.
func (b *bump) edit(s *snapshot, done *Commit) (map[string][]byte, error) {
	editor, err := manifest.NewEditor(b.edits, nil)
	if err != nil {
		return nil, &fault{ErrOptions, err}
	}
	changed := map[string][]byte{}
	for _, f := range s.files {
		data, err := s.objs.Blob(f.hash)
		if err != nil {
			return nil, &fault{ErrProtocol, err}
		}
		out, ch, err := editor.File(f.path, data)
		switch {
		case errors.Is(err, manifest.ErrTemplate):
			done.Skipped = append(done.Skipped, f.path)
		case err != nil:
			return nil, &fault{ErrEdit, err}
		case len(ch) > 0:
			changed[f.path] = out
			done.Changes = append(done.Changes, ch...)
		}
	}
	err = editor.Check()
	if errors.Is(err, manifest.ErrNotFound) {
		err = b.explain(s, err)
	}
	if err != nil && len(s.files) == 0 {
		err = fmt.Errorf("no file matches %q: %w", b.o.Paths, err)
	}
	if err != nil {
		return nil, &fault{ErrEdit, err}
	}
	return changed, nil
}

// explain reads again, and all of it, what was passed over as unrelated: near matches stand there.
func (b *bump) explain(s *snapshot, otherwise error) error {
	editor, err := manifest.NewEditor(b.edits, &manifest.Options{ParseAll: true})
	if err != nil {
		return otherwise
	}
	for _, f := range s.files {
		if data, err := s.objs.Blob(f.hash); err == nil {
			_, _, _ = editor.File(f.path, data) // what cannot be read holds no near match
		}
	}
	return cmp.Or(editor.Check(), otherwise)
}

// superseded returns the changes that would go back.
func (b *bump) superseded(changes []manifest.Change) ([]manifest.Change, error) {
	if b.o.Supersede == nil {
		return nil, nil
	}
	var newer []manifest.Change
	for _, c := range changes {
		if c.OldTag == c.NewTag || c.OldTag == "" {
			continue
		}
		order, err := b.o.Supersede(c.OldTag, c.NewTag)
		if err != nil {
			return nil, faultf(ErrSupersede, "%s in %s: %w", c.Image, c.File, err)
		}
		if order > 0 {
			newer = append(newer, c)
		}
	}
	return newer, nil
}

// push sends the commit. A nil error means the branch holds it. After a conflict or a lost answer, settle says
// what became of it.
func (b *bump) push(ctx context.Context, c *client, a *attempt, pack []byte) error {
	b.last = a
	report, err := c.push(ctx, c.advert.branch, a.from, a.to, pack)
	switch {
	case err == nil && report.status == "ok":
		b.last = nil
		return nil
	case err == nil:
		a.refused = report.status
		if report.message != "" {
			a.refused += ": " + report.message
		}
		a.refused = oneLine(a.refused)
		return faultf(ErrConflict, "%s was not moved on from %.12s: %s", a.commit.Branch, a.from, a.refused)
	case !errors.Is(err, ErrUnavailable):
		b.last = nil
	}
	return err
}
