package scan_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/scan"
)

func TestParseTarget(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, d := range []string{"repo/.git", "plain", "at@home", "-dash", "with space", "new\nline"} {
		require.NoError(t, os.MkdirAll(d, 0o755))
	}
	require.NoError(t, os.WriteFile("file.txt", nil, 0o600))
	require.NoError(t, os.MkdirAll("worktree", 0o755))
	require.NoError(t, os.WriteFile("worktree/.git", []byte("gitdir: ../repo/.git"), 0o600))

	for _, tc := range []struct {
		in   string
		want scan.Target
	}{
		{"repo", scan.Target{Kind: scan.Git, Path: "repo"}},
		{"worktree", scan.Target{Kind: scan.Git, Path: "worktree"}},
		{"plain", scan.Target{Kind: scan.Dir, Path: "plain"}},
		{"file.txt", scan.Target{Kind: scan.Dir, Path: "file.txt"}},
		{"-dash", scan.Target{Kind: scan.Dir, Path: "-dash"}},
		{"with space", scan.Target{Kind: scan.Dir, Path: "with space"}},
		{"new\nline", scan.Target{Kind: scan.Dir, Path: "new\nline"}},
		{"dir:anything at all", scan.Target{Kind: scan.Dir, Path: "anything at all"}},
		{"git:repo", scan.Target{Kind: scan.Git, Path: "repo"}},
		{"git:repo@main..HEAD", scan.Target{Kind: scan.Git, Path: "repo", Range: "main..HEAD"}},
		{"git:repo@HEAD@{1}..HEAD", scan.Target{Kind: scan.Git, Path: "repo", Range: "HEAD@{1}..HEAD"}},
		{"git:at@home", scan.Target{Kind: scan.Git, Path: "at@home"}},
		{"git:at@home@v1..v2", scan.Target{Kind: scan.Git, Path: "at@home", Range: "v1..v2"}},
		{"git:not/there@v1..v2", scan.Target{Kind: scan.Git, Path: "not/there", Range: "v1..v2"}},
		{"staged:repo", scan.Target{Kind: scan.Staged, Path: "repo"}},
		{"layout:out/web", scan.Target{Kind: scan.Layout, Path: "out/web"}},
		{"archive:web.tar", scan.Target{Kind: scan.Archive, Path: "web.tar"}},
		{"image:registry.example:5000/web:1@sha256:ab", scan.Target{Kind: scan.Image, Path: "registry.example:5000/web:1@sha256:ab"}},
		{"sbom:bom.json", scan.Target{Kind: scan.SBOM, Path: "bom.json"}},
	} {
		t.Run(tc.in, func(t *testing.T) {
			got, err := scan.ParseTarget(tc.in)
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)

			again, err := scan.ParseTarget(got.String())
			require.NoError(t, err)
			assert.Equal(t, got, again, "the text form is read back")

			b, err := json.Marshal(got)
			require.NoError(t, err)
			var fromJSON scan.Target
			require.NoError(t, json.Unmarshal(b, &fromJSON))
			assert.Equal(t, got, fromJSON)
		})
	}
}

func TestParseTarget_bad(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tc := range []struct{ in, says string }{
		{"", "empty"},
		{"dir:", "no path"},
		{"image:", "no reference"},
		{"image:-rm", "dash"},
		{"image:a b", "spaces"},
		{"image:a\nb", "control"},
		{"git:repo@--output=x", "dash"},
		{"dir:a\x00b", "NUL"},
		{"a\x00b", "NUL"},
		{"nowhere", "no such file"},
		{"iamge:web:1", "kinds of target: dir, git"},
	} {
		t.Run(tc.in, func(t *testing.T) {
			_, err := scan.ParseTarget(tc.in)
			require.ErrorIs(t, err, scan.ErrTarget)
			assert.ErrorContains(t, err, tc.says)
			assert.NotContains(t, err.Error(), "\n")
			var se *scan.Error
			require.ErrorAs(t, err, &se)
		})
	}
}

func TestTarget_Check(t *testing.T) {
	require.NoError(t, scan.Target{Kind: scan.Dir, Path: "."}.Check())
	require.NoError(t, scan.Target{Kind: scan.Stream}.Check())
	for _, bad := range []scan.Target{
		{},
		{Kind: "disk", Path: "x"},
		{Kind: scan.Dir},
		{Kind: scan.Dir, Path: "x", Range: "a..b"},
	} {
		require.ErrorIs(t, bad.Check(), scan.ErrTarget, "%#v", bad)
	}
}

func TestTarget_Arg(t *testing.T) {
	assert.Equal(t, filepath.FromSlash("./-rf"), scan.Target{Kind: scan.Dir, Path: "-rf"}.Arg())
	assert.Equal(t, "a -b", scan.Target{Kind: scan.Dir, Path: "a -b"}.Arg())
	assert.Equal(t, "web:1", scan.Target{Kind: scan.Image, Path: "web:1"}.Arg())
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"dir:.", "git:.@a..b", "git:@@", "image:a/b:c@sha256:d", "", ":", "stream:", "git:a@-", "x:\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := scan.ParseTarget(s)
		if err != nil {
			require.ErrorIs(t, err, scan.ErrTarget)
			return
		}
		require.NoError(t, got.Check())
		again, err := scan.ParseTarget(got.String())
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}
