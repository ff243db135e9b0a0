package main

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The shop's source and its GitOps folder are in the program, which so runs from any directory.
var (
	//go:embed all:shop
	shopFiles embed.FS
	//go:embed all:deploy
	deployFiles embed.FS
)

const goMod = "module github.com/waybill-dev/waybill/examples/boutique/shop\n\ngo 1.26\n"

// extract writes the shop's source to dir, which must not be there or be empty, as a module of its own that
// needs nothing but the standard library.
func extract(dir string) error {
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	source, err := fs.Sub(shopFiles, "shop")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.CopyFS(dir, source); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.mod"), []byte(goMod), 0o644)
}

// maxDirs is how many directories are searched for services.
const maxDirs = 100_000

// services returns the directories below dir that hold a Dockerfile, relative to dir, with slashes, sorted.
// Hidden directories and other people's code (vendor, node_modules) hold none of ours, and no link is followed.
func services(dir string) ([]string, error) {
	var found []string
	dirs := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		switch {
		case d.IsDir() && path == dir:
			return nil
		case d.IsDir() && (strings.HasPrefix(name, ".") || name == "vendor" || name == "node_modules"):
			return fs.SkipDir
		case d.IsDir():
			if dirs++; dirs > maxDirs {
				return fmt.Errorf("%s has more than %d directories", dir, maxDirs)
			}
		case name == "Dockerfile" && d.Type().IsRegular():
			rel, err := filepath.Rel(dir, filepath.Dir(path))
			if err != nil {
				return err
			}
			found = append(found, filepath.ToSlash(rel))
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}
