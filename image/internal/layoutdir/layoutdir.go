// Package layoutdir says which directories take an OCI layout.
package layoutdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Marker is the file that makes a directory an OCI layout.
const Marker = "oci-layout"

// Check refuses a directory that holds something else than a layout, or the beginning of one. One that does not exist
// will do.
func Check(dir string) error {
	if dir == "" {
		return errors.New("no directory for the layout")
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	isLayout := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == Marker })
	foreign := func(e fs.DirEntry) bool { return e.Name() != "blobs" && !strings.HasPrefix(e.Name(), ".tmp-") }
	if !isLayout && slices.ContainsFunc(entries, foreign) {
		return fmt.Errorf("directory %s is not empty and no OCI layout; it is left as it is", dir)
	}
	return nil
}
