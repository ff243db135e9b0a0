package argocdtest

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const pod = `{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: "b:1"}]}}`

// TestReadManifests reads one file each: what Argo CD reads becomes resources, the rest is passed over or is an
// error in its words.
func TestReadManifests(t *testing.T) {
	for name, tc := range map[string]struct {
		file, text string
		want       []string // keys and images
		says       string
	}{
		"block":            {"a.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n  - image: b:1\n", []string{"/Pod/ns/a b:1"}, ""},
		"flow":             {"a.yaml", pod, []string{"/Pod/ns/a b:1"}, ""},
		"yml":              {"a.yml", pod, []string{"/Pod/ns/a b:1"}, ""},
		"BOM, CRLF":        {"a.yaml", "\ufeffapiVersion: v1\r\nkind: Pod\r\nmetadata:\r\n  name: a\r\n", []string{"/Pod/ns/a"}, ""},
		"quoted keys":      {"a.yaml", `"apiVersion": 'v1'` + "\n\"kind\": !!str Pod\n? metadata\n: {name: \"\\x61\"}\n", []string{"/Pod/ns/a"}, ""},
		"documents":        {"a.yaml", "# head\n---\n# nothing\n---\n" + pod + "\n--- # second\n" + strings.Replace(pod, "name: a", "name: c", 1) + "\n...\n", []string{"/Pod/ns/a b:1", "/Pod/ns/c b:1"}, ""},
		"anchors":          {"a.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: &n a, labels: {app: *n}}\nspec:\n  template: {spec: {containers: [&c {name: x, image: &i b:1}, {<<: *c, name: y}, {<<: [*c], image: c:1}], initContainers: [{image: *i}]}}\n", []string{"apps/Deployment/ns/a b:1 c:1"}, ""},
		"key twice":        {"a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: z}\nmetadata: {name: a}\n", []string{"/Pod/ns/a"}, ""},
		"List":             {"a.yaml", "apiVersion: v1\nkind: List\nitems:\n- " + pod + "\n- {apiVersion: v1, kind: Service, metadata: {name: s, namespace: other}}\n", []string{"/Pod/ns/a b:1", "/Service/other/s"}, ""},
		"null list":        {"a.yaml", "apiVersion: v1\nkind: ConfigMapList\nitems: null\nmetadata: {}\n", nil, ""},
		"items of its own": {"a.yaml", "apiVersion: v1\nkind: Thing\nmetadata: {name: a}\nspec: {}\nitems:\n", []string{"/Thing/ns/a"}, ""},
		"JSON":             {"a.json", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"image":"b:1"}]}}`, []string{"/Pod/ns/a b:1"}, ""},
		"JSON in YAML":     {"a.yaml", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}` + "\n" + `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"}}`, []string{"/Pod/ns/a", "/Pod/ns/b"}, ""},
		"date":             {"a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: 2024-01-01}\n", []string{"/Pod/ns/2024-01-01"}, ""},
		"unlike":           {"values.yaml", "just: text\n", nil, ""},
		"template":         {"values.yaml", "{{ if }}\n", nil, ""},
		"another kind":     {"notes.txt", pod, nil, ""},
		"empty":            {"a.yaml", "", nil, ""},

		"broken":             {"a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: [}\n", nil, `code = FailedPrecondition desc = Failed to unmarshal "a.yaml"`},
		"broken second":      {"a.yaml", pod + "\n---\na: b: c\n", nil, `Failed to unmarshal "a.yaml"`},
		"no kind":            {"a.yaml", "apiVersion: v1\nmetadata: {name: a}\n# kind: x\n# metadata:\n", nil, "'Kind' is missing"},
		"no name":            {"a.yaml", "apiVersion: v1\nkind: Pod\n", nil, "no apiVersion, kind or metadata.name"},
		"two in JSON":        {"a.json", `{"kind":"A"}{"kind":"B"}`, nil, "only single objects"},
		"no JSON":            {"a.json", `{`, nil, "unexpected EOF"},
		"list in a list":     {"a.yaml", "apiVersion: v1\nkind: List\nitems: [x]\n", nil, "no apiVersion"},
		"not a number":       {"a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: .nan\n", nil, "line 4"},
		"bomb":               {"a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n", nil, "more than"},
		"holds itself":       {"a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: &m {name: a, m: *m}\n", nil, `Failed to unmarshal "a.yaml"`},
		"merge of a scalar":  {"a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {<<: x, name: a}\n", nil, "<< wants a mapping"},
		"kustomization":      {"kustomization.yaml", "resources: []\n", nil, "plain manifests only"},
		"chart":              {"Chart.yaml", "name: x\n", nil, "plain manifests only"},
		"list as a manifest": {"a.yaml", "- apiVersion: v1\n  kind: Pod\n  metadata: {}\n", nil, "a manifest is a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := readManifests(fstest.MapFS{"app/" + tc.file: {Data: []byte(tc.text)}}, "app", "ns")
			if tc.says != "" {
				require.ErrorContains(t, err, tc.says)
				assert.Nil(t, all)
				return
			}
			require.NoError(t, err)
			var got []string
			for _, key := range sortedKeys(all) {
				got = append(got, strings.Join(append([]string{key}, all[key].Images...), " "))
				assert.True(t, json.Valid([]byte(all[key].text)))
			}
			assert.Equal(t, tc.want, got)
		})
	}
	_, err := readManifests(fstest.MapFS{}, "app", "ns")
	require.ErrorContains(t, err, "app: app path does not exist")
}

// What is written otherwise and means the same is the same.
func TestParseFile_meaning(t *testing.T) {
	a, err := parseFile([]byte(pod), false, "ns")
	require.NoError(t, err)
	b, err := parseFile([]byte("# by hand\nkind: Pod\napiVersion: 'v1'\nmetadata:\n  name: a\n  namespace: ns\nspec:\n  containers:\n    - image: b:1 # here\n      name: a\n"), false, "ns")
	require.NoError(t, err)
	assert.Equal(t, a, b)
}

func FuzzParseFile(f *testing.F) {
	for _, s := range []string{
		pod, "kind: |\n  x\nmetadata: {}\n", "---\n---\n", "'", "a: \"", "{", "a: &a [*a]", "<<: {kind: x}", "? [a]\n: b", "1e400", "\xff\xfea\x00",
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"image":"b:1"}]}}`,
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, isJSON bool) {
		all, err := parseFile([]byte(s), isJSON, "ns")
		if err != nil {
			assert.Nil(t, all)
			return
		}
		for _, m := range all {
			assert.NotEmpty(t, m.Kind)
			assert.NotEmpty(t, m.Name)
			assert.True(t, json.Valid([]byte(m.text)))
		}
	})
}
