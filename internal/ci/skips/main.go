// Command skips reads go test -json on standard input, prints what failed and a closing line with the
// counts, and fails when a test failed, when none ran, or when one was skipped that the list does not name.
// What the assertions said is repeated at the end, where the logs of servers do not bury it.
//
//	go test -json ./... | go run ./internal/ci/skips -allow .ci/skips.txt
//
// A line of the list is a package path, a test name and the reason, with a space between each; a star
// stands for any run of characters but slashes. Lines that begin with # are comments.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

func main() {
	allow := flag.String("allow", "", "file that lists the skips to accept")
	flag.Parse()
	list, err := readList(*allow)
	if err == nil {
		err = run(os.Stdin, os.Stdout, list)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "skips:", err)
		os.Exit(1)
	}
}

type entry struct{ pkg, test, reason string }

func readList(name string) ([]entry, error) {
	if name == "" {
		return nil, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var list []entry
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.SplitN(line, " ", 3)
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s: a line needs package, test and reason: %q", name, line)
		}
		list = append(list, entry{fields[0], fields[1], fields[2]})
	}
	return list, nil
}

type event struct {
	Action, Package, ImportPath, Test, Output string
}

func run(in io.Reader, out io.Writer, list []entry) error {
	var passed, failed, skipped int
	var unlisted, broken, said []string
	output := map[string]*strings.Builder{} // of each test that has not ended, and of each package
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil { // a build failure may print text
			fmt.Fprintln(out, lines.Text())
			continue
		}
		key := e.Package + e.ImportPath + " " + e.Test
		if output[key] == nil {
			output[key] = &strings.Builder{}
		}
		switch {
		case e.Action == "output" || e.Action == "build-output":
			output[key].WriteString(e.Output)
		case e.Action == "build-fail":
			fmt.Fprint(out, output[key])
			broken = append(broken, e.ImportPath)
		case e.Action == "fail" && e.Test == "":
			fmt.Fprintf(out, "FAIL %s\n%s", e.Package, output[key])
			broken = append(broken, e.Package)
		case e.Action == "fail":
			failed++
			fmt.Fprintf(out, "FAIL %s %s\n%s", e.Package, e.Test, output[key])
			if s := assertions(output[key].String()); s != "" {
				said = append(said, fmt.Sprintf("%s %s\n%s", e.Package, e.Test, s))
			}
		case e.Action == "skip" && e.Test != "":
			skipped++
			reason, ok := allowed(list, e.Package, e.Test)
			if !ok {
				unlisted = append(unlisted, fmt.Sprintf("%s %s\n%s", e.Package, e.Test, output[key]))
			} else {
				fmt.Fprintf(out, "skipped %s %s: %s\n", e.Package, e.Test, reason)
			}
		case e.Action == "pass" && e.Test != "":
			passed++
		}
		if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
			delete(output, key)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(output)) { // a test that never ended: its process did
		if !strings.HasSuffix(key, " ") {
			fmt.Fprintf(out, "UNFINISHED %s\n%s", key, output[key])
		}
	}
	for _, s := range said {
		fmt.Fprintf(out, "\n%s", s)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	switch {
	case failed+len(broken) > 0:
		slices.Sort(broken)
		return fmt.Errorf("%d tests failed; packages: %s", failed, strings.Join(slices.Compact(broken), " "))
	case passed == 0:
		return fmt.Errorf("no test ran")
	case len(unlisted) > 0:
		return fmt.Errorf("%d tests were skipped that the list does not name:\n%s", len(unlisted), strings.Join(unlisted, ""))
	}
	return nil
}

// own matches the first line of what a test said by itself.
var own = regexp.MustCompile(`^\s+\w+\.go:\d+: \S`)

// assertions returns what a test said of its failure, by testify or by itself, a screenful at most.
func assertions(output string) string {
	var b strings.Builder
	inside, lines := false, 0
	for line := range strings.Lines(output) {
		text := strings.TrimSpace(line)
		inside = strings.HasPrefix(text, "Error Trace:") || inside && text != "" && !strings.HasPrefix(text, "Test:")
		if (inside || own.MatchString(line)) && lines < 40 {
			b.WriteString(line)
			lines++
		}
	}
	return b.String()
}

func allowed(list []entry, pkg, test string) (reason string, ok bool) {
	for _, e := range list {
		p, _ := path.Match(e.pkg, pkg)
		t, _ := path.Match(e.test, test)
		if p && t {
			return e.reason, true
		}
	}
	return "", false
}
