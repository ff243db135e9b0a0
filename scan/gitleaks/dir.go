package gitleaks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/zricethezav/gitleaks/v8/config"

	"github.com/waybill-dev/waybill/scan"
)

// maxErrors bounds how many unreadable files a message names.
const maxErrors = 10

type dirFile struct {
	path    string // to open
	name    string // relative to the target, forward slashes
	symlink string
}

// dirSource searches the files below path, or the one file it is. Names in findings are relative to the
// directory, as if the command were run in it.
func (s *Scanner) dirSource(path string) func(context.Context, *search) error {
	return func(ctx context.Context, sr *search) error {
		files := make(chan dirFile)
		var unreadable problems
		var wg sync.WaitGroup
		for range s.workers() {
			wg.Go(func() {
				for f := range files {
					if err := s.searchFile(ctx, sr, f); err != nil && ctx.Err() == nil {
						unreadable.add(f.name, err)
					}
				}
			})
		}
		err := s.walk(ctx, sr, path, files, &unreadable)
		close(files)
		wg.Wait()
		if err != nil {
			return err
		}
		if !sr.saw.Load() && len(unreadable.list) == 0 {
			return &scan.Error{Op: "scan", Scanner: Name, Target: scan.Target{Kind: scan.Dir, Path: path}.String(), Kind: scan.ErrSkipped, Err: errors.New("there is no file")}
		}
		if s.o.AllowUnreadable {
			for _, text := range unreadable.list {
				sr.note("not scanned: %s", text)
			}
			return nil
		}
		return unreadable.err()
	}
}

func (s *Scanner) searchFile(ctx context.Context, sr *search, f dirFile) error {
	r, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer r.Close()
	return sr.file(ctx, f.name, f.symlink, r)
}

func (s *Scanner) walk(ctx context.Context, sr *search, top string, files chan<- dirFile, unreadable *problems) error {
	cfg := &sr.engine.Config
	root := top
	if info, err := os.Stat(top); err != nil {
		return &scan.Error{Op: "scan", Scanner: Name, Target: top, Kind: scan.ErrTarget, Err: err}
	} else if !info.IsDir() {
		root = filepath.Dir(top)
	}
	return filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		rel, relErr := filepath.Rel(root, path)
		if relErr != nil {
			return relErr
		}
		name := filepath.ToSlash(rel)
		if err != nil {
			unreadable.add(name, err)
			if d != nil && d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if name != "." && allowedPath(cfg, name) {
			sr.saw.Store(true)
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		f := dirFile{path: path, name: name}
		mode := d.Type()
		if mode&fs.ModeSymlink != 0 {
			if !s.o.FollowSymlinks {
				return nil
			}
			var ok bool
			if f, ok, err = follow(root, path, name); err != nil {
				unreadable.add(name, err)
				return nil
			} else if !ok {
				return nil
			}
			mode = 0
		}
		if !mode.IsRegular() {
			return nil
		}
		sr.saw.Store(true)
		info, err := os.Stat(f.path)
		if err != nil {
			unreadable.add(name, err)
			return nil
		}
		if s.o.MaxFileBytes > 0 && info.Size() > s.o.MaxFileBytes {
			sr.note("not scanned: %s has %d bytes, more than MaxFileBytes (%d)", name, info.Size(), s.o.MaxFileBytes)
			return nil
		}
		select {
		case files <- f:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// follow resolves a symbolic link. A link to anything but a file is not followed.
func follow(root, path, name string) (dirFile, bool, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return dirFile{}, false, err
	}
	info, err := os.Stat(resolved)
	if err != nil || !info.Mode().IsRegular() {
		return dirFile{}, false, err
	}
	f := dirFile{path: resolved, name: filepath.ToSlash(resolved), symlink: name}
	if rel := below(root, resolved); rel != "" {
		f.name = rel
	}
	return f, true, nil
}

// allowedPath reports whether a global allow list leaves the path out. The engine asks this before it opens
// a file, whatever else the list asks for.
func allowedPath(cfg *config.Config, path string) bool {
	for _, a := range cfg.Allowlists {
		if a.PathAllowed(path) {
			return true
		}
	}
	return false
}

// problems collects what could not be read.
type problems struct {
	mu   sync.Mutex
	list []string
}

func (p *problems) add(name string, err error) {
	// Name the file as findings do: the path inside a PathError is that of this machine.
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, fmt.Sprintf("%q: %v", name, err))
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	shown := p.list[:min(len(p.list), maxErrors)]
	var errs []error
	for _, text := range shown {
		errs = append(errs, errors.New(text))
	}
	if more := len(p.list) - len(shown); more > 0 {
		errs = append(errs, fmt.Errorf("and %d more", more))
	}
	return fmt.Errorf("%d files could not be read (AllowUnreadable notes them instead): %w", len(p.list), errors.Join(errs...))
}
