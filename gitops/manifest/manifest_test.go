package manifest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/manifest"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestSet edits one line each: what is on the left of "=>" becomes what is on the right.
func TestSet(t *testing.T) {
	app := func(to string) []manifest.Edit { return []manifest.Edit{{Image: "reg.io/app", To: to}} }
	tests := map[string]struct {
		edits    []manifest.Edit
		in, want string
	}{
		"plain":                {app("v2"), "image: reg.io/app:v1 # c\n", "image: reg.io/app:v2 # c\n"},
		"double quotes":        {app("v2"), `image: "reg.io/app:v1"`, `image: "reg.io/app:v2"`},
		"single quotes":        {app("v2"), `image: 'reg.io/app:v1'`, `image: 'reg.io/app:v2'`},
		"no tag":               {app("v2"), "image: reg.io/app", "image: reg.io/app:v2"},
		"digest dropped":       {app("v2"), "image: reg.io/app:v1@" + digest, "image: reg.io/app:v2"},
		"pinned":               {app("v2@" + digest), "image: reg.io/app:v1", "image: reg.io/app:v2@" + digest},
		"digest alone":         {app("@" + digest), "image: reg.io/app:v1", "image: reg.io/app@" + digest},
		"moved":                {app("new.io/app:v2"), "image: reg.io/app:v1", "image: new.io/app:v2"},
		"flow":                 {app("v2"), "c: [{name: x, image: reg.io/app:v1}, {image: other}]", "c: [{name: x, image: reg.io/app:v2}, {image: other}]"},
		"CRLF, BOM":            {app("v2"), "\ufeffimage: reg.io/app:v1\r\nx: 1\n", "\ufeffimage: reg.io/app:v2\r\nx: 1\n"},
		"folded":               {app("v2"), "image: >-\n  reg.io/app:v1\nx: 1\n", "image: >-\n  reg.io/app:v2\nx: 1\n"},
		"anchor":               {app("v2"), "a: {image: &i reg.io/app:v1}\nb: {image: *i}\n", "a: {image: &i reg.io/app:v2}\nb: {image: *i}\n"},
		"wide characters":      {app("v2"), "ö: {ä: ü, image: reg.io/app:v1}\n", "ö: {ä: ü, image: reg.io/app:v2}\n"},
		"YAML 1.2":             {app("v2"), "%YAML 1.2\n---\nimage: reg.io/app:v1\n...\n%YAML 1.2\n---\nx: \"%YAML 1.2\"\n", "%YAML 1.2\n---\nimage: reg.io/app:v2\n...\n%YAML 1.2\n---\nx: \"%YAML 1.2\"\n"},
		"json":                 {app("v2"), `{"image":"reg.io/app:v1","a":[1]}`, `{"image":"reg.io/app:v2","a":[1]}`},
		"values":               {app("v2"), "web:\n  repository: reg.io/app\n  tag: v1\n", "web:\n  repository: reg.io/app\n  tag: v2\n"},
		"values with registry": {app("v2"), "image: {registry: reg.io, repository: app, tag: \"v1\"}", "image: {registry: reg.io, repository: app, tag: \"v2\"}"},
		"values, number":       {app("1.20"), "image:\n  repository: reg.io/app\n  tag: 1.19\n", "image:\n  repository: reg.io/app\n  tag: \"1.20\"\n"},
		"values, empty tag":    {app("v2"), "image:\n  repository: reg.io/app\n  tag: # x\n", "image:\n  repository: reg.io/app\n  tag: v2 # x\n"},
		"values, empty quotes": {app("v2"), "image:\n  repository: reg.io/app\n  tag: ''\n", "image:\n  repository: reg.io/app\n  tag: 'v2'\n"},
		"values, no tag":       {app("v2"), "image:\n  repository: reg.io/app # r\n  pull: x\n", "image:\n  repository: reg.io/app # r\n  tag: v2\n  pull: x\n"},
		"values, digest":       {app("v2"), "image: {repository: reg.io/app, tag: v1, digest: \"" + digest + "\"}", `image: {repository: reg.io/app, tag: v2, digest: ""}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, ch, err := manifest.Set("f.yaml", []byte(tt.in), tt.edits, nil)
			require.NoError(t, err)
			assert.Equal(t, tt.want, string(out))
			assert.NotEmpty(t, ch)
			again, ch, err := manifest.Set("f.yaml", out, tt.edits, nil)
			require.NoError(t, err)
			assert.Empty(t, ch)
			assert.Equal(t, string(out), string(again), "twice")
		})
	}
}

// A tag beside a digest stays where only a digest is asked for, and is part of what the change says.
func TestSet_digestBesideTag(t *testing.T) {
	other := strings.Replace(digest, "0", "f", 1)
	out, ch, err := manifest.Set("v.yaml", []byte("image: {repository: reg.io/app, tag: build-9, digest: \""+other+"\"}\n"), []manifest.Edit{{Image: "reg.io/app", To: "@" + digest}}, nil)
	require.NoError(t, err)
	assert.Equal(t, "image: {repository: reg.io/app, tag: build-9, digest: \""+digest+"\"}\n", string(out))
	require.Len(t, ch, 1)
	assert.Equal(t, "build-9", ch[0].NewTag)
	assert.Equal(t, "reg.io/app:build-9@"+digest, ch[0].NewRef)
}

func TestSet_kustomization(t *testing.T) {
	in := strings.ReplaceAll(`images:
  - name: web # w
    newTag: v1
  - name: api
    newName: reg.io/api
    digest: `+digest+`
  - name: reg.io/new
`, "\t", "  ")
	out, ch, err := manifest.Set("x/kustomization.yaml", []byte(in), []manifest.Edit{
		{Image: "web", To: "v2"}, {Image: "reg.io/api", To: "1e3"}, {Image: "reg.io/new", To: "v3@" + digest},
	}, nil)
	require.NoError(t, err)
	assert.Equal(t, `images:
  - name: web # w
    newTag: v2
  - name: api
    newName: reg.io/api
    newTag: "1e3"
  - name: reg.io/new
    newTag: v3
    digest: `+digest+`
`, string(out))
	assert.Len(t, ch, 4)
}
