package gitleaks

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"github.com/zricethezav/gitleaks/v8/report"

	"github.com/waybill-dev/waybill/scan"
)

func newTestSearch(tb testing.TB, o *Options) *search {
	tb.Helper()
	s, err := New(o)
	require.NoError(tb, err)
	sr, err := s.newSearch("")
	require.NoError(tb, err)
	return sr
}

const diffSeed = `commit 1111111111111111111111111111111111111111
Author: A U Thor <author@example.com>
Date:   Thu Jan 1 00:00:00 2026 +0000

    message
    
    diff --git a/x b/x

diff --git a/f b/f
index 111..222 100644
--- a/f
+++ b/f
@@ -0,0 +1,2 @@
+TICKET-1
+diff --git a/x b/x
`

// What git prints holds what others wrote. No text makes the parser, which runs on a goroutine of its own, take the
// program down, or count a diff that is not there for one that was lost.
func FuzzSearchDiffs(f *testing.F) {
	for _, s := range []string{
		diffSeed, strings.ReplaceAll(diffSeed, "\n", "\r\n"), strings.TrimSuffix(diffSeed, "\n"), diffSeed + "\\ No newline at end of file\n" + diffSeed,
		"diff --git a/g b/g\nindex 1..2 100644\n--- a/g\n+++ b/g\n@@ -0,0 +1,9 @@\n+one\n", "diff --git nonsense\n", "diff --git \"a/\\303\\274\" \"b/\\303\\274\"\nnew file mode 100644\n",
		"diff --git a/b b/b\nindex 1..2\nBinary files a/b and b/b differ\n", "diff --git a/b b/b\nindex 1..2\nGIT binary patch\nliteral 3\nKcmZQzWMT#Y01f~L\n\nliteral 0\nHcmV?d00001\n\n",
		"diff --git a/b b/c\nsimilarity index 90%\nrename from b\nrename to c\n--- a/b\n+++ b/c\n@@ -1 +1 @@\n-x\n+TICKET-2\n", "diff --cc f\n", "commit 1\n", "@@ -1 +1 @@\n+x\n",
		"diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -99999999999999999999 +1 @@\n+x\n", "\x00", "",
	} {
		f.Add([]byte(s))
	}
	sr := newTestSearch(f, &Options{Config: "[[rules]]\nid = 'ticket'\nregex = '''TICKET-\\d+'''\n"})
	r := &repo{target: scan.Target{Kind: scan.Git, Path: "."}}
	f.Fuzz(func(t *testing.T, b []byte) {
		counter := &diffCounter{r: bytes.NewReader(b)}
		parsed, err := r.searchDiffs(context.Background(), sr, counter, 2)
		// A diff as other tools write it has no line that is counted; git prints none.
		if err == nil && !bytes.Contains(b, []byte("--- ")) {
			require.LessOrEqual(t, parsed, counter.diffs, "more was understood than there is")
		}
	})
}

func FuzzDiffCounter(f *testing.F) {
	for _, s := range []string{diffSeed, "diff --git ", "diff --git \n", "\ndiff --git x", "diff --gi", "diff --git a\rdiff --git b\n", "x\n\n\ndiff --git \ndiff --git ", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		want := 0
		for line := range bytes.Lines(b) {
			if bytes.HasPrefix(line, diffHeader) {
				want++
			}
		}
		for _, r := range []io.Reader{bytes.NewReader(b), iotest.OneByteReader(bytes.NewReader(b)), iotest.HalfReader(bytes.NewReader(b))} {
			c := &diffCounter{r: r}
			out, err := io.ReadAll(c)
			require.NoError(t, err)
			require.Equal(t, b, append([]byte{}, out...))
			require.Equal(t, want, c.diffs)
		}
	})
}

// A configuration comes with the source tree. The engine panics on some it does not like.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{
		"[extend]\nuseDefault = true\n[[rules]]\nid = 'x'\nregex = '''x'''\nkeywords = ['x']\ntags = ['t']\nentropy = 3.5\nsecretGroup = 1\npath = '''\\.env$'''\n",
		"[[rules]]\nid = 'x'\nregex = '''(x)'''\n[[rules.allowlists]]\ncondition = 'AND'\nregexTarget = 'line'\nregexes = ['''y''']\npaths = ['''z''']\nstopwords = ['w']\ncommits = ['1']\n[[allowlists]]\ntargetRules = ['x']\nregexes = ['''y''']\n",
		"[[rules]]\nid = 'x'\nregex = '''x'''\n[[rules.required]]\nid = 'y'\nwithinLines = 3\n[[rules]]\nid = 'y'\nregex = '''y'''\nskipReport = true\n",
		"[[rules]]\nid = 'x'\nregex = '''('''\n", "[[rules]]\nregex = 'x'\n", "[[rules]]\nid = 'x'\n", "[allowlist]\ncommits = ['1']\n[[allowlists]]\ncommits = ['2']\n", "title = 1\nrules = 2\n",
		"[[rules]]\nid = 'x'\nregex = 'x'\nsecretGroup = 9\n", "minVersion = 'v99.0.0'\n[[rules]]\nid='x'\nregex='x'\n", "[[rules]]\nid='x'\nregex='x'\nkeywords=['']\n", "[extend]\npath = '/dev/zero'\n", "[", "",
	} {
		f.Add(s)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		s, err := New(&Options{Config: text})
		require.NoError(t, err)
		if text == "" {
			return
		}
		sr, err := s.newSearch(dir)
		if err != nil {
			return
		}
		require.NotEmpty(t, sr.engine.Config.Rules, "a configuration without rules finds nothing, and must not be taken")
		require.NoError(t, sr.file(context.Background(), "a.env", "", strings.NewReader("x y z TICKET-1\n")))
	})
}

func FuzzIgnoreFile(f *testing.F) {
	for _, s := range []string{"a.env:x:1\n", "# c\n\n1234:a.env:x:1\n", `dir\a.env:x:1`, "a:b\n", ":::", "a.env:x:1 # no comment", "\xff\x00", strings.Repeat("x", 70_000) + ":x:1\n"} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, "ignore")
		require.NoError(t, os.WriteFile(path, b, 0o600))
		sr := &search{ignored: map[string]bool{}}
		require.NoError(t, sr.addIgnored(path))
		for line := range sr.ignored {
			require.NotContains(t, line, "\n")
		}
		if !bytes.Contains(b, []byte(":")) {
			for line := range sr.ignored {
				require.NotContains(t, line, ":")
			}
		}
	})
}

func FuzzBaseline(f *testing.F) {
	for _, s := range []string{
		`[]`, `[{"RuleID":"x","Description":"d","StartLine":1,"EndLine":1,"StartColumn":3,"EndColumn":22,"Match":"m","Secret":"s","File":"a.env","Entropy":3.5,"Tags":null}]`,
		`[{"Secret":"REDACTED","Match":"key REDACTED"}]`, `{}`, `null`, `[null]`, `[{"StartLine":"1"}]`, `[`, ``, `[{"Entropy":1e400}]`,
	} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, "baseline.json")
		require.NoError(t, os.WriteFile(path, b, 0o600))
		sr := &search{known: map[baselineKey]bool{}}
		if sr.addBaseline(path) != nil {
			return
		}
		var known []report.Finding
		require.NoError(t, json.Unmarshal(b, &known))
		for _, k := range known {
			require.True(t, sr.inBaseline(k), "a finding of the baseline is in it")
		}
	})
}
