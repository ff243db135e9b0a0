//go:build integration

package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
)

// TestSchema_oasis holds our short notation of the SARIF schema to the schema itself.
func TestSchema_oasis(t *testing.T) {
	tool := testbed.Require(t, testbed.Multitool)
	data, err := os.ReadFile(filepath.Join(tool.Dir, "sarif-2.1.0.json"))
	require.NoError(t, err)
	type node struct {
		Ref        string `json:"$ref"`
		Type       any
		Format     string
		Enum       []any
		Items      *json.RawMessage
		Properties map[string]json.RawMessage
		Additional json.RawMessage `json:"additionalProperties"`
		Required   []string
	}
	var schema struct {
		node
		Definitions map[string]node
	}
	require.NoError(t, json.Unmarshal(data, &schema))
	types := sarifTypes()
	find := func(name string) *objectType {
		for n, o := range types {
			if base, _, _ := strings.Cut(n, "/"); base == name && n != "tool/foreign" {
				return o
			}
		}
		return nil
	}
	var notation func(raw json.RawMessage) string
	notation = func(raw json.RawMessage) string {
		var n node
		require.NoError(t, json.Unmarshal(raw, &n))
		typ, _ := n.Type.(string)
		switch {
		case strings.HasSuffix(n.Ref, "/propertyBag"):
			return "p"
		case n.Ref != "":
			return "@" + n.Ref[strings.LastIndex(n.Ref, "/")+1:]
		case len(n.Enum) > 0:
			var list []string
			for _, e := range n.Enum {
				list = append(list, e.(string))
			}
			slices.Sort(list)
			return "=" + strings.Join(list, "|")
		case n.Items != nil:
			return "[" + strings.TrimPrefix(notation(*n.Items), "@") + "]"
		case typ == "object":
			return "{" + strings.TrimPrefix(notation(n.Additional), "@") + "}"
		case n.Format == "uri" || n.Format == "uri-reference":
			return "u"
		case n.Format == "date-time":
			return "t"
		}
		return map[string]string{"string": "s", "integer": "i", "number": "n", "boolean": "b"}[typ]
	}
	ours := func(m *memberType) string {
		var s string
		switch {
		case m.kind == '>':
			s = "i"
		case m.kind == '=':
			list := slices.Clone(m.enum)
			slices.Sort(list)
			s = "=" + strings.Join(list, "|")
		case m.object != nil:
			s, _, _ = strings.Cut(m.object.name, "/")
			if m.form == 0 {
				s = "@" + s
			}
		default:
			s = string(m.kind)
		}
		switch m.form {
		case '[':
			return "[" + s + "]"
		case '{':
			return "{" + s + "}"
		}
		return s
	}
	schema.Definitions["log"] = schema.node
	for name, want := range schema.Definitions {
		if name == "propertyBag" {
			continue
		}
		have := find(name)
		if !assert.NotNil(t, have, name) {
			continue
		}
		for member, raw := range want.Properties {
			m := have.members[member]
			if assert.NotNil(t, m, "%s.%s", name, member) {
				assert.Equal(t, notation(raw), ours(m), "%s.%s", name, member)
			}
		}
		for member := range have.members {
			assert.Contains(t, want.Properties, member, name)
		}
		assert.ElementsMatch(t, want.Required, have.required, name)
	}
}
