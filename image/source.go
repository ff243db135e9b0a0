package image

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Source yields the files of one layer. [Dir], [FS], [Files] and [GoProgram] are sources; a type of your own
// is one with this method.
type Source interface {
	// Files yields the files for a target, in any order; the build sorts them by name. An error ends the
	// build. A directory needs no entry of its own unless it is empty.
	Files(ctx context.Context, t Target) iter.Seq2[File, error]
}

// Target is what a source is asked for.
type Target struct {
	Platform string // "os/arch[/variant]"
	TempDir  string // a directory for intermediate files, removed when the layer is written
}

// File is a file, directory or link of a layer.
type File struct {
	Name string      // absolute or relative to the root of the image, slashes; cleaned by the build
	Mode fs.FileMode // type (regular, [fs.ModeDir], [fs.ModeSymlink]) and permission bits; see [Dir] for what becomes of them
	Size int64       // of a regular file; Open must give exactly as many bytes
	Link string      // target of a symbolic link
	UID  int         // numeric owner
	GID  int         // numeric group
	Open func() (io.ReadCloser, error)
}

// Dir is a directory tree on disk, its content landing in the root of the image; see [At].
//
// Of the modes only the type and the owner's execute bit survive: directories and executables become 0755,
// other files 0644, as permission bits mostly say what umask the checkout was made with. Owner and group
// become 0, times [Spec.Created]. Symbolic links are kept as they are and not followed. A device, socket
// or named pipe ends the build with [ErrInvalid].
type Dir string

// Files yields the tree.
func (d Dir) Files(ctx context.Context, _ Target) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		root, err := os.OpenRoot(string(d))
		if err != nil {
			yield(File{}, inputError(err))
			return
		}
		defer func() { _ = root.Close() }()
		// The root is closed before the files are read, so each opens the directory anew; a link that
		// is put in a file's place meanwhile leads nowhere.
		walk(ctx, root.FS(), func(name string) (io.ReadCloser, error) { return os.OpenInRoot(string(d), name) }, yield)
	}
}

func (d Dir) samePlatforms() {}

// FS is any file system, such as an [embed.FS], treated as [Dir] treats a directory.
func FS(fsys fs.FS) Source { return fsSource{fsys} }

type fsSource struct{ fsys fs.FS }

func (s fsSource) Files(ctx context.Context, _ Target) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		walk(ctx, s.fsys, func(name string) (io.ReadCloser, error) { return s.fsys.Open(name) }, yield)
	}
}

func (fsSource) samePlatforms() {}

func walk(ctx context.Context, fsys fs.FS, open func(name string) (io.ReadCloser, error), yield func(File, error) bool) {
	stop := errors.New("stop")
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return inputError(err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if name == "." {
			return nil
		}
		f, err := fileOf(fsys, name, d)
		if err != nil {
			return err
		}
		f.Open = func() (io.ReadCloser, error) { return open(name) }
		if !yield(f, nil) {
			return stop
		}
		return nil
	})
	if err != nil && !errors.Is(err, stop) {
		yield(File{}, err)
	}
}

func fileOf(fsys fs.FS, name string, d fs.DirEntry) (File, error) {
	info, err := d.Info()
	if err != nil {
		return File{}, inputError(err)
	}
	f := File{Name: name, Mode: 0o644}
	switch info.Mode().Type() {
	case fs.ModeDir:
		f.Mode = fs.ModeDir | 0o755
	case fs.ModeSymlink:
		f.Mode = fs.ModeSymlink | 0o777
		if f.Link, err = fs.ReadLink(fsys, name); err != nil {
			return File{}, inputError(err)
		}
	case 0:
		if info.Mode()&0o100 != 0 {
			f.Mode = 0o755
		}
		f.Size = info.Size()
	default:
		return File{}, fail(ErrInvalid, "%s is a %s; an image holds files, directories and symbolic links", name, kindOf(info.Mode()))
	}
	return f, nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return fmt.Sprintf("file of mode %s", m)
}

// Files is a layer given as its content: name in the image to bytes. Modes are 0644.
type Files map[string][]byte

// Files yields them.
func (s Files) Files(context.Context, Target) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for name, content := range s {
			f := File{Name: name, Mode: 0o644, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(content)), nil
			}}
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (Files) samePlatforms() {}

// At puts what src yields below dir instead of the root.
func At(dir string, src Source) Source { return at{dir, src} }

type at struct {
	dir string
	src Source
}

func (a at) Files(ctx context.Context, t Target) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for f, err := range a.src.Files(ctx, t) {
			f.Name = path.Join(a.dir, f.Name)
			if !yield(f, err) {
				return
			}
		}
	}
}

// anyPlatform is a source whose files are the same on every platform, so that one layer serves all.
type anyPlatform interface{ samePlatforms() }

func sameOnAll(src Source) bool {
	_, ok := inner(src).(anyPlatform)
	return ok
}

// inner is what [At] puts somewhere.
func inner(src Source) Source {
	for a, ok := src.(at); ok; a, ok = src.(at) {
		src = a.src
	}
	return src
}

// collect reads a source to its end: sorted, names cleaned, parent directories added, nothing twice.
func collect(ctx context.Context, src Source, t Target) ([]File, error) {
	seen := map[string]fs.FileMode{}
	var files, parents []File
	for f, err := range src.Files(ctx, t) {
		if err != nil {
			return nil, err
		}
		name, err := cleanName(f.Name)
		if err != nil {
			return nil, err
		}
		_, twice := seen[name]
		switch {
		case name == "":
			continue // the root itself needs no entry
		case twice:
			return nil, fail(ErrInvalid, "source yields %q twice", name)
		case len(files) == maxEntries:
			return nil, fail(ErrTooLarge, "source yields more files than the cap of %d", maxEntries)
		}
		if err := checkFile(f); err != nil {
			return nil, err
		}
		f.Name, seen[name] = name, f.Mode
		files = append(files, f)
	}
	for _, f := range files {
		for dir := path.Dir(f.Name); dir != "."; dir = path.Dir(dir) {
			if mode, has := seen[dir]; has && !mode.IsDir() {
				return nil, fail(ErrInvalid, "source yields %q below %q, which is no directory", f.Name, dir)
			} else if has {
				break
			}
			seen[dir] = fs.ModeDir
			parents = append(parents, File{Name: dir, Mode: fs.ModeDir | 0o755})
		}
	}
	files = append(files, parents...)
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	return files, nil
}

func checkFile(f File) error {
	switch t := f.Mode.Type(); {
	case t != 0 && t != fs.ModeDir && t != fs.ModeSymlink:
		return fail(ErrInvalid, "%s is a %s; an image holds files, directories and symbolic links", f.Name, kindOf(f.Mode))
	case t == 0 && (f.Open == nil || f.Size < 0):
		return fail(ErrInvalid, "file %s has no Open function or a negative size", f.Name)
	case t == fs.ModeSymlink && f.Link == "":
		return fail(ErrInvalid, "link %s has no target", f.Name)
	}
	return nil
}

// cleanName makes a name relative to the root of the image, "" for the root itself.
func cleanName(s string) (string, error) {
	if strings.ContainsRune(s, 0) || slices.Contains(strings.Split(s, "/"), "..") {
		return "", fail(ErrInvalid, "file name %q holds \"..\" or a zero byte", s)
	}
	return strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(s)), "/"), nil
}

// inputError classifies an error of the local file system on the way in.
func inputError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(ErrNotFound, "%w", err)
	case errors.Is(err, fs.ErrPermission):
		return fail(ErrDenied, "%w", err)
	}
	return err
}
