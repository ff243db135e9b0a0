package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/manifest"
)

func TestSet_errors(t *testing.T) {
	web := []manifest.Edit{{Image: "reg.io/web", To: "v2"}}
	for name, tt := range map[string]struct {
		in    string
		edits []manifest.Edit
		kind  error
		text  string
	}{
		"nowhere":                 {"image: reg.io/webs:v1\n---\nimage: other.io/web:v1\n", web, manifest.ErrNotFound, "(alike: other.io/web, reg.io/webs)"},
		"empty file":              {"", web, manifest.ErrNotFound, "reg.io/web"},
		"broken":                  {"a: 1\n---\nb:\n  - c: d: e\n", web, manifest.ErrSyntax, "f.yaml:4:9"},
		"unclosed":                {"a: 'b\n", web, manifest.ErrSyntax, "f.yaml:"},
		"tab":                     {"a:\n\tb: c\n", web, manifest.ErrSyntax, "f.yaml:2:1"},
		"template":                {"{{- if .x }}\nimage: reg.io/web:v1\n{{ end }}\n", web, manifest.ErrTemplate, "f.yaml:"},
		"template of the tag":     {"image: {repository: reg.io/web, tag: '{{ .Values.version }}'}\n", web, manifest.ErrNotFound, "reg.io/web"},
		"template, parameters":    {"kind: ApplicationSet\nspec: {template: {spec: {source: {helm: {parameters: [{name: image.repository, value: reg.io/web}, {name: image.tag, value: '{{tag}}'}]}}}}}\n", web, manifest.ErrNotFound, "reg.io/web"},
		"unknown alias":           {"image: *x\n", web, manifest.ErrSyntax, "f.yaml:1:8"},
		"key twice":               {"x: 1\n---\na:\n  image: reg.io/web:v1\n  image: reg.io/web:v0\n", web, manifest.ErrSyntax, "f.yaml:5:3: not readable as YAML: key \"image\" stands twice in one mapping, first on line 4"},
		"two, one expected":       {"a: {image: reg.io/web:v1}\nb: {image: reg.io/web:v1}\n", []manifest.Edit{{Image: "reg.io/web", To: "v2", Matches: 1}}, manifest.ErrCount, "2 instead of 1"},
		"UTF-16":                  {"\xff\xfea\x00", web, manifest.ErrUnsupported, "UTF-16"},
		"tag of two images":       {"t: &t v1\na: {repository: reg.io/web, tag: *t}\nb: {repository: reg.io/api, tag: *t}\n", web, manifest.ErrAlias, "f.yaml:1:4"},
		"alias in the env":        {"a: {image: &i reg.io/web:v1}\nenv: [{value: *i}]\n", web, manifest.ErrAlias, "on line 2"},
		"anchor in the env":       {"env: [{value: &i reg.io/web:v1}]\na: {image: *i}\n", web, manifest.ErrAlias, "used where no image stands"},
		"merged, other image":     {"b: &b {repository: reg.io/web, tag: v1}\nc: {<<: *b, repository: reg.io/api}\n", web, manifest.ErrAlias, "reg.io/api"},
		"merged twice, other":     {"x: &b {registry: reg.io, repository: web, tag: v1}\ny: &m {<<: *b}\napi: {<<: *m, repository: api}\n", web, manifest.ErrAlias, "reg.io/api"},
		"merged, no image":        {"b: &b {tag: v1}\na: {<<: *b, repository: reg.io/web}\nc: {<<: *b, other: x}\n", web, manifest.ErrAlias, "no image"},
		"digest without a key":    {"image: {repository: reg.io/web, tag: v1}\n", []manifest.Edit{{Image: "reg.io/web", To: "@" + digest}}, manifest.ErrUnsupported, "tag@digest"},
		"several lines, plain":    {"image: {repository: reg.io/web, tag: v1\n  }\na: {repository: reg.io/web, tag: v1\n   x}\n", web, manifest.ErrUnsupported, "several lines"},
		"merged, another's too":   {"d: &d {repository: reg.io/web, tag: v1}\na: {image: {<<: *d}}\nb: {image: {<<: *d, repository: other}}\n", web, manifest.ErrAlias, "the value on line 1 is used by other too"},
		"tag of its own":          {"image: !custom reg.io/web:v1\n", web, manifest.ErrUnsupported, "f.yaml:1:8: reg.io/web: found in a form that cannot be edited: a value with the tag !custom"},
		"tag of a number":         {"image: {repository: reg.io/web, tag: !!float 1.1}\n", web, manifest.ErrUnsupported, "the tag !!float"},
		"deep":                    {strings.Repeat("[", 5000) + strings.Repeat("]", 5000), web, nil, "f.yaml"},
		"no edits":                {"a: 1\n", nil, manifest.ErrEdit, "no edits"},
		"image with a tag":        {"a: 1\n", []manifest.Edit{{Image: "a:v1", To: "v2"}}, manifest.ErrEdit, "without tag"},
		"image, upper case":       {"a: 1\n", []manifest.Edit{{Image: "Web", To: "v2"}}, manifest.ErrEdit, "repository"},
		"empty To":                {"a: 1\n", []manifest.Edit{{Image: "a"}}, manifest.ErrEdit, "empty"},
		"To with a space":         {"a: 1\n", []manifest.Edit{{Image: "a", To: "v 1"}}, manifest.ErrEdit, "not a tag"},
		"To with a line end":      {"a: 1\n", []manifest.Edit{{Image: "a", To: "v1\nb: c"}}, manifest.ErrEdit, "not a"},
		"To without a tag":        {"a: 1\n", []manifest.Edit{{Image: "a", To: "reg.io/a"}}, manifest.ErrEdit, "neither tag nor digest"},
		"short digest":            {"a: 1\n", []manifest.Edit{{Image: "a", To: "v1@sha256:abc"}}, manifest.ErrEdit, "64 hex"},
		"no pointer":              {"a: 1\n", []manifest.Edit{{Image: "a", To: "v1", Path: "x"}}, manifest.ErrEdit, "Path"},
		"twice, differently":      {"a: 1\n", []manifest.Edit{{Image: "a", To: "v1"}, {Image: "docker.io/library/a", To: "v2"}}, manifest.ErrEdit, "twice"},
		"path to another":         {"a: {image: reg.io/api:v1}\n", []manifest.Edit{{Image: "reg.io/web", To: "v2", Path: "/a/image"}}, manifest.ErrNotFound, ""},
		"path to a list":          {"a: []\n", []manifest.Edit{{Image: "reg.io/web", To: "v2", Path: "/a"}}, manifest.ErrNotFound, ""},
		"lone tag, new reference": {"a: v1\n", []manifest.Edit{{Image: "reg.io/web", To: "x.io/web:v2", Path: "/a"}}, manifest.ErrUnsupported, "only a tag"},
	} {
		t.Run(name, func(t *testing.T) {
			out, ch, err := manifest.Set("f.yaml", []byte(tt.in), tt.edits, nil)
			require.Error(t, err)
			if tt.kind != nil {
				require.ErrorIs(t, err, tt.kind)
			}
			assert.ErrorContains(t, err, tt.text)
			assert.Nil(t, out)
			assert.Nil(t, ch)
			_, typed := errors.AsType[*manifest.Error](err)
			assert.True(t, typed)
		})
	}
	_, _, err := manifest.Set("f.yaml", make([]byte, 11), web, &manifest.Options{MaxBytes: 10})
	require.ErrorIs(t, err, manifest.ErrTooLarge)
}

// A document that grows a millionfold when its aliases are followed is read in no time, as they are not.
func TestSet_bomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 {image: reg.io/web:v1}\n")
	for i := 1; i < 60; i++ {
		n := string(rune('0'+(i-1)/10)) + string(rune('0'+(i-1)%10))
		m := string(rune('0'+i/10)) + string(rune('0'+i%10))
		if i == 1 {
			n = "0"
		}
		b.WriteString("a" + m + ": &a" + m + " [" + strings.Repeat("*a"+n+",", 9) + "]\n")
	}
	out, ch, err := manifest.Set("f.yaml", []byte(b.String()), []manifest.Edit{{Image: "reg.io/web", To: "v2"}}, nil)
	require.NoError(t, err)
	assert.Len(t, ch, 1)
	assert.Contains(t, string(out), "reg.io/web:v2")
}

func TestSet_path(t *testing.T) {
	in := "a:\n  sidecarImage: reg.io/web:v1\n  image: reg.io/web:v1\n  versions: [v0, v1]\n  other/key: {tag: v1}\n"
	for pointer, want := range map[string]string{
		"/a/sidecarImage":   "a:\n  sidecarImage: reg.io/web:v2\n  image: reg.io/web:v1\n  versions: [v0, v1]\n  other/key: {tag: v1}\n",
		"/a/image":          "a:\n  sidecarImage: reg.io/web:v1\n  image: reg.io/web:v2\n  versions: [v0, v1]\n  other/key: {tag: v1}\n",
		"/a/versions/1":     "a:\n  sidecarImage: reg.io/web:v1\n  image: reg.io/web:v1\n  versions: [v0, v2]\n  other/key: {tag: v1}\n",
		"/a/other~1key/tag": "a:\n  sidecarImage: reg.io/web:v1\n  image: reg.io/web:v1\n  versions: [v0, v1]\n  other/key: {tag: v2}\n",
		"/a/other~1key":     "a:\n  sidecarImage: reg.io/web:v1\n  image: reg.io/web:v1\n  versions: [v0, v1]\n  other/key: {tag: v2}\n",
	} {
		t.Run(pointer, func(t *testing.T) {
			out, ch, err := manifest.Set("f.yaml", []byte(in), []manifest.Edit{{Image: "reg.io/web", To: "v2", Path: pointer}}, nil)
			require.NoError(t, err)
			assert.Equal(t, want, string(out))
			assert.Len(t, ch, 1)
		})
	}
}

func TestSet_json(t *testing.T) {
	in := "{\n\t\"emoji\": \"\\ud83d\\ude00\\/\",\n\t\"spec\": {\"image\": \"reg.io\\/web:v1\", \"x\": null}\n}\n"
	out, ch, err := manifest.Set("f.json", []byte(in), []manifest.Edit{{Image: "reg.io/web", To: "v2"}}, nil)
	require.NoError(t, err)
	assert.Equal(t, strings.Replace(in, `reg.io\/web:v1`, "reg.io/web:v2", 1), string(out))
	assert.Equal(t, 3, ch[0].Line)
	assert.Equal(t, "/spec/image", ch[0].Path)
}

func TestSet_droppedDigest(t *testing.T) {
	_, ch, err := manifest.Set("f.yaml", []byte("image: reg.io/web:v1@"+digest+"\n"), []manifest.Edit{{Image: "reg.io/web", To: "v2"}}, nil)
	require.NoError(t, err)
	assert.Equal(t, digest, ch[0].DroppedDigest)
	assert.Equal(t, "v1", ch[0].OldTag)
	assert.Equal(t, "v2", ch[0].NewTag)
	assert.Equal(t, "reg.io/web:v2", ch[0].NewRef)
}

// TestSet_quotes: a tag that some YAML parser reads as anything but a string gets quotes.
func TestSet_quotes(t *testing.T) {
	quoted := []string{
		"1", "12345678", "0123", "0o17", "0x1F", "0b101", "0X1F", "0B101", "0O17", "1e_3", "1e5_", "1_000", "1.20", "1e3", "1.5e3", "685_230.15", "null", "Null", "true", "FALSE",
		"yes", "No", "on", "OFF", "y", "N", "2024-01-02", "2001-12-14", "_1.2e",
	}
	quoted = quoted[:len(quoted)-1]
	plain := []string{"v1", "1.2.3", "latest", "1.20-rc1", "2024-01", "abc123", "1a", "0x1G", "e3", "nullx", "yess", "_", "1_a", "08a", "build-7"}
	for _, tag := range append(quoted, plain...) {
		out, _, err := manifest.Set("v.yaml", []byte("image: {repository: a, tag: old}\n"), []manifest.Edit{{Image: "a", To: tag}}, nil)
		require.NoError(t, err, tag)
		want := "image: {repository: a, tag: " + tag + "}\n"
		for _, q := range quoted {
			if q == tag {
				want = "image: {repository: a, tag: \"" + tag + "\"}\n"
			}
		}
		assert.Equal(t, want, string(out))
	}
}

// A document that has nothing to do with the edits is parsed only when asked for, or when an image was not found.
func TestSet_parseAll(t *testing.T) {
	const broken = "a: b: c\n"
	in := []byte(broken + "---\nimage: reg.io/team/web:v1\n---\nimage: reg.io/web-web:v1 # web\n" + broken)
	edit := func(image string) []manifest.Edit { return []manifest.Edit{{Image: image, To: "v2"}} }
	out, ch, err := manifest.Set("f.yaml", in, edit("reg.io/team/web"), nil)
	require.NoError(t, err)
	assert.Len(t, ch, 1)
	assert.Equal(t, 3, ch[0].Line)
	assert.Equal(t, strings.Replace(string(in), "team/web:v1", "team/web:v2", 1), string(out))

	_, _, err = manifest.Set("f.yaml", in, edit("reg.io/team/web"), &manifest.Options{ParseAll: true})
	require.ErrorIs(t, err, manifest.ErrSyntax)
	require.ErrorContains(t, err, "f.yaml:1:5")
	_, _, err = manifest.Set("f.yaml", in, edit("reg.io/other"), nil)
	require.ErrorIs(t, err, manifest.ErrSyntax, "found nowhere: all is looked at")
	_, _, err = manifest.Set("f.yaml", in, edit("reg.io/web"), nil)
	require.ErrorContains(t, err, "f.yaml:6", "a word in a comment is enough to be looked at")

	e, err := manifest.NewEditor(edit("reg.io/web"), nil)
	require.NoError(t, err)
	_, _, err = e.File("f.yaml", []byte("\xff\xfei\x00"))
	require.NoError(t, err, "UTF-16 that does not hold the image")
	_, _, err = e.File("f.yaml", []byte("\xff\xfew\x00e\x00b\x00"))
	require.ErrorIs(t, err, manifest.ErrUnsupported)
}

// TestEditor_template: what stands in front of the part that does not parse is not edited, and so not found.
func TestEditor_template(t *testing.T) {
	e, err := manifest.NewEditor([]manifest.Edit{{Image: "reg.io/web", To: "v2"}}, &manifest.Options{ParseAll: true})
	require.NoError(t, err)
	_, _, err = e.File("t.yaml", []byte("image: reg.io/web:v1\n---\n{{- if .x }}\napp: web\n{{- end }}\n"))
	require.ErrorIs(t, err, manifest.ErrTemplate)
	require.ErrorIs(t, e.Check(), manifest.ErrNotFound)
}

// A tag alone takes a digest along, and is a tag still when the next one comes.
func TestSet_pathToPinnedTag(t *testing.T) {
	out := []byte("versions: {web: v1}\n")
	for _, to := range []string{"v2@" + digest, "v3@" + digest, "v4"} {
		edits := []manifest.Edit{{Image: "reg.io/web", To: to, Path: "/versions/web"}}
		got, ch, err := manifest.Set("f.yaml", out, edits, nil)
		require.NoError(t, err)
		assert.Equal(t, "versions: {web: "+to+"}\n", string(got))
		require.Len(t, ch, 1)
		assert.Equal(t, to == "v4", ch[0].DroppedDigest == digest)
		out, ch, err = manifest.Set("f.yaml", got, edits, nil)
		require.NoError(t, err)
		assert.Equal(t, string(got), string(out))
		assert.Empty(t, ch)
	}
}
