package gitops

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func FuzzReadAdvert(f *testing.F) {
	hash := strings.Repeat("a", 40)
	f.Add([]byte("001e# service=git-upload-pack\n0000004a"+hash+" HEAD\x00ofs-delta symref=HEAD:refs/heads/main\n0000"), "")
	f.Add([]byte("0000"), "refs/heads/main")
	f.Add([]byte("0008ERR "), "")
	f.Fuzz(func(t *testing.T, in []byte, branch string) {
		a, err := readAdvert(bytes.NewReader(in), branch)
		if err != nil {
			if _, ok := errors.AsType[*fault](err); !ok {
				t.Fatalf("no kind: %v", err)
			}
			return
		}
		if a.found && a.hash.IsZero() && branch == "" {
			t.Skip("a branch without a commit")
		}
	})
}

func TestGlobs(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		files   []string // selected
		others  []string // not selected
		below   []string // directories to look into
		outside []string
	}{
		{"apps/web/*.yaml", []string{"apps/web/a.yaml"}, []string{"apps/web/x/a.yaml", "apps/web", "a.yaml"}, []string{"apps", "apps/web"}, []string{"ap", "apps/api", "apps/web/x"}},
		{"apps/*/k.yaml", []string{"apps/a/k.yaml"}, []string{"apps/k.yaml", "apps/a/b/k.yaml"}, []string{"apps/a"}, []string{"apps/a/b", "x"}},
		{"**/k.yaml", []string{"k.yaml", "a/k.yaml", "a/b/k.yaml"}, []string{"a/k.yaml.bak"}, []string{"a", "a/b/c"}, nil},
		{"a/**/b/*.yaml", []string{"a/b/x.yaml", "a/c/d/b/x.yaml"}, []string{"b/x.yaml", "a/b/c/x.yaml"}, []string{"a", "a/x/y"}, []string{"b"}},
		{"a/**", []string{"a/x", "a/b/c"}, []string{"b/a"}, []string{"a/b"}, []string{"b"}},
		{"**/**/x", []string{"x", "a/b/x"}, nil, []string{"a"}, nil},
	} {
		g, err := parseGlobs([]string{tt.pattern})
		require.NoError(t, err)
		for _, name := range tt.files {
			assert.True(t, g.file(name), "%s selects %s", tt.pattern, name)
		}
		for _, name := range tt.others {
			assert.False(t, g.file(name), "%s does not select %s", tt.pattern, name)
		}
		for _, name := range tt.below {
			assert.True(t, g.below(name), "%s looks into %s", tt.pattern, name)
		}
		for _, name := range tt.outside {
			assert.False(t, g.below(name), "%s stays out of %s", tt.pattern, name)
		}
	}
	for _, bad := range []string{"", "/a", "a//b", "../a", "a/./b", ".git/config", "a/.GIT/x", `a\b`, "[", "a/**/b/**/c/**/d/**/e/**/f"} {
		_, err := parseGlobs([]string{bad})
		require.Error(t, err, bad)
	}
}
