package gitopstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/manifest"
)

// Backend is a git server under the conformance suite. [Server.Backend] is this package's own.
type Backend interface {
	// Create makes a repository whose branch main holds these files, and returns its URL.
	Create(files map[string]string) (url string, err error)
	// Open returns the repository with the credentials it needs on top of the options, which may be nil.
	Open(url string, o *gitops.Options) (*gitops.Repo, error)
	// Head returns the hash of a branch.
	Head(url, branch string) (string, error)
	// Reject makes the repository refuse all pushes from now on, and say these words.
	Reject(url, words string) error
}

// Case is one promise a git server keeps.
type Case struct {
	Name string
	Run  func(ctx context.Context, b Backend) error // nil when the promise was kept
}

// Conformance returns the suite. The fake of this package passes it, and so does git http-backend.
func Conformance() []Case {
	return []Case{
		{"bump, walked", func(ctx context.Context, b Backend) error { return bumps(ctx, b, "teams/*/web.yaml") }},
		{"bump, all trees", func(ctx context.Context, b Backend) error { return bumps(ctx, b, "**/web.yaml") }},
		{"bump, everything", func(ctx context.Context, b Backend) error { return bumps(ctx, b) }},
		{"nothing to do", noop},
		{"many writers", manyWriters},
		{"the branch moved", moved},
		{"refused", refused},
		{"no such branch", noBranch},
		{"no such repository", noRepository},
		{"history", history},
		{"unknown revision", unknownRevision},
	}
}

func sample() map[string]string {
	files := map[string]string{"README.md": "# deploy\n"}
	for _, team := range []string{"red", "green", "blue"} {
		files["teams/"+team+"/web.yaml"] = "# " + team + "\nimage: reg.io/" + team + "/web:v1\n"
		files["teams/"+team+"/base/api.yaml"] = "image: reg.io/" + team + "/api:v1\n"
	}
	return files
}

func open(b Backend, files map[string]string, o *gitops.Options) (*gitops.Repo, string, error) {
	url, err := b.Create(files)
	if err != nil {
		return nil, "", err
	}
	repo, err := b.Open(url, o)
	return repo, url, err
}

// expect compares, and says what is wrong.
func expect[T comparable](what string, want, got T) error {
	if want != got {
		return fmt.Errorf("%s: want %v, got %v", what, want, got)
	}
	return nil
}

// expectKind wants an error of a kind.
func expectKind(kind, err error) error {
	if !errors.Is(err, kind) {
		return fmt.Errorf("want an error of the kind %q, got: %w", kind.Error(), err)
	}
	return nil
}

func edit(image, to string) []manifest.Edit { return []manifest.Edit{{Image: image, To: to}} }

func bumps(ctx context.Context, b Backend, paths ...string) error {
	repo, url, err := open(b, sample(), nil)
	if err != nil {
		return err
	}
	first, err := b.Head(url, "main")
	if err != nil {
		return err
	}
	c, err := repo.Bump(ctx, edit("reg.io/green/web", "v2"), &gitops.BumpOptions{Paths: paths})
	if err != nil {
		return err
	}
	head, err := b.Head(url, "main")
	if err != nil {
		return err
	}
	if err := errors.Join(expect("head", c.Revision, head), expect("parent", first, c.Parent), expect("branch", "main", c.Branch),
		expect("changes", 1, len(c.Changes))); err != nil {
		return err
	}
	// Read it back another way than it was written.
	again, err := repo.Bump(ctx, edit("reg.io/green/web", "v2"), nil)
	if err != nil {
		return err
	}
	return errors.Join(expect("noop", true, again.Noop), expect("revision", c.Revision, again.Revision))
}

func noop(ctx context.Context, b Backend) error {
	repo, url, err := open(b, sample(), nil)
	if err != nil {
		return err
	}
	before, err := b.Head(url, "main")
	if err != nil {
		return err
	}
	c, err := repo.Bump(ctx, edit("reg.io/red/web", "v1"), nil)
	if err != nil {
		return err
	}
	after, err := b.Head(url, "main")
	return errors.Join(err, expect("head", before, after), expect("revision", before, c.Revision), expect("noop", true, c.Noop))
}

// manyWriters: nothing anybody pushed is lost.
func manyWriters(ctx context.Context, b Backend) error {
	const writers, each = 4, 3
	files := map[string]string{}
	for i := range writers {
		files[fmt.Sprintf("apps/a%d.yaml", i)] = fmt.Sprintf("image: reg.io/a%d:v0\n", i)
	}
	_, url, err := open(b, files, nil)
	if err != nil {
		return err
	}
	errs := make([]error, writers)
	var revisions []string
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			repo, err := b.Open(url, &gitops.Options{Attempts: 100})
			for n := 1; err == nil && n <= each; n++ {
				var c *gitops.Commit
				c, err = repo.Bump(ctx, edit(fmt.Sprintf("reg.io/a%d", i), fmt.Sprintf("v%d", n)), &gitops.BumpOptions{Paths: []string{"apps/*.yaml"}})
				if err == nil {
					mu.Lock()
					revisions = append(revisions, c.Revision)
					mu.Unlock()
				}
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	repo, err := b.Open(url, nil)
	if err != nil {
		return err
	}
	var last []manifest.Edit
	for i := range writers {
		last = append(last, manifest.Edit{Image: fmt.Sprintf("reg.io/a%d", i), To: fmt.Sprintf("v%d", each)})
	}
	c, err := repo.Bump(ctx, last, nil)
	if err != nil {
		return err
	}
	if !c.Noop {
		return fmt.Errorf("lost: %v", c.Changes)
	}
	for _, revision := range revisions {
		in, err := repo.Descends(ctx, revision, c.Revision)
		if err != nil {
			return err
		}
		if !in {
			return fmt.Errorf("commit %s was reported as pushed and is not in the branch", revision)
		}
	}
	return nil
}

// moved: a push on top of an old head is not taken.
func moved(ctx context.Context, b Backend) error {
	url, err := b.Create(sample())
	if err != nil {
		return err
	}
	other, err := b.Open(url, nil)
	if err != nil {
		return err
	}
	// The rule is asked between reading and pushing; there the other one pushes.
	calls := 0
	rule := func(string, string) (int, error) {
		if calls++; calls > 1 {
			return -1, nil
		}
		_, err := other.Bump(ctx, edit("reg.io/blue/web", "v7"), nil)
		return -1, err
	}
	repo, err := b.Open(url, nil)
	if err != nil {
		return err
	}
	c, err := repo.Bump(ctx, edit("reg.io/red/web", "v2"), &gitops.BumpOptions{Supersede: rule})
	if err != nil {
		return err
	}
	check, err := repo.Bump(ctx, []manifest.Edit{{Image: "reg.io/red/web", To: "v2"}, {Image: "reg.io/blue/web", To: "v7"}}, nil)
	if err != nil {
		return err
	}
	return errors.Join(expect("attempts", 2, c.Attempts), expect("both are in", true, check.Noop))
}

func refused(ctx context.Context, b Backend) error {
	repo, url, err := open(b, sample(), nil)
	if err != nil {
		return err
	}
	before, err := b.Head(url, "main")
	if err != nil {
		return err
	}
	if err := b.Reject(url, "main is protected"); err != nil {
		return err
	}
	_, err = repo.Bump(ctx, edit("reg.io/red/web", "v2"), nil)
	if err := expectKind(gitops.ErrRejected, err); err != nil {
		return err
	}
	after, herr := b.Head(url, "main")
	return errors.Join(herr, expect("head", before, after), expect("the server's words", true, strings.Contains(err.Error(), "main is protected")))
}

func noBranch(ctx context.Context, b Backend) error {
	repo, _, err := open(b, sample(), &gitops.Options{Branch: "absent"})
	if err != nil {
		return err
	}
	_, err = repo.Bump(ctx, edit("reg.io/red/web", "v2"), nil)
	return expectKind(gitops.ErrNotFound, err)
}

func noRepository(ctx context.Context, b Backend) error {
	url, err := b.Create(sample())
	if err != nil {
		return err
	}
	repo, err := b.Open(url+"-absent", nil)
	if err != nil {
		return err
	}
	_, err = repo.Bump(ctx, edit("reg.io/red/web", "v2"), nil)
	return expectKind(gitops.ErrNotFound, err)
}

func history(ctx context.Context, b Backend) error {
	repo, url, err := open(b, sample(), nil)
	if err != nil {
		return err
	}
	first, err := b.Head(url, "main")
	if err != nil {
		return err
	}
	revisions := []string{first}
	for n := range 60 { // more than are fetched at first
		c, err := repo.Bump(ctx, edit("reg.io/red/web", fmt.Sprintf("n%d", n)), &gitops.BumpOptions{Paths: []string{"teams/red/web.yaml"}})
		if err != nil {
			return err
		}
		revisions = append(revisions, c.Revision)
	}
	last := revisions[len(revisions)-1]
	for _, pair := range []struct {
		ancestor, rev string
		want          bool
	}{
		{first, last, true}, {revisions[30], last, true}, {revisions[1], revisions[2], true}, {last, first, false}, {last, revisions[30], false}, {first, first, true},
	} {
		got, err := repo.Descends(ctx, pair.ancestor, pair.rev)
		if err != nil {
			return err
		}
		i, j := slices.Index(revisions, pair.ancestor), slices.Index(revisions, pair.rev)
		if err := expect(fmt.Sprintf("commit %d descends from %d", j, i), pair.want, got); err != nil {
			return err
		}
	}
	return nil
}

func unknownRevision(ctx context.Context, b Backend) error {
	repo, url, err := open(b, sample(), nil)
	if err != nil {
		return err
	}
	head, err := b.Head(url, "main")
	if err != nil {
		return err
	}
	_, err = repo.Descends(ctx, head, strings.Repeat("0123", 10))
	return expectKind(gitops.ErrNotFound, err)
}

// Backend returns the server as the conformance suite wants it.
func (s *Server) Backend() Backend { return &backend{s: s} }

type backend struct {
	s  *Server
	mu sync.Mutex
	n  int
}

func (b *backend) Create(files map[string]string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	return b.s.Create(fmt.Sprintf("r%d.git", b.n), files).URL(), nil
}

func (b *backend) Open(url string, o *gitops.Options) (*gitops.Repo, error) {
	return gitops.New(url, o)
}

func (b *backend) repository(url string) (*Repository, error) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	for _, r := range b.s.repos {
		if r.URL() == url {
			return r, nil
		}
	}
	return nil, fmt.Errorf("gitopstest: no repository at %s", url)
}

func (b *backend) Head(url, branch string) (string, error) {
	r, err := b.repository(url)
	if err != nil {
		return "", err
	}
	return r.Head(branch), nil
}

func (b *backend) Reject(url, words string) error {
	r, err := b.repository(url)
	if err != nil {
		return err
	}
	b.s.Fail(Fault{Repository: r.name, Service: "git-receive-pack", Times: 1000, Reject: "pre-receive hook declined", Message: words})
	return nil
}
