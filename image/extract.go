package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"
)

// ExtractOptions are the options of [Layout.Extract]. The zero value is the strictest.
type ExtractOptions struct {
	Platform string // "os/arch[/variant]"; empty takes the only image

	MaxBytes   int64 // of all files together, uncompressed; 0 means 16 GiB
	MaxEntries int   // of all layers together, with the directories that only names of others tell of; 0 means 100,000
	MaxRatio   int64 // uncompressed bytes for each compressed one, beyond 16 MiB; 0 means 200

	// AllowCaseCollisions permits names that differ only in case. They are refused otherwise, as one would
	// silently become the other on a file system that ignores case.
	AllowCaseCollisions bool

	// AllowAbsoluteNames takes names that begin with a slash as relative to the root, as some builders write
	// them.
	AllowAbsoluteNames bool

	// KeepOwners sets the owners the layers say, which only root may do. Otherwise files belong to the
	// user that extracts, and set-user-ID and set-group-ID bits are dropped.
	KeepOwners bool
}

// Extract writes the root file system of the image to dir, which is made and must be empty: all layers on top
// of each other, deletions included. Each layer is held against its digests.
//
// Nothing is ever written outside dir. An entry with an absolute name or "..", a link that leads out of dir, a
// device, socket or pipe, or a name that differs from another only in case ends the extraction with
// [ErrUnsafe]; too many entries or bytes, a name of more than 4,096 bytes or below more than 255 directories, or a layer that unpacks to an absurd multiple of its size, with
// [ErrTooLarge]; bytes that are not what their digest says with [ErrDigest]. Absolute symbolic links are
// images' daily bread and kept as they are: they mean the root of the image, and extraction never follows one.
func (l *Layout) Extract(ctx context.Context, dir string, o *ExtractOptions) error {
	if o == nil {
		o = &ExtractOptions{}
	}
	return wrap("extract", l.dir, l.extract(ctx, dir, *o))
}

func (l *Layout) extract(ctx context.Context, dir string, o ExtractOptions) error {
	o = o.withDefaults()
	n, config, err := l.image(ctx, o.Platform)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a root file system is for everybody
		return err
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return errors.Join(err, fail(ErrInvalid, "directory %s is not empty", dir))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	s, err := openStore(l.dir)
	if err != nil {
		return err
	}
	defer func() { _ = s.close() }()
	x := &extraction{ExtractOptions: o, root: root, folded: map[string]string{}}
	for i, d := range n.image.Layers {
		if err := x.layer(ctx, s, d, config.RootFS.DiffIDs[i]); err != nil {
			return fmt.Errorf("layer %s: %w", d.Digest, err)
		}
	}
	return x.finishDirs()
}

func (o ExtractOptions) withDefaults() ExtractOptions {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 16 << 30
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = maxEntries
	}
	if o.MaxRatio <= 0 {
		o.MaxRatio = 200
	}
	return o
}

// extraction is one run of Extract.
type extraction struct {
	ExtractOptions
	root    *os.Root
	folded  map[string]string // names in lower case, to what they are
	dirs    []directory       // whose modes and times are set at the end, as they may forbid writing
	bytes   int64             // read of the archives
	written int64             // of files; more than was read if archives could have holes
	entries int
	last    [2]string       // see parent
	fresh   map[string]bool // what the current layer has written, which its own whiteouts do not delete
}

type directory struct {
	name string
	*tar.Header
}

// layer unpacks one layer and holds it against its digests.
func (x *extraction) layer(ctx context.Context, s *store, d v1.Descriptor, diffID v1.Hash) error {
	f, err := s.open(d)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	digest, uncompressed := sha256.New(), sha256.New()
	compressed := bufio.NewReaderSize(io.TeeReader(&cancelReader{ctx, f}, digest), 256<<10)
	plain, err := decompress(compressed)
	if err != nil {
		return err
	}
	defer func() { _ = plain.Close() }()
	r := &capped{r: io.TeeReader(plain, uncompressed), most: min(x.MaxBytes-x.bytes, 16<<20+x.MaxRatio*d.Size)}
	x.fresh = map[string]bool{}
	if err := x.entriesOf(ctx, tar.NewReader(r)); err != nil {
		return err
	}
	// What follows the archive's end counts for the digests.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, compressed); err != nil {
		return err
	}
	x.bytes += r.n
	if got := hex.EncodeToString(digest.Sum(nil)); got != d.Digest.Hex {
		return fail(ErrDigest, "it is sha256:%s", got)
	}
	if got := hex.EncodeToString(uncompressed.Sum(nil)); got != diffID.Hex {
		return fail(ErrDigest, "uncompressed it is sha256:%s, the configuration says %s", got, diffID)
	}
	return nil
}

// decompress goes by the bytes, not by the media type, as builders have mislabelled layers.
func decompress(r *bufio.Reader) (io.ReadCloser, error) {
	head, _ := r.Peek(4)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fail(ErrInvalid, "gzip: %w", err)
		}
		return z, nil
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxMemory(128<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, fail(ErrInvalid, "zstd: %w", err)
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}

// capped ends a bomb.
type capped struct {
	r       io.Reader
	n, most int64
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.n += int64(n); c.n > c.most {
		return 0, fail(ErrTooLarge, "it unpacks to more than the cap of %d bytes", c.most)
	}
	return n, err
}

func (x *extraction) entriesOf(ctx context.Context, tr *tar.Reader) error {
	for {
		h, err := tr.Next()
		switch {
		case ctx.Err() != nil: // the reader looks too, but not at what is buffered, which may unpack to a lot
			return ctx.Err()
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, ErrTooLarge):
			return err
		case err != nil:
			return fail(ErrInvalid, "archive: %w", err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // speaks of the archive
		}
		if err := x.count(); err != nil {
			return err
		}
		if err := x.entry(h, tr); err != nil {
			return fmt.Errorf("entry %.200q: %w", h.Name, err)
		}
	}
}

func (x *extraction) count() error {
	if x.entries++; x.entries > x.MaxEntries {
		return fail(ErrTooLarge, "more entries than the cap of %d", x.MaxEntries)
	}
	return nil
}

const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

func (x *extraction) entry(h *tar.Header, content io.Reader) error {
	name, err := x.safeName(h.Name)
	if err != nil || name == "." {
		return err
	}
	base := path.Base(name)
	dir, err := x.parent(path.Dir(name))
	if err != nil {
		return err
	}
	switch {
	case base == opaque:
		return x.clear(dir)
	case strings.HasPrefix(base, whiteout):
		gone := strings.TrimPrefix(base, whiteout)
		if gone == "" || gone == "." || gone == ".." {
			return fail(ErrUnsafe, "the deletion names no file")
		}
		return x.remove(path.Join(dir, gone))
	}
	name = path.Join(dir, base)
	if err := x.collision(name); err != nil {
		return err
	}
	x.fresh[name] = true
	for p := dir; p != "." && !x.fresh[p]; p = path.Dir(p) {
		x.fresh[p] = true
		if err := x.count(); err != nil {
			return err
		}
	}
	if h.Typeflag != tar.TypeReg {
		x.last = [2]string{} // it may be, or replace, a link on the way of others
	}
	return x.write(name, h, content)
}

// parent finds and makes the directory that an entry goes to. Entries mostly come directory by directory, so
// the last answer is kept.
func (x *extraction) parent(dir string) (string, error) {
	if x.last[0] == dir && x.last[1] != "" {
		return x.last[1], nil
	}
	found, err := x.realDir(dir)
	if err == nil && found != "." {
		err = unsafe(x.root.MkdirAll(found, 0o755))
	}
	if err != nil {
		return "", err
	}
	x.last = [2]string{dir, found}
	return found, nil
}

// realDir follows the links on the way to a directory as the image means them: an absolute one starts at the
// image's root. What is not there yet will be a directory.
func (x *extraction) realDir(dir string) (string, error) {
	done, left := ".", dir
	for links := 0; left != "." && left != ""; {
		first, rest, _ := strings.Cut(left, "/")
		next := path.Join(done, first)
		info, err := x.root.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path.Join(next, rest), nil
		case err != nil:
			return "", unsafe(err)
		case info.IsDir():
			done, left = next, rest
			continue
		case info.Mode()&fs.ModeSymlink == 0:
			return "", fail(ErrUnsafe, "%q on the way is no directory", next)
		}
		if links++; links > 40 {
			return "", fail(ErrUnsafe, "more than 40 links on the way")
		}
		target, err := x.root.Readlink(next)
		if err != nil {
			return "", err
		}
		if !path.IsAbs(target) {
			target = path.Join(done, target)
		}
		// Cleaned as an absolute name, so that ".." cannot climb out of the root.
		done, left = ".", strings.TrimPrefix(path.Join("/", target, rest), "/")
		if err := checkLength(left); err != nil {
			return "", err
		}
	}
	return done, nil
}

// safeName refuses what would leave the root, and cleans the rest.
func (x *extraction) safeName(s string) (string, error) {
	if x.AllowAbsoluteNames {
		s = strings.TrimLeft(s, "/")
	}
	switch {
	case strings.HasPrefix(s, "/"):
		return "", fail(ErrUnsafe, "the name is absolute")
	case strings.ContainsRune(s, 0), strings.ContainsRune(s, '\\'):
		return "", fail(ErrUnsafe, "the name holds a zero byte or a backslash")
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == ".." {
			return "", fail(ErrUnsafe, `the name holds ".."`)
		}
	}
	s = path.Clean(s)
	return s, checkLength(s)
}

// Longer names than this no image can use. Walking a name takes time that grows with the square of its depth.
const (
	maxNameBytes = 4096
	maxNameDepth = 256
)

func checkLength(name string) error {
	if len(name) > maxNameBytes || strings.Count(name, "/") >= maxNameDepth {
		return fail(ErrTooLarge, "the name is longer than the cap of %d bytes, or below more than %d directories", maxNameBytes, maxNameDepth-1)
	}
	return nil
}

func (x *extraction) collision(name string) error {
	if x.AllowCaseCollisions {
		return nil
	}
	// Every directory on the way counts: "A/b" and "a/b" are one on a file system that ignores case.
	for p := name; p != "."; p = path.Dir(p) {
		folded := strings.ToLower(p)
		if other, ok := x.folded[folded]; ok && other != p {
			return fail(ErrUnsafe, "the name differs from %q only in case", other)
		}
		x.folded[folded] = p
	}
	return nil
}

func (x *extraction) write(name string, h *tar.Header, content io.Reader) error {
	if isSparse(h) {
		return fail(ErrUnsafe, "a file with holes, whose size says nothing of its content")
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if info, err := x.root.Lstat(name); err == nil && !info.IsDir() {
			if err := x.removeAll(name); err != nil {
				return err
			}
		}
		x.dirs = append(x.dirs, directory{name, h})
		return unsafe(x.root.MkdirAll(name, 0o755))
	case tar.TypeReg:
		return x.writeFile(name, h, content)
	case tar.TypeSymlink:
		if err := errors.Join(checkLink(name, h.Linkname), checkLength(h.Linkname)); err != nil {
			return err
		}
		if err := x.replace(name, func() error { return x.root.Symlink(h.Linkname, name) }); err != nil {
			return err
		}
		return x.owner(name, h)
	case tar.TypeLink:
		target, err := x.safeName(h.Linkname)
		if err != nil {
			return fmt.Errorf("link target: %w", err)
		}
		dir, err := x.realDir(path.Dir(target))
		if err != nil {
			return err
		}
		target = path.Join(dir, path.Base(target))
		if target == name {
			return nil
		}
		err = x.replace(name, func() error { return x.root.Link(target, name) })
		if errors.Is(err, fs.ErrNotExist) {
			return fail(ErrInvalid, "the link to %q leads to nothing: %w", h.Linkname, err)
		}
		return err
	}
	return fail(ErrUnsafe, "an entry of type %q is no file, directory or link", h.Typeflag)
}

// isSparse finds files with holes: a few bytes of archive can stand for any number of zeros.
func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// replace makes something new where something old may be.
func (x *extraction) replace(name string, create func() error) error {
	err := create()
	if errors.Is(err, fs.ErrExist) {
		if err = x.removeAll(name); err == nil {
			err = create()
		}
	}
	return unsafe(err)
}

// checkLink refuses a relative link that climbs out of the root. An absolute one means the image's root.
func checkLink(name, target string) error {
	if path.IsAbs(target) {
		return nil
	}
	if p := path.Join(path.Dir(name), target); p == ".." || strings.HasPrefix(p, "../") {
		return fail(ErrUnsafe, "the link to %.200q leads out of the root", target)
	}
	return nil
}

func (x *extraction) writeFile(name string, h *tar.Header, content io.Reader) error {
	var f *os.File
	err := x.replace(name, func() (err error) {
		f, err = x.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	written := &capped{r: content, n: x.written, most: x.MaxBytes}
	_, err = io.Copy(f, written)
	x.written = written.n
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = x.owner(name, h)
	}
	if err == nil {
		err = x.root.Chmod(name, fs.FileMode(h.Mode&0o777)|x.setID(h)) //nolint:gosec // masked; after the owner, whose change drops the set-ID bits
	}
	if err == nil {
		err = x.root.Chtimes(name, h.ModTime, h.ModTime)
	}
	return err
}

func (x *extraction) setID(h *tar.Header) fs.FileMode {
	if !x.KeepOwners {
		return 0
	}
	return h.FileInfo().Mode() & (fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}

func (x *extraction) owner(name string, h *tar.Header) error {
	if !x.KeepOwners {
		return nil
	}
	return x.root.Lchown(name, h.Uid, h.Gid)
}

// finishDirs sets what was left for the end, deepest first.
func (x *extraction) finishDirs() error {
	for _, h := range slices.Backward(x.dirs) {
		name := h.name
		if info, err := x.root.Lstat(name); err != nil || !info.IsDir() {
			continue // a later layer took it away
		}
		err := x.owner(name, h.Header)
		if err == nil {
			err = x.root.Chmod(name, fs.FileMode(h.Mode&0o777)|x.setID(h.Header)) //nolint:gosec // masked
		}
		if err == nil && h.ModTime.After(time.Unix(0, 0)) {
			err = x.root.Chtimes(name, h.ModTime, h.ModTime)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unsafe classifies a refusal of [os.Root] to leave the root, which has no error value of its own.
func unsafe(err error) error {
	if err != nil && strings.Contains(err.Error(), "path escapes from parent") {
		return fail(ErrUnsafe, "%w", err)
	}
	return err
}

// remove takes away what a whiteout names, if an earlier layer put it there.
func (x *extraction) remove(name string) error {
	if x.fresh[name] {
		return nil
	}
	if folded := strings.ToLower(name); x.folded[folded] == name {
		delete(x.folded, folded) // free for a name in other case
	}
	return x.removeAll(name)
}

func (x *extraction) removeAll(name string) error {
	x.last = [2]string{}
	return unsafe(x.root.RemoveAll(name))
}

// clear empties a directory of what earlier layers put there.
func (x *extraction) clear(dir string) error {
	entries, err := fs.ReadDir(x.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unsafe(err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case !x.fresh[name]:
			err = x.removeAll(name)
		case e.IsDir():
			err = x.clear(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
