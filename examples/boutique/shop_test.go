package main

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/manifest"
)

var eleven = []string{
	"ad", "cart", "checkout", "currency", "email", "frontend", "loadgenerator", "payment", "productcatalog", "recommendation", "shipping",
}

// One bump sets the eleven tags in the plain manifests, the overlay and the chart, and not one byte besides.
func TestDeploy_onlyTagsChange(t *testing.T) {
	var edits []manifest.Edit
	for _, s := range eleven {
		edits = append(edits, manifest.Edit{Image: "registry.example.com/boutique/" + s, To: "1207", Matches: 3})
	}
	editor, err := manifest.NewEditor(edits, nil)
	require.NoError(t, err)
	perForm := map[string]int{}
	err = fs.WalkDir(deployFiles, "deploy", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		before, err := fs.ReadFile(deployFiles, path)
		if err != nil {
			return err
		}
		after, changes, err := editor.File(path, before)
		if errors.Is(err, manifest.ErrTemplate) {
			assert.Contains(t, path, "/chart/templates/")
			return nil
		}
		if err != nil {
			return err
		}
		was, is := strings.Split(string(before), "\n"), strings.Split(string(after), "\n")
		require.Len(t, is, len(was), path)
		at := map[int]bool{}
		for _, c := range changes {
			at[c.Line] = true
			assert.Equal(t, "0", c.OldTag, path)
			perForm[strings.Split(path, "/")[1]]++
		}
		for i := range was {
			want := was[i]
			if at[i+1] {
				want = withTag(t, want)
			}
			assert.Equal(t, want, is[i], "%s:%d", path, i+1)
		}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, editor.Check())
	assert.Equal(t, map[string]int{"manifests": 11, "kustomize": 11, "chart": 11}, perForm)
}

// withTag is the line as a person would edit it, by hand.
func withTag(t *testing.T, line string) string {
	t.Helper()
	for _, tag := range []string{`newTag: "0"`, `newTag: '0'`, `tag: "0"`, `tag: '0'`, `:0`} {
		if i := strings.LastIndex(line, tag); i >= 0 {
			return line[:i] + strings.Replace(tag, "0", "1207", 1) + line[i+len(tag):]
		}
	}
	t.Fatalf("no tag in %q", line)
	return ""
}
