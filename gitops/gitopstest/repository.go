package gitopstest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing/fstest"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/waybill-dev/waybill/gitops/internal/gitobj"
)

type hash = plumbing.Hash

// maxRepository bounds what pushes may bring into one repository.
const maxRepository = 4 << 30

// Repository is a repository in memory. It is safe for concurrent use.
type Repository struct {
	server *Server
	name   string
	head   string // full name of the branch HEAD points to

	mu      sync.Mutex
	store   *gitobj.Store
	refs    map[string]hash
	commits int
}

// URL returns where the repository is served.
func (r *Repository) URL() string { return r.server.URL + "/" + r.name }

// Head returns the hash a branch points to, or "" if there is no such branch.
func (r *Repository) Head(branch string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h, ok := r.refs["refs/heads/"+branch]; ok {
		return h.String()
	}
	return ""
}

// Commit puts files on top of a branch, as if somebody had pushed them, and returns the new head. Files that
// are not named stay; a branch that is not there begins without history. Content and time of a commit depend
// on the calls alone, so the same calls make the same hashes.
func (r *Repository) Commit(branch, message string, files map[string]string) string {
	data := map[string][]byte{}
	for name, text := range files {
		data[name] = []byte(text)
	}
	return r.change(branch, message, data)
}

// Remove is Commit for files that go.
func (r *Repository) Remove(branch, message string, names ...string) string {
	data := map[string][]byte{}
	for _, name := range names {
		data[name] = nil
	}
	return r.change(branch, message, data)
}

func (r *Repository) change(branch, message string, files map[string][]byte) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ref := "refs/heads/" + branch
	c := &object.Commit{Message: message + "\n"}
	var root hash
	if parent, ok := r.refs[ref]; ok {
		c.ParentHashes = []hash{parent}
		root = must(r.store.Commit(parent)).TreeHash
	}
	c.TreeHash = must(r.store.Update(root, files))
	r.commits++
	c.Author = object.Signature{Name: "Somebody", Email: "somebody@example.test", When: time.Unix(1_700_000_000+int64(r.commits), 0).UTC()}
	c.Committer = c.Author
	h := r.store.Add(plumbing.CommitObject, must(gitobj.Encode(c.Encode)))
	r.refs[ref] = h
	return h.String()
}

// must unwraps what can only fail if the server's own objects are broken.
func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("gitopstest: %v", err)) // a defect of the fake itself, which a test must not survive
	}
	return v
}

// Reset points a branch at a commit, as a forced push does, and deletes it when revision is empty. It reports
// whether the repository has that commit.
func (r *Repository) Reset(branch, revision string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if revision == "" {
		delete(r.refs, "refs/heads/"+branch)
		return true
	}
	h, err := r.resolve(revision)
	if err == nil {
		r.refs["refs/heads/"+branch] = h
	}
	return err == nil
}

// Branches returns the branches and their heads.
func (r *Repository) Branches() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]string{}
	for ref, h := range r.refs {
		if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
			all[name] = h.String()
		}
	}
	return all
}

// LogEntry is one commit.
type LogEntry struct {
	Hash, Tree     string
	Parents        []string
	Author, Email  string
	Message        string
	Signature      string   // armored, or empty
	Changed        []string // files that differ from the first parent
	CommitterName  string
	CommitterEmail string
}

// Log returns the first-parent history of a branch or revision, the newest first.
func (r *Repository) Log(revision string) ([]LogEntry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, err := r.resolve(revision)
	if err != nil {
		return nil, err
	}
	var log []LogEntry
	for {
		c, err := r.store.Commit(h)
		if err != nil {
			return nil, err
		}
		e := LogEntry{
			Hash: h.String(), Tree: c.TreeHash.String(), Author: c.Author.Name, Email: c.Author.Email,
			Message: c.Message, Signature: c.PGPSignature, CommitterName: c.Committer.Name, CommitterEmail: c.Committer.Email,
		}
		files, err := r.files(c.TreeHash)
		if err != nil {
			return nil, err
		}
		before := map[string]object.TreeEntry{}
		if len(c.ParentHashes) > 0 {
			parent, err := r.store.Commit(c.ParentHashes[0])
			if err != nil {
				return nil, err
			}
			if before, err = r.files(parent.TreeHash); err != nil {
				return nil, err
			}
		}
		for name, f := range files {
			if before[name].Hash != f.Hash || before[name].Mode != f.Mode {
				e.Changed = append(e.Changed, name)
			}
			delete(before, name)
		}
		e.Changed = append(e.Changed, slices.Collect(maps.Keys(before))...)
		slices.Sort(e.Changed)
		for _, p := range c.ParentHashes {
			e.Parents = append(e.Parents, p.String())
		}
		log = append(log, e)
		if len(c.ParentHashes) == 0 {
			return log, nil
		}
		h = c.ParentHashes[0]
	}
}

// FS returns the files at a revision and the full hash it stands for. A revision is a branch, "HEAD", "" (the
// same), or a hash, which may be cut to seven digits. What it does not know is [fs.ErrNotExist].
func (r *Repository) FS(ctx context.Context, revision string) (fs.FS, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h, err := r.resolve(revision)
	if err != nil {
		return nil, "", err
	}
	c, err := r.store.Commit(h)
	if err != nil {
		return nil, "", err
	}
	entries, err := r.files(c.TreeHash)
	if err != nil {
		return nil, "", err
	}
	files := fstest.MapFS{}
	for name, e := range entries {
		data, err := r.store.Blob(e.Hash)
		if err != nil {
			return nil, "", err
		}
		mode := fs.FileMode(0o644)
		if e.Mode == filemode.Executable {
			mode = 0o755
		}
		files[name] = &fstest.MapFile{Data: data, Mode: mode, ModTime: c.Committer.When}
	}
	return files, h.String(), nil
}

// resolve finds the commit a revision stands for.
func (r *Repository) resolve(revision string) (hash, error) {
	if revision == "" || revision == "HEAD" {
		revision = r.head
	}
	for _, ref := range []string{revision, "refs/heads/" + revision, "refs/tags/" + revision} {
		if h, ok := r.refs[ref]; ok {
			return h, nil
		}
	}
	if plumbing.IsHash(revision) {
		if h := plumbing.NewHash(revision); r.store.Has(h) {
			return h, nil
		}
	} else if len(revision) >= 7 {
		for _, h := range r.store.Hashes() {
			if o, _ := r.store.Get(h); o.Type == plumbing.CommitObject && strings.HasPrefix(h.String(), revision) {
				return h, nil
			}
		}
	}
	return plumbing.ZeroHash, fmt.Errorf("gitopstest: revision %q of %s: %w", revision, r.name, fs.ErrNotExist)
}

// files lists the files of a tree, symbolic links included.
func (r *Repository) files(tree hash) (map[string]object.TreeEntry, error) {
	all := map[string]object.TreeEntry{}
	var visit func(h hash, dir string) error
	visit = func(h hash, dir string) error {
		t, err := r.store.Tree(h)
		if err != nil {
			return err
		}
		for _, e := range t.Entries {
			switch e.Mode {
			case filemode.Dir:
				err = visit(e.Hash, dir+e.Name+"/")
			case filemode.Submodule:
			default:
				all[dir+e.Name] = e
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return all, visit(tree, "")
}

// Fsck checks that everything the branches lead to is there and can be read.
func (r *Repository) Fsck() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	seen := map[hash]bool{}
	for ref, h := range r.refs {
		if err := connected(r.store, h, seen); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", ref, err))
		}
	}
	return errors.Join(errs...)
}

// connected makes sure that a commit has all it needs. What is in seen was found sound before.
func connected(store *gitobj.Store, commit hash, seen map[hash]bool) error {
	for todo := []hash{commit}; len(todo) > 0; {
		h := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[h] {
			continue
		}
		seen[h] = true
		o, ok := store.Get(h)
		if !ok {
			return fmt.Errorf("%s: %w", h, gitobj.ErrMissing)
		}
		switch o.Type {
		case plumbing.CommitObject:
			c, err := store.Commit(h)
			if err != nil {
				return err
			}
			todo = append(append(todo, c.TreeHash), c.ParentHashes...)
		case plumbing.TreeObject:
			t, err := store.Tree(h)
			if err != nil {
				return err
			}
			for _, e := range t.Entries {
				if e.Mode != filemode.Submodule {
					todo = append(todo, e.Hash)
				}
			}
		}
	}
	return nil
}
