package gitleaks_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zricethezav/gitleaks/v8/logging"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/gitleaks"
	"github.com/waybill-dev/waybill/scan/scantest"
)

// Secrets are put together at run time, so that this file holds none.
var (
	githubToken = "ghp_" + "Zk3mQ9xT7bVn2LpR8sWc5YdF1hJgA4eU6oKi"
	awsKey      = "AKIA" + "Q3ZL5XWT7MVN2KPB"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// repo is a git repository in a temporary directory.
type repo struct {
	t   *testing.T
	dir string
}

func newRepo(t *testing.T) repo {
	t.Helper()
	r := repo{t, t.TempDir()}
	r.git("init", "-q", "--initial-branch=main")
	return r
}

func (r repo) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=A U Thor", "GIT_AUTHOR_EMAIL=author@example.com", "GIT_COMMITTER_NAME=C O Mitter", "GIT_COMMITTER_EMAIL=committer@example.com",
		"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "git %s: %s", strings.Join(args, " "), out)
	return strings.TrimSpace(string(out))
}

func (r repo) write(name, content string) repo {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	require.NoError(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(r.t, os.WriteFile(path, []byte(content), 0o600))
	return r
}

func (r repo) commit(message string) (sha string) {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", message)
	return r.git("rev-parse", "HEAD")
}

func scanner(t *testing.T, o *gitleaks.Options) *gitleaks.Scanner {
	t.Helper()
	s, err := gitleaks.New(o)
	require.NoError(t, err)
	return s
}

func git(dir string) scan.Target    { return scan.Target{Kind: scan.Git, Path: dir} }
func staged(dir string) scan.Target { return scan.Target{Kind: scan.Staged, Path: dir} }
func dir(dir string) scan.Target    { return scan.Target{Kind: scan.Dir, Path: dir} }

// places lists findings as rule and place, the one line of a test's table.
func places(r *report.Report) []string {
	out := []string{}
	for _, f := range r.Findings {
		out = append(out, f.Rule+" "+f.Fingerprints["gitleaks"])
	}
	return out
}

func TestScan_history(t *testing.T) {
	r := newRepo(t)
	first := r.write("a.env", "x\ntoken = "+githubToken+"\n").commit("add")
	r.write("a.env", "x\n").commit("remove it again")
	r.git("checkout", "-q", "-b", "side")
	third := r.write("b.txt", "key "+awsKey+"\n").commit("on a branch")
	r.git("checkout", "-q", "main")

	res, err := scanner(t, nil).Scan(t.Context(), git(r.dir))
	require.NoError(t, err)
	assert.Equal(t, scan.Findings, res.Status)
	assert.Equal(t, "8.30.1", res.Version)
	assert.Equal(t, []string{
		"github-pat " + first + ":a.env:github-pat:2",
		"aws-access-token " + third + ":b.txt:aws-access-token:1",
	}, places(res.Report))
	assert.Equal(t, report.CategorySecret, res.Report.Findings[0].Category)
	assert.Equal(t, report.Location{Path: "a.env", StartLine: 2, EndLine: 2, StartColumn: 10, EndColumn: 49, Snippet: "***", Commit: first}, res.Report.Findings[0].Location)

	ranged := git(r.dir)
	ranged.Range = "main..side"
	res, err = scanner(t, nil).Scan(t.Context(), ranged)
	require.NoError(t, err)
	assert.Equal(t, []string{"aws-access-token " + third + ":b.txt:aws-access-token:1"}, places(res.Report))

	ranged.Range = "side..main"
	res, err = scanner(t, nil).Scan(t.Context(), ranged)
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status, "an empty range holds nothing")
}

func TestScan_staged(t *testing.T) {
	r := newRepo(t)
	r.write("old.env", "token = "+githubToken+"\n").commit("before")
	r.write("new.env", "key "+awsKey+"\n")
	r.git("add", "new.env")
	r.write("unstaged.env", "token = "+githubToken+"\n")

	res, err := scanner(t, nil).Scan(t.Context(), staged(r.dir))
	require.NoError(t, err)
	assert.Equal(t, []string{"aws-access-token new.env:aws-access-token:1"}, places(res.Report))

	r.git("commit", "-q", "-m", "x")
	res, err = scanner(t, nil).Scan(t.Context(), staged(r.dir))
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status)
}

func TestScan_dir(t *testing.T) {
	r := repo{t, t.TempDir()}
	r.write("a/b c.env", "token = "+githubToken+"\n")
	r.write("node_modules/x.js", "token = "+githubToken+"\n")
	r.write("-dash.env", "key "+awsKey+"\n")
	r.write("new\nline.env", "key "+awsKey+"\n")
	r.write("empty", "")
	require.NoError(t, os.Symlink("a/b c.env", filepath.Join(r.dir, "link.env")))

	res, err := scanner(t, nil).Scan(t.Context(), dir(r.dir))
	require.NoError(t, err)
	assert.Equal(t, []string{
		"aws-access-token -dash.env:aws-access-token:1",
		"github-pat a/b c.env:github-pat:1",
		"aws-access-token new\nline.env:aws-access-token:1",
	}, places(res.Report))

	t.Run("one file", func(t *testing.T) {
		res, err := scanner(t, nil).Scan(t.Context(), dir(filepath.Join(r.dir, "a/b c.env")))
		require.NoError(t, err)
		assert.Equal(t, []string{"github-pat b c.env:github-pat:1"}, places(res.Report))
	})
	t.Run("symbolic links", func(t *testing.T) {
		res, err := scanner(t, &gitleaks.Options{FollowSymlinks: true}).Scan(t.Context(), dir(r.dir))
		require.NoError(t, err)
		assert.Len(t, res.Report.Findings, 4)
	})
	t.Run("large files", func(t *testing.T) {
		res, err := scanner(t, &gitleaks.Options{MaxFileBytes: 10}).Scan(t.Context(), dir(r.dir))
		require.NoError(t, err)
		assert.Equal(t, scan.Clean, res.Status)
		assert.Len(t, res.Notes, 3, "what was left out is said")
	})
}

func TestScanReader(t *testing.T) {
	res, err := scanner(t, nil).ScanReader(t.Context(), "stdin", strings.NewReader("one\ntwo "+awsKey+"\n"))
	require.NoError(t, err)
	assert.Equal(t, []string{"aws-access-token stdin:aws-access-token:2"}, places(res.Report))
	assert.Equal(t, scan.Target{Kind: scan.Stream, Path: "stdin"}, res.Target)

	res, err = scanner(t, nil).ScanReader(t.Context(), "", strings.NewReader("nothing here"))
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status)

	_, err = scanner(t, nil).ScanReader(t.Context(), "", &brokenReader{})
	require.ErrorIs(t, err, scan.ErrBroken)
	require.ErrorIs(t, err, os.ErrClosed)
}

type brokenReader struct{}

func (*brokenReader) Read([]byte) (int, error) { return 0, os.ErrClosed }

// The command looks into base64 five times over; the engine's own default is not at all.
func TestScan_decodes(t *testing.T) {
	r := repo{t, t.TempDir()}
	r.write("once.txt", "v: "+b64("token = "+githubToken)+"\n")
	r.write("twice.txt", "v: "+b64(b64("token = "+githubToken+" "))+"\n")

	res, err := scanner(t, nil).Scan(t.Context(), dir(r.dir))
	require.NoError(t, err)
	assert.Len(t, res.Report.Findings, 2)

	res, err = scanner(t, &gitleaks.Options{DecodeDepth: -1}).Scan(t.Context(), dir(r.dir))
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status)
}

func TestScan_leavesOut(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		o     gitleaks.Options
		want  []string
	}{
		"allow comment": {
			files: map[string]string{"a.env": awsKey + " # gitleaks:allow\n"},
			want:  []string{},
		},
		"allow comment overruled": {
			files: map[string]string{"a.env": awsKey + " # gitleaks:allow\n"},
			o:     gitleaks.Options{ReportAllowed: true},
			want:  []string{"aws-access-token a.env:aws-access-token:1"},
		},
		"ignore file": {
			files: map[string]string{"a.env": awsKey + "\n" + awsKey + "\n", ".gitleaksignore": "# known\n\na.env:aws-access-token:2\nnonsense\n"},
			want:  []string{"aws-access-token a.env:aws-access-token:1"},
		},
		"ignore file of the target left unread": {
			files: map[string]string{"a.env": awsKey + "\n", ".gitleaksignore": "a.env:aws-access-token:1\n"},
			o:     gitleaks.Options{IgnoreTargetOptions: true},
			want:  []string{"aws-access-token a.env:aws-access-token:1"},
		},
		"path allow list": {
			files: map[string]string{"a.env": awsKey, "sub/b.env": awsKey, ".gitleaks.toml": "[extend]\nuseDefault = true\n[[allowlists]]\npaths = ['''^sub/''']\n"},
			want:  []string{"aws-access-token a.env:aws-access-token:1"},
		},
		"allow list for one rule": {
			files: map[string]string{"a.env": awsKey + " " + githubToken, ".gitleaks.toml": "[extend]\nuseDefault = true\n[[allowlists]]\ntargetRules = ['aws-access-token']\nregexes = ['''.''']\n"},
			want:  []string{"github-pat a.env:github-pat:1"},
		},
		"own rules only": {
			files: map[string]string{"a.env": awsKey + " ACME-12345\n", ".gitleaks.toml": "[[rules]]\nid = 'acme'\nregex = '''ACME-\\d+'''\n"},
			want:  []string{"acme a.env:acme:1"},
		},
		"own rule beside the built-in ones": {
			files: map[string]string{"a.env": awsKey + " ACME-12345\n", ".gitleaks.toml": "[extend]\nuseDefault = true\n[[rules]]\nid = 'acme'\nregex = '''ACME-\\d+'''\n"},
			want:  []string{"aws-access-token a.env:aws-access-token:1", "acme a.env:acme:1"},
		},
		"disabled rule": {
			files: map[string]string{"a.env": awsKey + "\n", ".gitleaks.toml": "[extend]\nuseDefault = true\ndisabledRules = ['aws-access-token']\n"},
			want:  []string{},
		},
		"built-in rule changed": {
			files: map[string]string{"a.env": awsKey + "\n", ".gitleaks.toml": "[extend]\nuseDefault = true\n[[rules]]\nid = 'aws-access-token'\n[[rules.allowlists]]\nregexes = ['''^AKIA''']\n"},
			want:  []string{},
		},
		"extended twice": {
			files: map[string]string{
				"a.env": awsKey + " ACME-12345\n", ".gitleaks.toml": "[extend]\npath = 'ci/base.toml'\n",
				"ci/base.toml": "[extend]\nuseDefault = true\n[[rules]]\nid = 'acme'\nregex = '''ACME-\\d+'''\n",
			},
			want: []string{"aws-access-token a.env:aws-access-token:1", "acme a.env:acme:1"},
		},
		"named rules": {
			files: map[string]string{"a.env": awsKey + " " + githubToken},
			o:     gitleaks.Options{Rules: []string{"github-pat"}},
			want:  []string{"github-pat a.env:github-pat:1"},
		},
		"configuration as text": {
			files: map[string]string{"a.env": "ACME-12345 " + awsKey, ".gitleaks.toml": "broken ["},
			o:     gitleaks.Options{Config: "[[rules]]\nid = 'acme'\nregex = '''ACME-\\d+'''\n"},
			want:  []string{"acme a.env:acme:1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := repo{t, t.TempDir()}
			for name, content := range tc.files {
				r.write(name, content)
			}
			res, err := scanner(t, &tc.o).Scan(t.Context(), dir(r.dir))
			require.NoError(t, err)
			assert.Equal(t, tc.want, places(res.Report))
		})
	}
}

func TestScan_badConfiguration(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		o     gitleaks.Options
		says  string
	}{
		"no TOML":            {map[string]string{".gitleaks.toml": "broken ["}, gitleaks.Options{}, ".gitleaks.toml"},
		"bad pattern":        {map[string]string{".gitleaks.toml": "[[rules]]\nid = 'x'\nregex = '''('''\n"}, gitleaks.Options{}, "rule x: regex"},
		"bad allow list":     {map[string]string{".gitleaks.toml": "[extend]\nuseDefault = true\n[[allowlists]]\npaths = ['''(''']\n"}, gitleaks.Options{}, "allow list"},
		"no rules":           {map[string]string{".gitleaks.toml": "title = 'mine'\n"}, gitleaks.Options{}, "no rules"},
		"missing base":       {map[string]string{".gitleaks.toml": "[extend]\npath = 'gone.toml'\n"}, gitleaks.Options{}, "gone.toml"},
		"extends itself":     {map[string]string{".gitleaks.toml": "[extend]\npath = 'b.toml'\n", "b.toml": "[extend]\npath = 'b.toml'\n"}, gitleaks.Options{}, "extends itself"},
		"both ways":          {map[string]string{".gitleaks.toml": "[extend]\npath = 'b.toml'\nuseDefault = true\n"}, gitleaks.Options{}, "both"},
		"extends a URL":      {map[string]string{".gitleaks.toml": "[extend]\nurl = 'https://example.com/x'\n"}, gitleaks.Options{}, "url"},
		"unknown rule named": {nil, gitleaks.Options{Rules: []string{"nope"}}, `no rule "nope"`},
		"missing file":       {nil, gitleaks.Options{ConfigFile: "gone.toml"}, "gone.toml"},
		"missing ignore":     {nil, gitleaks.Options{IgnoreFile: "gone"}, "gone"},
		"missing baseline":   {nil, gitleaks.Options{Baseline: "gone.json"}, "gone.json"},
		"baseline is HTML":   {map[string]string{"b.json": "<html>"}, gitleaks.Options{Baseline: "b.json"}, "not a JSON report of gitleaks"},
		"older and newer":    {map[string]string{".gitleaks.toml": "[[rules]]\nid = 'x'\nregex = 'x'\n[rules.allowlist]\nregexes = ['a']\n[[rules.allowlists]]\nregexes = ['b']\n"}, gitleaks.Options{}, "cannot be used alongside"},
	} {
		t.Run(name, func(t *testing.T) {
			r := repo{t, t.TempDir()}
			for name, content := range tc.files {
				r.write(name, content)
			}
			t.Chdir(r.dir)
			_, err := scanner(t, &tc.o).Scan(t.Context(), dir("."))
			require.ErrorIs(t, err, scan.ErrConfig)
			assert.ErrorContains(t, err, tc.says)
		})
	}
}

func TestNew_bad(t *testing.T) {
	_, err := gitleaks.New(&gitleaks.Options{Config: "x", ConfigFile: "y", ArchiveDepth: -1, MaxFileBytes: -1})
	require.ErrorIs(t, err, scan.ErrConfig)
	for _, field := range []string{"Config", "ConfigFile", "ArchiveDepth", "MaxFileBytes"} {
		assert.ErrorContains(t, err, field)
	}
}

// The engine stops extending at the third configuration of a process, and finds nothing from then on.
func TestScan_extendAnyNumberOfTimes(t *testing.T) {
	r := repo{t, t.TempDir()}
	r.write("a.env", awsKey).write(".gitleaks.toml", "[extend]\nuseDefault = true\n")
	for range 5 {
		res, err := scanner(t, nil).Scan(t.Context(), dir(r.dir))
		require.NoError(t, err)
		require.Len(t, res.Report.Findings, 1)
	}
}

// The engine logs through a variable of its package, to standard error.
func TestNew_silence(t *testing.T) {
	scanner(t, nil)
	assert.Equal(t, zerolog.Disabled, logging.Logger.GetLevel())
}

func TestScan_manyAtOnce(t *testing.T) {
	r := newRepo(t)
	r.write("a.env", awsKey+"\n"+b64(githubToken)+"\n").write(".gitleaks.toml", "[extend]\nuseDefault = true\n[[rules]]\nid = 'aws-access-token'\ntags = ['cloud']\n").commit("x")
	shared := scanner(t, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s := shared
			if i%2 == 0 {
				s = scanner(t, nil)
			}
			res, err := s.Scan(t.Context(), []scan.Target{git(r.dir), dir(r.dir)}[i/2%2])
			if assert.NoError(t, err) {
				assert.Len(t, res.Report.Findings, 2)
			}
		})
	}
	wg.Wait()
}

func TestScan_baseline(t *testing.T) {
	r := repo{t, t.TempDir()}
	r.write("a.env", "k "+awsKey+"\n")
	known := map[string]any{
		"RuleID": "aws-access-token", "StartLine": 1, "EndLine": 1, "StartColumn": 3, "EndColumn": 22,
		"Match": awsKey, "Secret": awsKey, "File": "a.env", "Entropy": 0.0, "Tags": []string{},
	}
	found, err := scanner(t, nil).Scan(t.Context(), dir(r.dir))
	require.NoError(t, err)
	require.Len(t, found.Report.Findings, 1)
	known["Description"] = found.Report.Findings[0].Title
	// The entropy as the engine computes it: 15 symbols once, A five... is the command's business; see the
	// integration test. Here only that everything must agree.
	write := func() string {
		b, err := json.Marshal([]any{known})
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "baseline.json")
		require.NoError(t, os.WriteFile(path, b, 0o600))
		return path
	}
	res, err := scanner(t, &gitleaks.Options{Baseline: write()}).Scan(t.Context(), dir(r.dir))
	require.NoError(t, err)
	assert.Len(t, res.Report.Findings, 1, "another entropy is another finding")
}

func TestScan_skips(t *testing.T) {
	for _, k := range []scan.Kind{scan.Layout, scan.Archive, scan.Image, scan.SBOM} {
		_, err := scanner(t, nil).Scan(t.Context(), scan.Target{Kind: k, Path: "x"})
		require.ErrorIs(t, err, scan.ErrSkipped, "%s", k)
	}
}

func TestScan_badTarget(t *testing.T) {
	empty := t.TempDir()
	for name, target := range map[string]scan.Target{
		"missing directory":   dir(filepath.Join(empty, "gone")),
		"missing repository":  git(filepath.Join(empty, "gone")),
		"no repository":       git(empty),
		"nothing to stage":    staged(empty),
		"file for repository": git(mustWrite(t, empty, "file")),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scanner(t, nil).Scan(t.Context(), target)
			require.ErrorIs(t, err, scan.ErrTarget)
			assert.ErrorContains(t, err, target.String())
		})
	}
}

func mustWrite(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	return path
}

func TestScan_unknownRange(t *testing.T) {
	r := newRepo(t)
	r.write("a", "b").commit("x")
	target := git(r.dir)
	target.Range = "nope..HEAD"
	_, err := scanner(t, nil).Scan(t.Context(), target)
	require.ErrorIs(t, err, scan.ErrTarget)
	assert.ErrorContains(t, err, "nope")
}

func TestScan_shallow(t *testing.T) {
	full := newRepo(t)
	first := full.write("a", "1").commit("1")
	full.write("a", "2").commit("2")
	full.write("a", "3").commit("3")
	r := repo{t, filepath.Join(t.TempDir(), "clone")}
	full.git("clone", "-q", "--depth=1", "file://"+full.dir, r.dir)

	res, err := scanner(t, nil).Scan(t.Context(), git(r.dir))
	require.NoError(t, err)
	require.Len(t, res.Notes, 1)
	assert.Contains(t, res.Notes[0], "shallow")

	target := git(r.dir)
	target.Range = first + "..HEAD"
	_, err = scanner(t, nil).Scan(t.Context(), target)
	require.ErrorIs(t, err, scan.ErrTarget)
	assert.ErrorContains(t, err, "shallow; fetch more")
}

// With these settings git prints what the engine's parser does not read, and it would find nothing.
func TestScan_userConfiguration(t *testing.T) {
	r := newRepo(t)
	r.write("a b.env", "k "+awsKey+"\n").commit("x")
	for _, setting := range []string{
		"color.ui=always", "diff.noprefix=true", "diff.mnemonicPrefix=true", "format.pretty=oneline", "log.date=raw",
		"diff.external=/bin/true", "log.showSignature=true", "diff.context=9", "diff.interHunkContext=9", "core.quotePath=false",
		"diff.algorithm=histogram", "diff.renames=copies", "log.decorate=full", "core.pager=cat", "diff.srcPrefix=x/", "diff.wordRegex=.",
		"log.showRoot=false", "log.abbrevCommit=true", "core.bigFileThreshold=1", "i18n.logOutputEncoding=UTF-16",
	} {
		t.Run(setting, func(t *testing.T) {
			name, value, _ := strings.Cut(setting, "=")
			r.git("config", name, value)
			defer r.git("config", "--unset", name)
			res, err := scanner(t, nil).Scan(t.Context(), git(r.dir))
			require.NoError(t, err)
			require.Len(t, res.Report.Findings, 1)
			assert.Equal(t, "a b.env", res.Report.Findings[0].Location.Path)
			assert.Len(t, res.Report.Findings[0].Location.Commit, 40)

			r.write("staged.env", "k "+awsKey+"\n").git("add", "staged.env")
			defer r.git("rm", "-q", "-f", "staged.env")
			res, err = scanner(t, nil).Scan(t.Context(), staged(r.dir))
			require.NoError(t, err)
			assert.Len(t, res.Report.Findings, 1)
		})
	}
}

// Lines of context, as asked for by a variable, would shift the place of what is found.
func TestScan_diffOptions(t *testing.T) {
	t.Setenv("GIT_DIFF_OPTS", "--unified=9")
	r := newRepo(t)
	r.write("a.env", "one\n").commit("1")
	r.write("a.env", "one\nk "+awsKey+"\n").commit("2")
	res, err := scanner(t, nil).Scan(t.Context(), git(r.dir))
	require.NoError(t, err)
	require.Len(t, res.Report.Findings, 1)
	assert.Equal(t, 2, res.Report.Findings[0].Location.StartLine)
}

func TestScan_corruptObject(t *testing.T) {
	r := newRepo(t)
	r.write("a.env", "k "+awsKey+"\n").commit("1")
	r.write("b.env", "something else\n").commit("2")
	blob := r.git("rev-parse", "HEAD~1:a.env")
	path := filepath.Join(r.dir, ".git/objects", blob[:2], blob[2:])
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.WriteFile(path, []byte("rubbish"), 0o600))

	res, err := scanner(t, nil).Scan(t.Context(), git(r.dir))
	require.ErrorIs(t, err, scan.ErrBroken)
	require.NotNil(t, res)
	assert.Equal(t, scan.Failed, res.Status)
}

// A git that goes wrong half-way must not look like one that is done.
func TestScan_gitGoesWrong(t *testing.T) {
	r := newRepo(t)
	for i := range 3 {
		r.write("a.env", strings.Repeat("line\n", i+1)).commit("x")
	}
	realGit, err := exec.LookPath("git")
	require.NoError(t, err)
	const diff = `printf 'commit 1111111111111111111111111111111111111111\nAuthor: A <a@b>\nDate:   Thu Jan 1 00:00:00 2026 +0000\n\n    x\n\n'
printf 'diff --git a/f b/f\nindex 111..222 100644\n--- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+one\n'`
	for name, tc := range map[string]struct {
		log  string
		kind error
		says string
	}{
		"killed":          {diff + "; kill -9 $$", scan.ErrBroken, "killed"},
		"killed at start": {"kill -9 $$", scan.ErrBroken, "killed"},
		"exit code":       {diff + "; exit 128", scan.ErrBroken, "exit code 128"},
		"error text":      {diff + "; echo 'error: inflate: data stream error' >&2; exit 0", scan.ErrBroken, "inflate"},
		"cut in a hunk":   {diff + `; printf 'diff --git a/g b/g\nindex 1..2 100644\n--- a/g\n+++ b/g\n@@ -0,0 +1,9 @@\n+one\n'`, scan.ErrOutput, "understood"},
		"broken header":   {diff + `; printf 'diff --git nonsense\n'`, scan.ErrOutput, "understood"},
		"fine":            {diff, nil, ""},
		"harmless remark": {diff + "; echo 'warning: exhaustive rename detection was skipped due to too many files.' >&2", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			fake := scantest.Script(t, "git", `for a in "$@"; do if [ "$a" = log ]; then `+tc.log+"\nexit; fi; done\nexec "+realGit+` "$@"`)
			res, err := scanner(t, &gitleaks.Options{Git: fake}).Scan(t.Context(), git(r.dir))
			if tc.kind == nil {
				require.NoError(t, err)
				assert.Equal(t, scan.Clean, res.Status)
				return
			}
			require.ErrorIs(t, err, tc.kind)
			assert.ErrorContains(t, err, tc.says)
			assert.Equal(t, scan.Failed, res.Status)
		})
	}
}

func TestScan_git(t *testing.T) {
	r := newRepo(t)
	r.write("a", "b").commit("x")
	_, err := scanner(t, &gitleaks.Options{Git: "/nowhere/git"}).Scan(t.Context(), git(r.dir))
	require.ErrorIs(t, err, scan.ErrToolMissing)

	old := scantest.Script(t, "git", "echo git version 2.11.0")
	_, err = scanner(t, &gitleaks.Options{Git: old}).Scan(t.Context(), git(r.dir))
	require.ErrorIs(t, err, scan.ErrToolVersion)
	assert.ErrorContains(t, err, "2.11.0")
	assert.ErrorContains(t, err, "2.28 or later")
}

// Where there is nothing, nothing was searched: a clone that stopped half-way, the wrong directory.
func TestScan_nothingThere(t *testing.T) {
	r := newRepo(t)
	empty := repo{t, t.TempDir()}
	require.NoError(t, os.MkdirAll(filepath.Join(empty.dir, "a/b"), 0o755))
	for _, target := range []scan.Target{git(r.dir), dir(empty.dir)} {
		_, err := scanner(t, nil).Scan(t.Context(), target)
		require.ErrorIs(t, err, scan.ErrSkipped, target.String())
	}
	// That all of it is allowed is another matter.
	empty.write("node_modules/x.js", githubToken)
	res, err := scanner(t, nil).Scan(t.Context(), dir(empty.dir))
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status)

	r.write("new.env", "key "+awsKey+"\n").git("add", "-A")
	res, err = scanner(t, nil).Scan(t.Context(), staged(r.dir))
	require.NoError(t, err)
	assert.Equal(t, scan.Findings, res.Status, "what is staged for the first commit is something")

	for _, device := range []string{"/dev/null", "/dev/zero"} {
		_, err := scanner(t, nil).Scan(t.Context(), dir(device))
		require.ErrorIs(t, err, scan.ErrTarget, device)
	}
}

// A walk does not follow the link it is started at, and would find nothing there.
func TestScan_link(t *testing.T) {
	r := repo{t, t.TempDir()}
	r.write("real/a.env", "key "+awsKey+"\n")
	for name, to := range map[string]string{"link": "real", "link.env": "real/a.env"} {
		link := filepath.Join(r.dir, name)
		require.NoError(t, os.Symlink(to, link))
		res, err := scanner(t, nil).Scan(t.Context(), dir(link))
		require.NoError(t, err)
		assert.Equal(t, []string{"aws-access-token a.env:aws-access-token:1"}, places(res.Report), name)
	}
}

// A hook's environment names its own repository; the target names the one to scan.
func TestScan_environment(t *testing.T) {
	clean, leaky := newRepo(t), newRepo(t)
	clean.write("a", "nothing\n").commit("x")
	leaky.write("a.env", "key "+awsKey+"\n").commit("x")
	t.Setenv("GIT_DIR", filepath.Join(clean.dir, ".git"))
	t.Setenv("GIT_WORK_TREE", clean.dir)
	res, err := scanner(t, nil).Scan(t.Context(), git(leaky.dir))
	require.NoError(t, err)
	assert.Len(t, res.Report.Findings, 1)
}

// Attributes in a repository can make git take any file for binary.
func TestScan_binary(t *testing.T) {
	r := newRepo(t)
	r.write(".gitattributes", "*.env binary\n").write("a.env", "key "+awsKey+"\n").commit("x")
	res, err := scanner(t, nil).Scan(t.Context(), git(r.dir))
	require.NoError(t, err)
	assert.Equal(t, []string{"1 changes of files that git takes for binary were not searched"}, res.Notes)
}

func TestScan_unreadableFile(t *testing.T) {
	if _, err := os.Stat("/proc/self/mem"); err != nil {
		t.Skip("needs a file that opens and cannot be read: /proc/self/mem")
	}
	r := repo{t, t.TempDir()}
	r.write("a.env", awsKey)
	require.NoError(t, os.Symlink("/proc/self/mem", filepath.Join(r.dir, "mem")))
	o := &gitleaks.Options{FollowSymlinks: true}
	res, err := scanner(t, o).Scan(t.Context(), dir(r.dir))
	require.ErrorIs(t, err, scan.ErrBroken)
	assert.ErrorContains(t, err, "1 files could not be read")
	assert.Len(t, res.Report.Findings, 1, "the others were scanned")

	o.AllowUnreadable = true
	res, err = scanner(t, o).Scan(t.Context(), dir(r.dir))
	require.NoError(t, err)
	assert.Len(t, res.Notes, 1)
}

func TestScan_cancelled(t *testing.T) {
	r := newRepo(t)
	r.write("a", "b").commit("x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, target := range []scan.Target{git(r.dir), dir(r.dir)} {
		_, err := scanner(t, nil).Scan(ctx, target)
		require.ErrorIs(t, err, context.Canceled)
	}
}

// No secret gets out: not in the report, not by way of the commit message, author or path.
func TestScan_keepsSecrets(t *testing.T) {
	r := newRepo(t)
	r.write("a.env", "token = "+githubToken+"\n"+b64("token = "+githubToken)+"\n").commit("oops: " + githubToken)
	res, err := scanner(t, &gitleaks.Options{SecretKey: []byte("key")}).Scan(t.Context(), git(r.dir))
	require.NoError(t, err)
	require.Len(t, res.Report.Findings, 2)
	b, err := json.Marshal(res)
	require.NoError(t, err)
	assert.NotContains(t, string(b), githubToken)
	assert.NotContains(t, string(b), b64("token = "+githubToken))
}
