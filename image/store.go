package image

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// store is a directory of blobs named by their digest, as an OCI layout and the cache hold them. All access
// goes through an [os.Root], so that a link planted in it leads nowhere.
type store struct{ root *os.Root }

const blobDir = "blobs/sha256"

// openStore opens dir, which must exist.
func openStore(dir string) (*store, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, inputError(err)
	}
	return &store{root}, nil
}

// createStore opens dir and makes what is missing of it.
func createStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // layouts are read by scanners that run as somebody else
		return nil, err
	}
	s, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	if err := s.root.MkdirAll(blobDir, 0o755); err != nil {
		_ = s.close()
		return nil, err
	}
	return s, nil
}

func (s *store) close() error { return s.root.Close() }

func blobPath(h v1.Hash) string { return path.Join(blobDir, h.Hex) }

// has reports whether the blob is there with the size it should have.
func (s *store) has(d v1.Descriptor) bool {
	info, err := s.root.Stat(blobPath(d.Digest))
	return err == nil && info.Mode().IsRegular() && info.Size() == d.Size
}

// open opens a blob of the size the descriptor names. The content is not verified; see [verifying].
func (s *store) open(d v1.Descriptor) (*os.File, error) {
	f, size, err := s.openFile(blobPath(d.Digest))
	if err == nil && size != d.Size {
		_ = f.Close()
		return nil, fail(ErrDigest, "blob %s has %d bytes, its descriptor says %d", d.Digest, size, d.Size)
	}
	return f, err
}

// openFile opens a regular file. It looks first, as opening a pipe waits for its other end.
func (s *store) openFile(name string) (f *os.File, size int64, err error) {
	info, err := s.root.Stat(name)
	switch {
	case errors.Is(unsafe(err), ErrUnsafe):
		err = fail(ErrInvalid, "%w", err)
	case err != nil:
	case !info.Mode().IsRegular():
		err = fail(ErrInvalid, "%s is no regular file", name)
	default:
		size = info.Size()
		f, err = s.root.Open(name)
	}
	return f, size, inputError(err)
}

// blob implements content.
func (s *store) blob(_ context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
	f, err := s.open(d)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// manifest implements content.
func (s *store) manifest(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	return readSmall(ctx, s, d, maxManifestBytes)
}

// put writes bytes as a blob and returns their descriptor.
func (s *store) put(b []byte, mediaType types.MediaType) (v1.Descriptor, error) {
	d := v1.Descriptor{MediaType: mediaType, Digest: hashOf(b), Size: int64(len(b))}
	if s.has(d) {
		return d, nil
	}
	w, err := s.create()
	if err != nil {
		return d, err
	}
	defer w.discard()
	if _, err := w.Write(b); err != nil {
		return d, err
	}
	return d, w.commit()
}

// copyFrom copies a blob from elsewhere, verifying it on the way, unless it is there.
func (s *store) copyFrom(ctx context.Context, from content, d v1.Descriptor) error {
	if s.has(d) {
		return nil
	}
	r, err := from.blob(ctx, d, 0)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	w, err := s.create()
	if err != nil {
		return err
	}
	defer w.discard()
	if _, err := io.Copy(w, io.LimitReader(&cancelReader{ctx, r}, d.Size+1)); err != nil {
		return err
	}
	if w.digest() != d.Digest || w.size != d.Size {
		return fail(ErrDigest, "blob %s of %d bytes arrived as %s with %d", d.Digest, d.Size, w.digest(), w.size)
	}
	return w.commit()
}

// blobWriter writes a blob under a temporary name until its digest is known.
type blobWriter struct {
	store *store
	name  string
	file  *os.File
	hash  hash.Hash
	size  int64
}

func (s *store) create() (*blobWriter, error) {
	name := path.Join(blobDir, ".tmp-"+randomName())
	f, err := s.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	return &blobWriter{store: s, name: name, file: f, hash: sha256.New()}, nil
}

func (w *blobWriter) Write(p []byte) (int, error) {
	w.hash.Write(p)
	n, err := w.file.Write(p)
	w.size += int64(n)
	return n, err
}

func (w *blobWriter) digest() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(w.hash.Sum(nil))}
}

// commit gives the blob its name.
func (w *blobWriter) commit() error {
	if err := w.file.Close(); err != nil {
		return err
	}
	return w.store.root.Rename(w.name, blobPath(w.digest()))
}

// discard removes what commit did not keep. After commit it does nothing.
func (w *blobWriter) discard() {
	_ = w.file.Close()
	_ = w.store.root.Remove(w.name)
}

// writeFile replaces a small file of the store in one step.
func (s *store) writeFile(name string, b []byte) error {
	tmp := path.Join(path.Dir(name), ".tmp-"+randomName())
	err := s.root.WriteFile(tmp, b, 0o644)
	if err == nil {
		err = s.root.Rename(tmp, name)
	}
	if err != nil {
		_ = s.root.Remove(tmp)
	}
	return err
}

// prune removes every blob that is not among keep, temporary files of builds that died included.
func (s *store) prune(keep map[string]bool) error {
	entries, err := fs.ReadDir(s.root.FS(), blobDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !keep[e.Name()] {
			errs = append(errs, s.root.Remove(path.Join(blobDir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// content is where an image comes from: a layout or a repository.
type content interface {
	manifest(ctx context.Context, d v1.Descriptor) ([]byte, error)
	blob(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error)
}

// fetchNode reads and checks one manifest.
func fetchNode(ctx context.Context, from content, d v1.Descriptor) (*node, error) {
	raw, err := from.manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	return parseNode(d, raw)
}

// tree reads everything below d, children before parents, each manifest once.
func tree(ctx context.Context, from content, d v1.Descriptor) ([]*node, error) {
	var nodes []*node
	seen := map[v1.Hash]bool{}
	var visit func(d v1.Descriptor, depth int) error
	visit = func(d v1.Descriptor, depth int) error {
		switch {
		case seen[d.Digest]:
			return nil
		case depth > maxIndexDepth:
			return fail(ErrTooLarge, "indexes nest deeper than the cap of %d", maxIndexDepth)
		case len(seen) >= maxManifests:
			return fail(ErrTooLarge, "more manifests than the cap of %d", maxManifests)
		}
		seen[d.Digest] = true
		n, err := fetchNode(ctx, from, d)
		if err != nil {
			return err
		}
		for _, child := range n.children() {
			if err := visit(child, depth+1); err != nil {
				return err
			}
		}
		nodes = append(nodes, n)
		return nil
	}
	err := visit(d, 0)
	return nodes, err
}

// cancelReader ends a long copy when its context does.
type cancelReader struct {
	ctx context.Context //nolint:containedctx // lives as long as one copy
	r   io.Reader
}

func (c *cancelReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// readSmall reads a small blob whole and verifies it.
func readSmall(ctx context.Context, from content, d v1.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, fail(ErrTooLarge, "blob %s has %d bytes, the cap is %d", d.Digest, d.Size, limit)
	}
	r, err := from.blob(ctx, d, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, d.Size+1))
	if err != nil {
		return nil, err
	}
	if got := hashOf(b); got != d.Digest {
		return nil, fail(ErrDigest, "blob %s has digest %s", d.Digest, got)
	}
	return b, nil
}

// verifyStream reads r to its end and holds it against d.
func verifyStream(ctx context.Context, r io.Reader, d v1.Descriptor) error {
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(&cancelReader{ctx, r}, d.Size+1))
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); n != d.Size || got != d.Digest.Hex {
		return fail(ErrDigest, "blob %s of %d bytes is sha256:%s with %d", d.Digest, d.Size, got, n)
	}
	return nil
}

func randomName() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
