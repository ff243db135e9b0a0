package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Store reads what lies at a path. It is asked without a key: the resolver picks the member of a JSON
// object itself, so that all keys of one path come from one read and belong together.
//
// Get returns an [*Error] of a fitting kind, and never an empty Value without an error for something that is
// not there. It is called from several goroutines.
type Store interface {
	Get(ctx context.Context, r Ref) (Value, Meta, error)
}

// Meta says where a value came from.
type Meta struct {
	Path    string    // as the store knows it, such as the API path in Vault
	Version int       // 0 where the store has no versions
	Created time.Time // of this version; zero where the store does not say
	Expires time.Time // end of the lease of a dynamic secret; zero for none
	Fetched time.Time // when the store was asked
	Stale   bool      // the store could not be asked again; see ResolverOptions.MaxStale
}

// An Invalidator is a Store that learns by itself that what it returned has ended, such as a revoked lease.
// The resolver passes a function that the store calls with the reference it was asked for.
type Invalidator interface {
	OnInvalid(f func(r Ref))
}

// FromEnv returns the store for env://NAME, which reads the environment of the process at each Get. An
// unset variable is [ErrNotFound]; one that is set and empty is an empty value.
func FromEnv() Store { return envStore{} }

type envStore struct{}

func (envStore) Get(_ context.Context, r Ref) (Value, Meta, error) {
	if strings.ContainsAny(r.Path, "/=") || r.Version != 0 {
		return Value{}, Meta{}, &Error{Op: "get", Ref: r.String(), Kind: ErrBadRef, Err: errors.New("want env://NAME")}
	}
	s, ok := os.LookupEnv(r.Path) //nolint:forbidigo // the store that FromEnv makes
	if !ok {
		return Value{}, Meta{}, &Error{Op: "get", Ref: r.String(), Kind: ErrNotFound, Err: errors.New("the variable is not set")}
	}
	return NewValue(s), Meta{Path: r.Path}, nil
}

// FileOptions configures [FromFiles].
type FileOptions struct {
	// Root, when set, is the only directory read from: file:///db/password is Root/db/password, and links
	// that leave Root are refused.
	Root string
	// MaxBytes is the largest file read; 0 means 1 MiB.
	MaxBytes int64
	// KeepNewline leaves the line end at the end of a file in place. By default one is taken off, as files
	// written by hand or by echo have one that is not part of the secret.
	KeepNewline bool
}

// FromFiles returns the store for file:///path. Files are opened anew at each Get, so that secrets mounted
// by Kubernetes or a Vault agent are seen to change. Only regular files are read.
func FromFiles(o *FileOptions) Store {
	if o == nil {
		o = &FileOptions{}
	}
	s := &fileStore{FileOptions: *o}
	if s.MaxBytes <= 0 {
		s.MaxBytes = 1 << 20
	}
	return s
}

type fileStore struct{ FileOptions }

func (s *fileStore) Get(_ context.Context, r Ref) (Value, Meta, error) {
	fail := func(kind, err error) (Value, Meta, error) {
		return Value{}, Meta{}, &Error{Op: "get", Ref: r.String(), Kind: kind, Err: err}
	}
	if r.Version != 0 {
		return fail(ErrBadRef, errors.New("files have no versions"))
	}
	f, err := s.open(r.Path)
	if err != nil {
		return fail(fileKind(err), err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fail(fileKind(err), err)
	}
	if !info.Mode().IsRegular() {
		return fail(ErrBadRef, errors.New("not a regular file"))
	}
	b, err := io.ReadAll(io.LimitReader(f, s.MaxBytes+1))
	if err != nil {
		return fail(fileKind(err), err)
	}
	if int64(len(b)) > s.MaxBytes {
		clear(b)
		return fail(ErrTooLarge, fmt.Errorf("larger than the cap of %d bytes (FileOptions.MaxBytes)", s.MaxBytes))
	}
	if !s.KeepNewline && strings.HasSuffix(string(b[max(0, len(b)-1):]), "\n") {
		b = b[:len(b)-1]
		if len(b) > 0 && b[len(b)-1] == '\r' {
			b = b[:len(b)-1]
		}
	}
	return newValue(b), Meta{Path: r.Path, Created: info.ModTime()}, nil
}

// open does not block on a named pipe: O_NONBLOCK lets Stat tell what it is.
func (s *fileStore) open(path string) (*os.File, error) {
	if s.Root == "" {
		return os.OpenFile(filepath.FromSlash(path), os.O_RDONLY|nonblock, 0)
	}
	root, err := os.OpenRoot(s.Root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenFile(filepath.FromSlash(strings.TrimLeft(path, "/")), os.O_RDONLY|nonblock, 0)
}

func fileKind(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrNotFound
	case errors.Is(err, fs.ErrPermission), strings.HasSuffix(err.Error(), "path escapes from parent"): // os.Root has no name for it
		return ErrDenied
	}
	return ErrUnavailable
}
