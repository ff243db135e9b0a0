package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
)

func identify(t *testing.T, o *report.Options, list ...report.Finding) []report.Identity {
	t.Helper()
	r := &report.Report{Runs: []report.Run{{Tool: "t", Status: report.StatusCompleted}}, Findings: list}
	require.NoError(t, r.Normalize(t.Context(), o))
	var ids []report.Identity
	for _, f := range r.Findings {
		ids = append(ids, f.Identity)
	}
	return ids
}

// The form of version 1 is a promise: these strings may not change.
func TestIdentity_golden(t *testing.T) {
	ids := identify(t, &report.Options{SecretKey: []byte("key")},
		report.Finding{Rule: "CVE-2024-1", Package: &report.Package{Name: "left", PURL: "pkg:npm/left@1.0.0"}},
		report.Finding{Rule: "R1", Message: "m", Location: report.Location{Path: "a.go", StartLine: 1}},
		report.Finding{Rule: "R1", CWE: []string{"CWE-79"}, Location: report.Location{Path: "a.go", StartLine: 1, Snippet: "x := f(y)"}},
		report.Finding{Rule: "aws", Category: report.CategorySecret, Location: report.Location{Path: "a.env", StartLine: 1, Snippet: "key = ***"}},
	)
	assert.Equal(t, []report.Identity{
		"v1/package/51bcaf1d877603877f76845363f9abf4",
		"v1/code/9f23eb14238dabbf0b6b4f11dcc9badd",
		"v1/code/e32fdfd1ba3e44aff54f74edb84594e5",
		"v1/secret/3fa60a03b3ede1ff9e45d92c6ef0f983",
	}, ids)
}

func TestIdentity_package(t *testing.T) {
	pkg := func(rule, purl string, aliases ...string) report.Finding {
		return report.Finding{Rule: rule, Aliases: aliases, Package: &report.Package{PURL: purl}}
	}
	ids := identify(t, nil,
		pkg("CVE-2024-1", "pkg:npm/left@1.0.0"), pkg("CVE-2024-1", "pkg:npm/left@2.0.0?arch=x"), pkg("GHSA-xx", "pkg:npm/left@1", "CVE-2024-1"),
		pkg("GHSA-xx", "pkg:npm/left@1"), pkg("CVE-2024-1", "pkg:npm/right@1"))
	assert.Equal(t, ids[0], ids[1], "a version bump")
	assert.Equal(t, ids[0], ids[2], "an alias")
	assert.NotEqual(t, ids[0], ids[3])
	assert.NotEqual(t, ids[0], ids[4])
}

func TestIdentity_source(t *testing.T) {
	at := func(dir, text string, lines ...int) []report.Identity {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "a.go"), []byte(text), 0o644))
		var list []report.Finding
		for _, l := range lines {
			list = append(list, report.Finding{Rule: "R", Message: "m", Location: report.Location{Path: "a.go", StartLine: l}})
		}
		return identify(t, &report.Options{Root: dir}, list...)
	}
	dir := t.TempDir()
	before := at(dir, "package a\n\nfunc a() { run(x) }\nfunc b() { run(y) }\n", 3, 4)
	assert.NotEqual(t, before[0], before[1])
	assert.Equal(t, before, at(dir, "package a\n\n// more\n\nfunc a() { run(x) }\nfunc b() { run(y) }\n", 5, 6), "a line shift")
	assert.Equal(t, before, at(dir, "package a\n\nfunc  a()  {\n\trun(x)\n}\nfunc b() {\n  run(y) }\n", 3, 6), "a reformat")
	assert.Equal(t, before, at(dir, "package a\r\n\r\nfunc a() { run(x) }\r\nfunc b() { run(y) }\r\n", 3, 4), "line ends")
	assert.NotEqual(t, before[0], at(dir, "package a\n\nfunc a() { run(z) }\n", 3)[0])

	twice := at(dir, "same()\nsame()\nsame()\nsame()\nsame()\nsame()\nsame()\nsame()\nsame()\nsame()\nsame()\nsame()\nsame()\nsame()\n", 1, 2, 2)
	assert.NotEqual(t, twice[0], twice[1])
	assert.Equal(t, twice[1], twice[2], "the same place said twice")

	// Never outside the root.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "..", "out.go"), []byte("x"), 0o644))
	id := identify(t, &report.Options{Root: dir}, report.Finding{Rule: "R", Message: "m", Location: report.Location{Path: "../out.go", StartLine: 1}})
	assert.Equal(t, identify(t, nil, report.Finding{Rule: "R", Message: "m", Location: report.Location{Path: "../out.go", StartLine: 1}}), id)
}

func TestIdentity_secret(t *testing.T) {
	in := func(path, name, secret string, o *report.Options) report.Identity {
		f := report.Finding{Rule: "aws", Message: "found " + secret, Location: report.Location{Path: path, StartLine: 3, Snippet: name + "=" + secret}}
		key := []byte(nil)
		if o != nil {
			key = o.SecretKey
		}
		f.SetSecret(secret, "", key)
		assert.NotContains(t, f.Message+f.Location.Snippet, secret)
		return identify(t, o, f)[0]
	}
	at := func(path, secret string, o *report.Options) report.Identity { return in(path, "key", secret, o) }
	key := &report.Options{SecretKey: []byte("k")}
	assert.Equal(t, at("a", "hunter2hunter2", key), at("b", "hunter2hunter2", key), "with a key: the secret, wherever")
	assert.NotEqual(t, at("a", "hunter2hunter2", key), at("a", "hunter3hunter3", key))
	assert.NotEqual(t, at("a", "hunter2hunter2", key), at("a", "hunter2hunter2", &report.Options{SecretKey: []byte("other")}))
	assert.Equal(t, at("a", "hunter2hunter2", nil), at("a", "rotated-secret", nil), "without: the place")
	assert.NotEqual(t, at("a", "hunter2hunter2", nil), at("b", "hunter2hunter2", nil))
	assert.NotEqual(t, at("a", "hunter2hunter2", nil), in("a", "db_key", "hunter2hunter2", nil), "the text around")
	assert.Equal(t, at("a", "hunter2hunter2", nil), in("a", "  key ", "hunter2hunter2", nil))
	for _, mask := range []string{"****", "********", "REDACTED"} { // as tools mask it themselves
		f := report.Finding{Rule: "aws", Category: report.CategorySecret, Location: report.Location{Path: "a", StartLine: 3, Snippet: "key=" + mask}}
		assert.Equal(t, at("a", "hunter2hunter2", nil), identify(t, nil, f)[0], mask)
	}

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("# one\n# two\nwhatever\n# four\n"), 0o644))
	source := &report.Options{Root: dir}
	assert.Equal(t, at("a", "hunter2hunter2", source), at("a", "rotated-secret", source))
	assert.NotEqual(t, at("a", "hunter2hunter2", source), at("a", "hunter2hunter2", nil), "the lines around")
	assert.NotEqual(t, at("a", "hunter2hunter2", source), in("a", "db_key", "hunter2hunter2", source))
}

// The pairs are those that GitHub's own upload action is tested with.
func TestLineHashes(t *testing.T) {
	tests := []struct {
		text string
		want string
	}{
		{"", "c129715d7a2bc9a3:1"},
		{" a\nb\n  \t\tc\n d", "271789c17abda88f:1 54703d4cd895b18:1 180aee12dab6264:1 a23a3dc5e078b07b:1"},
		{" hello; \t\nworld!!!\n\n\n  \t\tGreetings\n End", "8b7cf3e952e7aeb2:1 b1ae1287ec4718d9:1 bff680108adb0fcc:1 c6805c5e1288b612:1 b86d3392aea1be30:1 e6ceba753e1a442:1"},
		{" hello; \t\nworld!!!\r\r\r  \t\tGreetings\r End\r", "e9496ae3ebfced30:1 fb7c023a8b9ccb3f:1 ce8ba1a563dcdaca:1 e20e36e16fcb0cc8:1 b3edc88f2938467e:1 c8e28b0b4002a3a0:1 c129715d7a2bc9a3:1"},
		{" hello; \t\nworld!!!\r\n\n\r  \t\tGreetings\r End\r\n", "e9496ae3ebfced30:1 fb7c023a8b9ccb3f:1 ce8ba1a563dcdaca:1 e20e36e16fcb0cc8:1 b3edc88f2938467e:1 c8e28b0b4002a3a0:1 c129715d7a2bc9a3:1"},
		{strings.Repeat("Lorem ipsum dolor sit amet.\n", 10), "a7f2ff13bc495cf2:1 a7f2ff13bc495cf2:2 a7f2ff13bc495cf2:3 a7f2ff13bc495cf2:4 a7f2ff13bc495cf2:5 a7f2ff13bc495cf2:6 a7f2ff1481e87703:1 a9cf91f7bbf1862b:1 55ec222b86bcae53:1 cc97dc7b1d7d8f7b:1 c129715d7a2bc9a3:1"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, strings.Join(report.LineHashes([]byte(tt.text)), " "))
	}
}

func TestLineHash_written(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.go"), []byte(" a\nb\n  \t\tc\n d"), 0o644))
	out := write(t, read(t, log(run("x", result("R", "a.go", 2, "m"), result("R", "none.go", 2, "m"))), &report.Options{Root: dir}))
	assert.Equal(t, 1, strings.Count(out, `"primaryLocationLineHash":"54703d4cd895b18:1"`))
	assert.Equal(t, 1, strings.Count(out, "primaryLocationLineHash"))
}
