// Package leftover finds the report files that a tool left behind in a directory.
package leftover

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

const maxFiles = 100_000

// Check reports whether a pattern can be given to [Find]: one of path.Match, below the directory, in which **
// stands for any number of directories.
func Check(pattern string) error {
	if _, err := path.Match(pattern, ""); pattern == "" || err != nil || !fs.ValidPath(path.Clean(pattern)) {
		return fmt.Errorf("%q is no pattern below the directory", pattern)
	}
	return nil
}

// Find lists the files below dir that match one of the patterns, each once, with forward slashes and relative
// to dir. Every pattern must match a file, and every file must have been written since then: one from before
// says nothing about the run that was to write it. A zero since takes files of any age.
func Find(dir string, patterns []string, since time.Time) ([]string, error) {
	matched := make([]bool, len(patterns))
	var files []string
	var problems []error
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == ".git" {
				return fs.SkipDir
			}
			return nil
		}
		hit := false
		for i, p := range patterns {
			if match(strings.Split(path.Clean(p), "/"), strings.Split(name, "/")) {
				matched[i], hit = true, true
			}
		}
		if !hit {
			return nil
		}
		info, err := fs.Stat(os.DirFS(dir), name)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() { // opening a pipe could wait forever
			problems = append(problems, fmt.Errorf("%s is not a regular file", name))
			return nil
		}
		// Some file systems keep whole seconds only, or two.
		if info.ModTime().Before(since.Add(-2 * time.Second)) {
			problems = append(problems, fmt.Errorf("%s is left over from %s and was not written by this run", name, info.ModTime().Format(time.DateTime)))
			return nil
		}
		if files = append(files, name); len(files) > maxFiles {
			return fmt.Errorf("more report files than the cap of %d", maxFiles)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, p := range patterns {
		if !matched[i] {
			problems = append(problems, fmt.Errorf("no file matches %q", p))
		}
	}
	slices.Sort(files)
	return files, errors.Join(problems...)
}

// match is path.Match on each part of a path, with ** for any number of parts.
func match(pattern, name []string) bool {
	if len(pattern) == 0 {
		return len(name) == 0
	}
	if pattern[0] == "**" {
		for i := range len(name) + 1 {
			if match(pattern[1:], name[i:]) {
				return true
			}
		}
		return false
	}
	if len(name) == 0 {
		return false
	}
	ok, _ := path.Match(pattern[0], name[0])
	return ok && match(pattern[1:], name[1:])
}
