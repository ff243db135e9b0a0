package argocdtest

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func FuzzParseManifest(f *testing.F) {
	for _, s := range []string{
		"apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n  - image: b:1\n",
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"image":"b:1"}]}}`,
		"kind: |\n  x\nmetadata: {}\n", "---\n---\n", "'", "a: \"", "{",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, doc := range documents(s) {
			m, err := parseManifest(doc)
			if err != nil {
				continue
			}
			assert.NotEmpty(t, m.Kind)
			assert.NotEmpty(t, m.Name)
			_ = m.state()
		}
	})
}
