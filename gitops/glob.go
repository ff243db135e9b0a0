package gitops

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// globs selects files of a tree. Each is split at its slashes. None at all select every YAML and JSON file.
type globs [][]string

// maxStars bounds the "**" of a pattern: each multiplies the ways to match it.
const maxStars = 4

// parseGlobs checks patterns: slash-separated, relative, each part as in [path.Match], or "**" for any number
// of directories.
func parseGlobs(patterns []string) (globs, error) {
	var g globs
	for _, p := range patterns {
		parts := slices.CompactFunc(strings.Split(p, "/"), func(a, b string) bool { return a == "**" && b == "**" })
		for _, part := range parts {
			switch {
			case part == "", part == ".", part == "..", strings.EqualFold(part, ".git"), strings.ContainsAny(part, "\\\x00"):
				return nil, fmt.Errorf("path %q: want a relative path with slashes, without empty parts, \".\", \"..\" and \".git\"", p)
			case part == "**":
				continue
			}
			if _, err := path.Match(part, ""); err != nil {
				return nil, fmt.Errorf("path %q: %w", p, err)
			}
		}
		if strings.Count(p, "**") > maxStars {
			return nil, fmt.Errorf("path %q: more than %d times **", p, maxStars)
		}
		g = append(g, parts)
	}
	return g, nil
}

// file reports whether a file is selected.
func (g globs) file(name string) bool {
	if len(g) == 0 {
		switch path.Ext(name) {
		case ".yaml", ".yml", ".json":
			return true
		}
		return path.Base(name) == "Kustomization"
	}
	parts := strings.Split(name, "/")
	return slices.ContainsFunc(g, func(p []string) bool { return match(p, parts, false) })
}

// below reports whether a file below the directory can be selected.
func (g globs) below(dir string) bool {
	if len(g) == 0 || dir == "" {
		return true
	}
	parts := strings.Split(dir, "/")
	return slices.ContainsFunc(g, func(p []string) bool { return match(p, parts, true) })
}

// anyDepth reports whether a pattern reaches into all directories.
func (g globs) anyDepth() bool {
	return len(g) == 0 || slices.ContainsFunc(g, func(p []string) bool { return slices.Contains(p, "**") })
}

// match compares a pattern with a path; with prefix, whether the path can be the beginning of a match.
func match(pattern, parts []string, prefix bool) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			if prefix {
				return true
			}
			for i := range len(parts) + 1 {
				if match(pattern[1:], parts[i:], false) {
					return true
				}
			}
			return false
		}
		if len(parts) == 0 {
			return prefix
		}
		if ok, _ := path.Match(pattern[0], parts[0]); !ok {
			return false
		}
		pattern, parts = pattern[1:], parts[1:]
	}
	return len(parts) == 0 && !prefix
}
