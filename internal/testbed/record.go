package testbed

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// RecordFile is the environment variable that names a file to which tests add what they really ran on; the
// support table of the README is made of it.
const RecordFile = "TESTBED_RECORD"

// record notes that the package under test ran on a tool or a Debian package.
func record(tb TB, name, version string) {
	tb.Helper()
	path := os.Getenv(RecordFile)
	if path == "" {
		return
	}
	root, err := Root()
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	pkg, err := filepath.Rel(root, dir)
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%s\t%s\t%s\n", name, version, filepath.ToSlash(pkg)); err != nil {
		tb.Fatalf("testbed: %v", err)
	}
}

// SupportTable makes a Markdown table of what tests recorded: a row for the tools of one version that the tests
// of the same packages ran on.
func SupportTable(recorded string) string {
	type tool struct{ name, version string }
	packages := map[tool][]string{}
	for line := range strings.Lines(recorded) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) == 3 && !strings.HasPrefix(fields[2], "internal/") {
			t := tool{fields[0], fields[1]}
			packages[t] = append(packages[t], fields[2])
		}
	}
	type rest struct{ version, packages string }
	names := map[rest][]string{}
	for _, t := range slices.SortedFunc(maps.Keys(packages), func(a, b tool) int { return strings.Compare(a.name, b.name) }) {
		slices.Sort(packages[t])
		r := rest{t.version, "`" + strings.Join(slices.Compact(packages[t]), "` `") + "`"}
		names[r] = append(names[r], t.name)
	}
	var b strings.Builder
	b.WriteString("| tested on | version | by the tests of |\n|---|---|---|\n")
	for _, r := range slices.SortedFunc(maps.Keys(names), func(a, b rest) int {
		return cmp.Or(slices.Compare(names[a], names[b]), strings.Compare(a.version, b.version))
	}) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Join(names[r], ", "), r.version, r.packages)
	}
	return b.String()
}

// debianRelease names the release that Debian's packages come from, such as "Debian 12".
func debianRelease() string {
	b, _ := os.ReadFile("/etc/os-release")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_ID="); ok {
			return "Debian " + strings.Trim(v, `"`)
		}
	}
	return "of the system"
}
