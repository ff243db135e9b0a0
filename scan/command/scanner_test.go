//go:build unix

package command_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
	"github.com/waybill-dev/waybill/scan/scantest"
)

const (
	sarifClean = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"probe"}},"results":[]}]}`
	sarifFound = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"probe"}},"results":[{"ruleId":"R1","level":"error","message":{"text":"bad"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":3}}}]}]}]}`
	sarifBroke = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"probe"}},"results":[],"invocations":[{"executionSuccessful":false}]}]}`
)

// tool is a scanner whose tool is a script. It is told its version, and where to write with {output}.
func tool(t *testing.T, body string, o command.Options) *command.Scanner {
	t.Helper()
	if o.Tool.Path == "" {
		o.Tool.Path = scantest.Script(t, "probe", `if [ "$1" = --version ]; then echo probe 1.5.0; exit; fi`+"\n"+body)
	}
	o.Tool.Name, o.Tool.VersionArgs, o.Tool.Min, o.Tool.Below = "probe", []string{"--version"}, "1.2", "2.0"
	s, err := command.New(&o)
	require.NoError(t, err)
	return s
}

func target(t *testing.T) scan.Target {
	t.Helper()
	return scan.Target{Kind: scan.Dir, Path: t.TempDir()}
}

func TestScanner(t *testing.T) {
	setup := func(body string, o command.Options) func() scantest.Setup {
		return func() scantest.Setup {
			return scantest.Setup{Scanner: tool(t, body, o), Target: target(t)}
		}
	}
	toFile := command.Options{Args: []string{"--out", "{output}", "{target}"}}
	for name, h := range map[string]scantest.Harness{
		"standard output": {
			Clean:      setup("echo '"+sarifClean+"'", command.Options{}),
			Findings:   setup("echo '"+sarifFound+"'; exit 1", command.Options{}),
			Broken:     setup("echo '"+sarifClean+"'; exit 2", command.Options{}),
			HugeOutput: setup("yes", command.Options{MaxReport: 10000}),
		},
		"file": {
			Clean:      setup("echo '"+sarifClean+`' > "$2"`, toFile),
			Findings:   setup("echo '"+sarifFound+`' > "$2"`, toFile),
			Broken:     setup("echo '"+sarifFound+`' | head -c 100 > "$2"`, toFile),
			HugeOutput: setup(`yes | head -c 20000 > "$2"`, command.Options{Args: toFile.Args, MaxReport: 10000}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			h.Slow = func() scantest.Setup {
				pidFile := filepath.Join(t.TempDir(), "pid")
				s := tool(t, `sleep 600 & echo $! > "$1"; wait`, command.Options{Args: []string{pidFile}})
				return scantest.Setup{
					Scanner: s, Target: target(t),
					Started: func() bool { b, _ := os.ReadFile(pidFile); return len(b) > 0 },
					Gone:    func() bool { return gone(awaitFile(t, pidFile)) },
				}
			}
			h.MissingTool = setup("", command.Options{Tool: command.Tool{Path: "/nowhere/probe"}})
			h.WrongVersion = func() scantest.Setup {
				return scantest.Setup{Scanner: tool(t, "", command.Options{Tool: command.Tool{Path: scantest.Script(t, "probe", "echo probe 3.0.1")}}), Target: target(t)}
			}
			h.Secret = func() scantest.Setup {
				const secret = "hunter2-hunter2"
				o := command.Options{Secrets: map[string]func(context.Context) (string, error){
					"API_KEY": func(context.Context) (string, error) { return secret, nil },
				}}
				s := tool(t, `echo "key $API_KEY" >&2; echo '`+strings.Replace(sarifFound, "bad", "bad '\"$API_KEY\"' here", 1)+`'; exit 1`, o)
				return scantest.Setup{Scanner: s, Target: target(t), Secret: secret}
			}
			h.Unsupported = func() scantest.Setup {
				return scantest.Setup{Scanner: tool(t, "", command.Options{}), Target: scan.Target{Kind: scan.Image, Path: "web:1"}}
			}
			scantest.TestScanner(t, h)
		})
	}
}

func TestScan_outcomes(t *testing.T) {
	for name, tc := range map[string]struct {
		body   string
		o      command.Options
		status scan.Status
		kind   error
		says   string
	}{
		"found and exits with 0":          {"echo '" + sarifFound + "'", command.Options{}, scan.Findings, nil, ""},
		"found by another code":           {"echo '" + sarifFound + "'; exit 9", command.Options{FoundCodes: []int{8, 9}}, scan.Findings, nil, ""},
		"says found, reports nothing":     {"echo '" + sarifClean + "'; echo 'cannot open rules' >&2; exit 1", command.Options{}, "", scan.ErrBroken, "cannot open rules"},
		"report says it broke":            {"echo '" + sarifBroke + "'", command.Options{}, "", scan.ErrBroken, "did not complete"},
		"unknown code":                    {"echo '" + sarifFound + "'; exit 3", command.Options{}, "", scan.ErrBroken, "exit code 3"},
		"crash":                           {"echo '" + sarifFound + "'; kill -ABRT $$", command.Options{}, "", scan.ErrBroken, "aborted"},
		"no output":                       {"exit 0", command.Options{}, "", scan.ErrOutput, "empty"},
		"no file":                         {"exit 0", command.Options{Args: []string{"{output}"}}, "", scan.ErrOutput, "wrote no report"},
		"another format":                  {"echo '<html>'", command.Options{}, "", scan.ErrOutput, "unknown format"},
		"another format than was named":   {"echo '" + sarifFound + "'", command.Options{Format: "trivy"}, "", scan.ErrOutput, "the report is sarif, not trivy"},
		"warnings before the report":      {"echo 'WARN rules are old'; echo '" + sarifClean + "'", command.Options{}, "", scan.ErrOutput, "unknown format"},
		"two reports":                     {"echo '" + sarifClean + sarifClean + "'", command.Options{}, "", scan.ErrOutput, ""},
		"half a report":                   {"printf '%s' '" + sarifFound[:90] + "'", command.Options{}, "", scan.ErrOutput, ""},
		"full report, then out of memory": {"echo '" + sarifClean + "'; exit 137", command.Options{}, "", scan.ErrBroken, "exit code 137"},
		"an error in place of a report":   {`echo '{"error":"quota exceeded"}'`, command.Options{}, "", scan.ErrOutput, "unknown format"},
		"a log of no runs":                {`echo '{"version":"2.1.0","runs":[]}'`, command.Options{}, "", scan.ErrOutput, ""},
		"a run of no results":             {`echo '{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}}}]}'`, command.Options{}, "", scan.ErrBroken, "did not complete"},
		"tests":                           {`echo '<testsuite name="s"><testcase name="a"/></testsuite>'`, command.Options{}, scan.Clean, nil, ""},
		"a failed test":                   {`echo '<testsuite name="s"><testcase name="a"><failure/></testcase></testsuite>'; exit 1`, command.Options{}, scan.Findings, nil, ""},
		"tests of which none was run":     {`echo '<testsuites/>'`, command.Options{}, "", scan.ErrOutput, "no test"},
		"coverage of nothing":             {`echo 'mode: set'`, command.Options{Format: "coverprofile"}, "", scan.ErrOutput, "no coverage"},
		"an empty list, format named":     {"echo '[]'", command.Options{Format: "gitleaks"}, scan.Clean, nil, ""},
		"an empty list of who knows what": {"echo '[]'", command.Options{}, "", scan.ErrOutput, "unknown format"},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := tool(t, tc.body, tc.o).Scan(t.Context(), target(t))
			if tc.kind != nil {
				require.ErrorIs(t, err, tc.kind)
				assert.ErrorContains(t, err, tc.says)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.status, res.Status)
			assert.Equal(t, "1.5.0", res.Version)
			assert.Equal(t, "1.5.0", res.Report.Runs[0].Version)
		})
	}
}

// The target's path reaches the tool as it is, and never as an option.
func TestScan_oddPaths(t *testing.T) {
	base := t.TempDir()
	t.Chdir(base)
	require.NoError(t, os.Symlink("real", "link"))
	require.NoError(t, os.Mkdir("real", 0o755))
	_, err := tool(t, `test "$1" = "`+base+`/real" || exit 9; echo '`+sarifClean+"'", command.Options{Args: []string{"{target}"}}).Scan(t.Context(), scan.Target{Kind: scan.Dir, Path: "link"})
	require.NoError(t, err, "a tool that walks would not follow the link it is started at")
	for _, name := range []string{"-rf", "two words", "new\nline", "$(id)", "'quoted'"} {
		require.NoError(t, os.Mkdir(name, 0o755))
		s := tool(t, `printf '%s' "$1" > "$2.seen"; cp "$2.seen" "`+base+`/seen"; pwd > "`+base+`/cwd"; echo '`+sarifClean+"'", command.Options{Args: []string{"{target}", filepath.Join(base, "x")}})
		_, err := s.Scan(t.Context(), scan.Target{Kind: scan.Dir, Path: name})
		require.NoError(t, err)
		b, err := os.ReadFile("seen")
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(base, name), string(b))
		b, err = os.ReadFile("cwd")
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(base, name)+"\n", string(b))
	}
	_, err = tool(t, "", command.Options{}).Scan(t.Context(), scan.Target{Kind: scan.Dir, Path: "gone"})
	require.ErrorIs(t, err, scan.ErrTarget)
}

func TestNew_bad(t *testing.T) {
	_, err := command.New(&command.Options{Tool: command.Tool{Min: "1"}, Format: "nonsense", FoundCodes: []int{0}, MaxReport: -1})
	require.ErrorIs(t, err, scan.ErrConfig)
	for _, says := range []string{"Tool.Name", "VersionArgs", "Format", "FoundCodes", "MaxReport"} {
		assert.ErrorContains(t, err, says)
	}
	_, err = command.New(nil)
	require.ErrorIs(t, err, scan.ErrConfig)
}

// A gigabyte of output must cost neither the memory nor the time to read it.
func TestScan_gigabyte(t *testing.T) {
	start := time.Now()
	_, err := tool(t, `head -c 1073741824 /dev/zero`, command.Options{MaxReport: 1 << 20}).Scan(t.Context(), target(t))
	require.ErrorIs(t, err, scan.ErrTooLarge)
	assert.ErrorContains(t, err, "1048576")
	assert.Less(t, time.Since(start), 20*time.Second)
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err := command.ReadFile(pipe, 10)
	require.ErrorContains(t, err, "not a regular file")
	_, err = command.ReadFile(filepath.Join(dir, "gone"), 10)
	require.ErrorIs(t, err, os.ErrNotExist)
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("0123456789"), 0o600))
	b, err := command.ReadFile(file, 10)
	require.NoError(t, err)
	assert.Len(t, b, 10)
	_, err = command.ReadFile(file, 9)
	require.ErrorContains(t, err, "file went past the cap of 9 bytes")
	assert.Equal(t, scan.ErrTooLarge, command.OutputKind(err))
}
