package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// PushOptions are the options of [Client.Push]. The zero value never moves a tag.
type PushOptions struct {
	// MoveTag permits a tag that points to another image to be moved to this one.
	MoveTag bool

	// Progress, when set, is called while a blob's bytes move, one call at a time.
	Progress func(Progress)
}

// Progress is how far one blob has got.
type Progress struct {
	Repository string // "host/repo"
	Digest     string // of the blob
	Bytes      int64  // sent so far; less than before after a broken connection
	Total      int64
}

// Pushed is what a push did.
type Pushed struct {
	Ref       string       // the first reference, with its digest: what to deploy
	Digest    string       // of the image or index, "sha256:…"
	Platforms []string     // of its images
	Refs      []PushedRef  // one per reference given, in that order
	Blobs     []PushedBlob // one per blob and repository: configs and layers, in the order of the manifests
}

// PushedRef is what became of one reference.
type PushedRef struct {
	Ref      string    // with its digest
	Status   RefStatus // empty when the push failed for it
	Previous string    // digest it pointed to before, when it was moved
}

// RefStatus says what a push did to a reference.
type RefStatus string

// What a push did to a reference.
const (
	RefCreated   RefStatus = "created"
	RefUnchanged RefStatus = "unchanged" // it pointed to the same digest; nothing was sent
	RefMoved     RefStatus = "moved"     // it pointed to another digest, see [PushOptions.MoveTag]
)

// PushedBlob is what became of one blob in one repository.
type PushedBlob struct {
	Repository string // "host/repo"
	Digest     string
	Bytes      int64
	MediaType  string
	Status     BlobStatus
}

// Push brings an image to one or more references. Blobs that a repository has are not sent; what one
// repository of a registry got from this client is mounted into the others. Broken connections, throttling
// and failures of the moment are tried again; at most the one blob in flight is sent again.
//
// A tag that points to another digest is left alone, and the push refused with [ErrTagExists] before
// anything is sent, unless o allows to move it. Registries have no conditional write, so between that check
// and the write somebody else can still set the tag; Push looks again afterwards and returns [ErrTagExists]
// when the tag is not ours any more. A tag that points to the same digest is a success and sends nothing.
//
// After that check all references are tried. When some fail, what became of the others is returned beside the
// error, which joins their errors; nil is returned when all failed.
//
// The other errors are those of [Client.Resolve], and [ErrDigest] when a blob of the layout is not what its
// digest says.
func (c *Client) Push(ctx context.Context, l *Layout, refs []string, o *PushOptions) (*Pushed, error) {
	first := ""
	if len(refs) > 0 {
		first = refs[0]
	}
	p, err := c.push(ctx, l, refs, o)
	return p, wrap("push", first, err)
}

func (c *Client) push(ctx context.Context, l *Layout, names []string, o *PushOptions) (*Pushed, error) {
	if o == nil {
		o = &PushOptions{}
	}
	refs, err := pushRefs(l, names)
	if err != nil {
		return nil, err
	}
	s, err := openStore(l.dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.close() }()
	t := &transfer{client: c, from: s, nodes: l.nodes, mountFrom: bases(l.nodes), moveTag: o.MoveTag, progress: o.Progress}
	p, err := t.run(ctx, refs)
	if p != nil {
		p.Platforms = slices.Clone(l.platforms)
	}
	return p, err
}

// pushRefs checks all references at once, before anything is sent.
func pushRefs(l *Layout, names []string) ([]reference, error) {
	if l == nil || len(l.nodes) == 0 || len(names) == 0 {
		return nil, fail(ErrInvalid, "a layout and at least one reference are needed")
	}
	var refs []reference
	var errs []error
	for _, name := range names {
		ref, err := parseReference(name)
		if err == nil && ref.digest != "" && ref.digest != l.Digest() {
			err = fail(ErrInvalid, "reference %s names another digest than the layout's %s", ref, l.Digest())
		}
		if err != nil {
			errs = append(errs, err)
		}
		refs = append(refs, ref)
	}
	if len(errs) > 0 {
		return nil, fail(ErrInvalid, "%w", errors.Join(errs...))
	}
	return refs, nil
}

// bases are the repositories that the images say they were built on.
func bases(nodes []*node) []reference {
	var refs []reference
	for _, n := range nodes {
		if n.image == nil || n.image.Annotations[keyBaseName] == "" {
			continue
		}
		if ref, err := parseReference(n.image.Annotations[keyBaseName]); err == nil {
			refs = append(refs, ref)
		}
	}
	return refs
}

// transfer brings a tree of manifests, with all they point to, to references.
type transfer struct {
	client    *Client
	from      content
	nodes     []*node     // children before parents; the last is the root
	mountFrom []reference // repositories that may have the blobs
	moveTag   bool

	mu       sync.Mutex // one progress call at a time
	progress func(Progress)
}

func (t *transfer) root() *node { return t.nodes[len(t.nodes)-1] }

func (t *transfer) run(ctx context.Context, refs []reference) (*Pushed, error) {
	root := t.root().desc.Digest
	p := &Pushed{Ref: refs[0].pinned(root.String()), Digest: root.String()}
	// All guards come before the first byte, so that a refusal leaves everything as it was.
	var guards []PushedRef
	for _, ref := range refs {
		r, err := t.guard(ctx, ref)
		if err != nil {
			return nil, err
		}
		guards = append(guards, r)
		p.Refs = append(p.Refs, PushedRef{Ref: r.Ref})
	}
	done := map[string]bool{}
	var errs []error
	for i, ref := range refs {
		blobs, r, err := t.deliver(ctx, ref, guards[i], !done[ref.name()])
		if missesBlobs(err) {
			// What this client remembers of the repository is not so any more: somebody deleted and cleaned up.
			t.client.repository(ref, "pull,push").forget(blobsOf(t.nodes))
			blobs, r, err = t.deliver(ctx, ref, guards[i], true)
		}
		if err != nil {
			if len(refs) > 1 {
				err = fmt.Errorf("%s: %w", ref, err)
			}
			if errs = append(errs, err); ctx.Err() != nil {
				break
			}
			continue
		}
		if !done[ref.name()] {
			p.Blobs = append(p.Blobs, blobs...)
		}
		done[ref.name()], p.Refs[i] = true, r
	}
	if len(done) == 0 {
		p = nil
	}
	return p, errors.Join(errs...)
}

// deliver brings the blobs to the repository of ref, unless they are known to be there, and then sets ref.
func (t *transfer) deliver(ctx context.Context, ref reference, r PushedRef, withBlobs bool) (blobs []PushedBlob, _ PushedRef, err error) {
	if withBlobs {
		if blobs, err = t.blobs(ctx, ref, r.Status == RefUnchanged); err != nil {
			return nil, r, err
		}
	}
	if r.Status != RefUnchanged {
		r, err = t.setTag(ctx, ref)
	}
	return blobs, r, err
}

// missesBlobs tells a registry's refusal of a manifest because of blobs that it does not have.
func missesBlobs(err error) bool {
	refused, ok := errors.AsType[*RegistryError](err)
	return ok && refused.Method == http.MethodPut && slices.Contains([]string{"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"}, refused.Code)
}

// guard looks where a reference points to now, and refuses what must not be overwritten.
func (t *transfer) guard(ctx context.Context, ref reference) (PushedRef, error) {
	want := t.root().desc.Digest
	r := PushedRef{Ref: ref.pinned(want.String()), Status: RefCreated}
	identifier := ref.tag
	if identifier == "" {
		identifier = ref.digest
	}
	have, err := t.client.repository(ref, "pull,push").head(ctx, identifier)
	switch {
	case errors.Is(err, ErrNotFound):
		return r, nil
	case err != nil:
		return r, err
	case have == want:
		r.Status = RefUnchanged
	case !t.moveTag:
		return r, fail(ErrTagExists, "%s points to %s and was not moved to %s", ref, have, want)
	default:
		r.Status, r.Previous = RefMoved, have.String()
	}
	return r, nil
}

// setTag guards once more, as the upload may have taken long, writes the root manifest and looks whether it
// stayed.
func (t *transfer) setTag(ctx context.Context, ref reference) (PushedRef, error) {
	r, err := t.guard(ctx, ref)
	if err != nil || r.Status == RefUnchanged {
		return r, err
	}
	repo := t.client.repository(ref, "pull,push")
	identifier := ref.tag
	if identifier == "" {
		identifier = ref.digest
	}
	if _, err := repo.putManifest(ctx, t.root(), identifier); err != nil {
		return r, err
	}
	have, err := repo.head(ctx, identifier)
	if err != nil {
		return r, err
	}
	if want := t.root().desc.Digest; have != want {
		return r, fail(ErrTagExists, "%s was set to %s, and a moment later by somebody else to %s", ref, want, have)
	}
	return r, nil
}

// blobs brings everything below the root into a repository. When its root manifest is there already, so is
// the rest: a registry takes no manifest before what it points to.
func (t *transfer) blobs(ctx context.Context, ref reference, present bool) ([]PushedBlob, error) {
	repo := t.client.repository(ref, "pull,push")
	blobs := blobsOf(t.nodes)
	results := make([]PushedBlob, len(blobs))
	for i, d := range blobs {
		results[i] = PushedBlob{Repository: ref.name(), Digest: d.Digest.String(), Bytes: d.Size, MediaType: string(d.MediaType), Status: BlobPresent}
	}
	if present {
		for _, d := range blobs {
			repo.remember(d.Digest)
		}
		return results, nil
	}
	var mounts []string
	for _, m := range t.mountFrom {
		if m.endpoint() == ref.endpoint() {
			mounts = append(mounts, m.repo)
		}
	}
	err := parallel(ctx, len(blobs), func(ctx context.Context, i int) (err error) {
		results[i].Status, err = repo.ensureBlob(ctx, t.from, blobs[i], mounts, t.report(ref, blobs[i]))
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, n := range t.nodes[:len(t.nodes)-1] {
		if _, err := repo.putManifest(ctx, n, n.desc.Digest.String()); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (t *transfer) report(ref reference, d v1.Descriptor) func(int64) {
	if t.progress == nil {
		return nil
	}
	return func(sent int64) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.progress(Progress{Repository: ref.name(), Digest: d.Digest.String(), Bytes: sent, Total: d.Size})
	}
}

// parallel calls f for 0 to n-1 at the same time and cancels the rest when one fails. It returns that first
// error. The client's slots bound what really moves at once.
func parallel(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	for i := range n {
		wg.Go(func() {
			if err := f(ctx, i); err != nil {
				once.Do(func() { first = err })
				cancel(err)
			}
		})
	}
	wg.Wait()
	return first
}

// PushJob is one image for [Client.PushAll].
type PushJob struct {
	Layout *Layout
	Refs   []string
}

// PushAll pushes many images at the same time. Blobs that several have in common are sent once, and mounted
// into the other repositories. All are tried: the results are in the order of the jobs, each as [Client.Push]
// returns it, and so are the errors that the error joins. A result is nil when nothing of its job was done.
func (c *Client) PushAll(ctx context.Context, jobs []PushJob, o *PushOptions) ([]*Pushed, error) {
	results, errs := make([]*Pushed, len(jobs)), make([]error, len(jobs))
	running := make(chan struct{}, c.opts.Jobs)
	var wg sync.WaitGroup
	if o != nil && o.Progress != nil {
		var mu sync.Mutex // the promise of one call at a time holds over all images
		progress, serial := o.Progress, *o
		serial.Progress = func(p Progress) {
			mu.Lock()
			defer mu.Unlock()
			progress(p)
		}
		o = &serial
	}
	for i, j := range jobs {
		wg.Go(func() {
			running <- struct{}{}
			defer func() { <-running }()
			results[i], errs[i] = c.Push(ctx, j.Layout, j.Refs, o)
		})
	}
	wg.Wait()
	return results, errors.Join(errs...)
}
