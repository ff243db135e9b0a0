// Setimage sets images in manifest files, in place, without touching a byte around them.
//
//	setimage -image ghcr.io/acme/shop=v2 [-image …] [-dry-run] FILE|DIR...
//
// Of a directory it takes the YAML and JSON files. It prints what changed as JSON. Exit code 0: changed, or
// already so; 1: an image was found nowhere; 2: wrong usage; 3: a file cannot be read or written. On 1 and 3 no
// file is written, unless the file system takes some and then refuses one: standard error says how many. A file that does not parse but holds "{{" is a template: it is skipped, and listed.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/gitops/manifest"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// change is what is printed of a change.
type change struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Path string `json:"path"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

type result struct {
	Changes []change `json:"changes"`
	Skipped []string `json:"skipped,omitempty"`
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("setimage", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: setimage -image REPOSITORY=TO [-image …] [-dry-run] FILE|DIR...")
		flags.PrintDefaults()
	}
	var edits []manifest.Edit
	flags.Func("image", "`REPOSITORY=TO`: set images of the repository to a tag, tag@digest, @digest or full reference; may be repeated", func(s string) error {
		image, to, found := strings.Cut(s, "=")
		if !found {
			return errors.New("want REPOSITORY=TO")
		}
		edits = append(edits, manifest.Edit{Image: image, To: to})
		return nil
	})
	dryRun := flags.Bool("dry-run", false, "say what would change and write nothing")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	editor, err := manifest.NewEditor(edits, &manifest.Options{ParseAll: true}) // a file that is unreadable is to be found
	if err == nil && flags.NArg() == 0 {
		err = errors.New("no file or directory given")
	}
	if err != nil {
		fmt.Fprintln(stderr, "setimage:", err)
		return 2
	}
	names, err := files(flags.Args())
	if err != nil {
		fmt.Fprintln(stderr, "setimage:", err)
		return 3
	}
	res := result{Changes: []change{}}
	edited := map[string][]byte{}
	for _, name := range names {
		in, err := os.ReadFile(name)
		if err != nil {
			fmt.Fprintln(stderr, "setimage:", err)
			return 3
		}
		out, changes, err := editor.File(name, in)
		switch {
		case errors.Is(err, manifest.ErrTemplate):
			res.Skipped = append(res.Skipped, name)
			continue
		case err != nil:
			fmt.Fprintln(stderr, "setimage:", err)
			return 3
		}
		for _, c := range changes {
			res.Changes = append(res.Changes, change{c.File, c.Line, c.Path, c.Old, c.New})
		}
		if len(changes) > 0 {
			edited[name] = out
		}
	}
	code := 0
	if err := editor.Check(); err != nil {
		fmt.Fprintln(stderr, "setimage:", err)
		res.Changes, code = []change{}, 1
	} else if !*dryRun {
		if err := replace(edited); err != nil {
			fmt.Fprintln(stderr, "setimage:", err)
			return 3
		}
	}
	if err := json.NewEncoder(stdout).Encode(res); err != nil {
		fmt.Fprintln(stderr, "setimage:", err)
		return 3
	}
	return code
}

// files lists the files to edit, each once.
func files(args []string) ([]string, error) {
	var names []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			names = append(names, filepath.Clean(arg))
			continue
		}
		err = filepath.WalkDir(arg, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == ".git":
				return fs.SkipDir
			case d.Type().IsRegular() && isManifest(name):
				names = append(names, filepath.Clean(name))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func isManifest(name string) bool {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return filepath.Base(name) == "Kustomization"
}

// replace writes all files beside the old ones first, and only then puts them in their places.
func replace(edited map[string][]byte) (err error) {
	type pair struct{ temporary, final string }
	var pairs []pair
	defer func() {
		for _, p := range pairs {
			_ = os.Remove(p.temporary) // gone already, unless something failed
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(edited)) {
		final, err := filepath.EvalSymlinks(name)
		if err != nil {
			return err
		}
		info, err := os.Stat(final)
		if err != nil {
			return err
		}
		f, err := os.CreateTemp(filepath.Dir(final), ".setimage-*")
		if err != nil {
			return err
		}
		pairs = append(pairs, pair{f.Name(), final})
		_, err = f.Write(edited[name])
		if err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Close()); err != nil {
			return err
		}
	}
	for i, p := range pairs {
		if err := os.Rename(p.temporary, p.final); err != nil {
			return fmt.Errorf("%d of %d files are written: %w", i, len(pairs), err)
		}
	}
	return nil
}
