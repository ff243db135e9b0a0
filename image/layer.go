package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxEntries is how many files a layer may have, built or extracted.
const maxEntries = 100_000

// layer is a finished layer: its descriptor and the digest of its uncompressed form.
type layer struct {
	Desc   v1.Descriptor
	DiffID v1.Hash
}

// writeLayer makes a layer of files in one pass: each file is read once, and on the way to the store the
// archive is hashed, compressed on all cores and hashed again.
func writeLayer(ctx context.Context, s *store, files []File, mtime time.Time) (layer, error) {
	return compressLayer(s, func(w io.Writer) error { return writeTar(ctx, w, files, mtime) })
}

// compressLayer stores what write writes, an archive.
func compressLayer(s *store, write func(io.Writer) error) (layer, error) {
	blob, err := s.create()
	if err != nil {
		return layer{}, err
	}
	defer blob.discard()
	gz, diffID := newGzipWriter(blob), sha256.New()
	err = write(io.MultiWriter(diffID, gz))
	if cerr := gz.Close(); err == nil { // ends its goroutines, so also after an error
		err = cerr
	}
	if err == nil {
		err = blob.commit()
	}
	if err != nil {
		return layer{}, err
	}
	return layer{
		Desc:   v1.Descriptor{MediaType: types.OCILayer, Digest: blob.digest(), Size: blob.size},
		DiffID: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(diffID.Sum(nil))},
	}, nil
}

// writeTar writes the archive. Everything in it is decided by files and mtime.
func writeTar(ctx context.Context, w io.Writer, files []File, mtime time.Time) error {
	tw := tar.NewWriter(w)
	buf := make([]byte, 256<<10)
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := tw.WriteHeader(headerOf(f, mtime)); err != nil {
			return fail(ErrInvalid, "file %s: %w", f.Name, err)
		}
		if f.Mode.IsRegular() {
			if err := copyFile(ctx, tw, f, buf); err != nil {
				return err
			}
		}
	}
	return tw.Close()
}

func headerOf(f File, mtime time.Time) *tar.Header {
	h := &tar.Header{Name: f.Name, Mode: int64(f.Mode.Perm()), Uid: f.UID, Gid: f.GID, ModTime: mtime, Typeflag: tar.TypeReg}
	switch f.Mode.Type() {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, f.Name+"/"
	case fs.ModeSymlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, f.Link
	default:
		h.Size = f.Size
	}
	return h
}

func copyFile(ctx context.Context, tw io.Writer, f File, buf []byte) error {
	r, err := f.Open()
	if err != nil {
		return inputError(err)
	}
	defer func() { _ = r.Close() }()
	// The struct hides WriterTo and ReaderFrom, which would bring buffers of their own.
	n, err := io.CopyBuffer(struct{ io.Writer }{tw}, io.LimitReader(&cancelReader{ctx, r}, f.Size), buf)
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.Name, err)
	}
	if extra, _ := r.Read(buf[:1]); n != f.Size || extra > 0 {
		return fail(ErrInvalid, "file %s changed its size while it was read (%d bytes at first)", f.Name, f.Size)
	}
	return nil
}

// layerCache remembers which archive became which blob. An entry is found by the digest of the archive, so
// a hit is never wrong; what the cache saves is the compression. Finding that digest takes a pass over the
// files, which is made only when an archive of the same shape (names, sizes, modes) was seen before.
type layerCache struct{ *store }

// gzipCodec names the form of the compressed bytes in the cache's keys.
var gzipCodec = fmt.Sprintf("gzip%d-%d", gzipLevel, gzipBlock)

func openLayerCache(dir string) (*layerCache, error) {
	if dir == "" {
		return nil, nil //nolint:nilnil // a nil cache is one that never hits
	}
	s, err := createStore(dir)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"shapes", "layers"} {
		if err := s.root.MkdirAll(sub, 0o755); err != nil {
			_ = s.close()
			return nil, err
		}
	}
	return &layerCache{s}, nil
}

func (c *layerCache) close() {
	if c != nil {
		_ = c.store.close()
	}
}

// layer returns the layer of files, from the cache or newly written, in dst.
func (c *layerCache) layer(ctx context.Context, dst *store, files []File, mtime time.Time) (layer, error) {
	if c == nil {
		return writeLayer(ctx, dst, files, mtime)
	}
	shape := shapeOf(files, mtime)
	if _, err := c.root.Stat(shape); err == nil {
		l, err := c.lookUp(ctx, dst, files, mtime)
		if err == nil || !errors.Is(err, errMiss) {
			return l, err
		}
	}
	l, err := writeLayer(ctx, dst, files, mtime)
	if err != nil {
		return l, err
	}
	return l, c.remember(ctx, dst, shape, l)
}

var errMiss = errors.New("not in the cache")

func (c *layerCache) lookUp(ctx context.Context, dst *store, files []File, mtime time.Time) (layer, error) {
	diffID := sha256.New()
	if err := writeTar(ctx, diffID, files, mtime); err != nil {
		return layer{}, err
	}
	var l layer
	raw, err := c.root.ReadFile(cacheKey(hex.EncodeToString(diffID.Sum(nil))))
	if err != nil || json.Unmarshal(raw, &l) != nil {
		return layer{}, errMiss
	}
	if err := dst.copyFrom(ctx, c.store, l.Desc); err != nil {
		if ctx.Err() != nil {
			return layer{}, ctx.Err()
		}
		c.drop(l.Desc)
		return layer{}, errMiss
	}
	return l, nil
}

// drop removes a blob that could not be copied: a damaged cache is an empty one.
func (c *layerCache) drop(d v1.Descriptor) { _ = c.root.Remove(blobPath(d.Digest)) }

// copyThrough copies a blob from elsewhere to dst and keeps it in the cache, or takes it from there.
func (c *layerCache) copyThrough(ctx context.Context, dst *store, from content, d v1.Descriptor) (err error) {
	if c == nil {
		return dst.copyFrom(ctx, from, d)
	}
	for range 2 {
		if err = c.copyFrom(ctx, from, d); err != nil {
			return err
		}
		if err = dst.copyFrom(ctx, c.store, d); err == nil || ctx.Err() != nil {
			return err
		}
		c.drop(d)
	}
	return err
}

func (c *layerCache) remember(ctx context.Context, from *store, shape string, l layer) error {
	if err := c.copyFrom(ctx, from, l.Desc); err != nil {
		return err
	}
	raw, err := marshal(l)
	if err != nil {
		return err
	}
	return errors.Join(c.writeFile(cacheKey(l.DiffID.Hex), raw), c.writeFile(shape, nil))
}

func cacheKey(diffID string) string { return path.Join("layers", diffID+"."+gzipCodec+".json") }

func shapeOf(files []File, mtime time.Time) string {
	h := sha256.New()
	for _, f := range files {
		_, _ = fmt.Fprintf(h, "%q %o %d %d %d %q\n", f.Name, f.Mode, f.Size, f.UID, f.GID, f.Link)
	}
	_, _ = fmt.Fprintf(h, "%d %s", mtime.Unix(), gzipCodec)
	return path.Join("shapes", hex.EncodeToString(h.Sum(nil)))
}
