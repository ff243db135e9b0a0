// Package realpath finds the place that a path given by a user means.
package realpath

import (
	"os"
	"path/filepath"
)

// Of returns the absolute path, the target of the link if it is one: programs that walk a directory do not follow
// links, and find nothing in one that they are started at. Links on the way there stay as they are.
func Of(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Lstat(abs)
	if err != nil {
		return "", err
	}
	if info.Mode()&os.ModeSymlink != 0 {
		return filepath.EvalSymlinks(abs)
	}
	return abs, nil
}
