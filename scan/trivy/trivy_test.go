//go:build unix

package trivy_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/scantest"
	"github.com/waybill-dev/waybill/scan/trivy"
)

const (
	jsonClean = `{"SchemaVersion":2,"ArtifactName":"x","ArtifactType":"filesystem","Results":[{"Target":"go.mod","Class":"lang-pkgs","Type":"gomod","Packages":[{"Name":"a"}]}]}`
	jsonFound = `{"SchemaVersion":2,"ArtifactName":"x","ArtifactType":"filesystem","Metadata":{"OS":{"Family":"alpine","Name":"3.10","EOSL":true}},"Results":[{"Target":"go.mod","Class":"lang-pkgs","Type":"gomod","Packages":[{"Name":"a"}],"Vulnerabilities":[{"VulnerabilityID":"CVE-2099-0001","PkgName":"example.com/a","InstalledVersion":"1.0.0","FixedVersion":"1.0.1","Severity":"HIGH","Title":"bad","PkgIdentifier":{"PURL":"pkg:golang/example.com/a@1.0.0"}}]}]}`
)

// fake is a program that behaves like trivy as far as this package asks: it answers --version, keeps its
// arguments in a file, and runs body with $out set to where the report goes.
func fake(t *testing.T, body string) (path, argsFile string) {
	t.Helper()
	argsFile = filepath.Join(t.TempDir(), "args")
	return scantest.Script(t, "trivy", `if [ "$1" = --version ]; then echo 'Version: 0.68.2'; exit; fi
printf '%s\n' "$@" > `+argsFile+`
while [ $# -gt 0 ]; do case "$1" in --output) out=$2;; --format) format=$2;; esac; shift; done
`+body), argsFile
}

func write(report string) string { return "cat > \"$out\" <<'END'\n" + report + "\nEND" }

func scanner(t *testing.T, body string, o trivy.Options) *trivy.Scanner {
	t.Helper()
	if o.Path == "" {
		o.Path, _ = fake(t, body)
	}
	s, err := trivy.New(&o)
	require.NoError(t, err)
	return s
}

func dir(t *testing.T) scan.Target {
	t.Helper()
	return scan.Target{Kind: scan.Dir, Path: t.TempDir()}
}

func TestScanner(t *testing.T) {
	setup := func(body string, o trivy.Options) func() scantest.Setup {
		return func() scantest.Setup {
			return scantest.Setup{Scanner: scanner(t, body, o), Target: dir(t)}
		}
	}
	scantest.TestScanner(t, scantest.Harness{
		Clean:       setup(write(jsonClean), trivy.Options{}),
		Findings:    setup(write(jsonFound), trivy.Options{}),
		Broken:      setup("echo 'FATAL Fatal error: database error: --skip-db-update cannot be specified on the first run' >&2; exit 1", trivy.Options{}),
		HugeOutput:  setup(`yes | head -c 20000 > "$out"`, trivy.Options{MaxReport: 10000}),
		MissingTool: setup("", trivy.Options{Path: "/nowhere/trivy"}),
		WrongVersion: func() scantest.Setup {
			return scantest.Setup{Scanner: scanner(t, "", trivy.Options{Path: scantest.Script(t, "trivy", "echo 'Version: 0.35.0'")}), Target: dir(t)}
		},
		Slow: func() scantest.Setup {
			started := filepath.Join(t.TempDir(), "started")
			return scantest.Setup{
				Scanner: scanner(t, "touch "+started+"; sleep 600", trivy.Options{}), Target: dir(t),
				Started: func() bool { _, err := os.Stat(started); return err == nil },
			}
		},
		Secret: func() scantest.Setup {
			o := trivy.Options{Username: "robot", Password: func(context.Context) (string, error) { return "hunter2-hunter2", nil }}
			s := scanner(t, `echo "login $TRIVY_USERNAME:$TRIVY_PASSWORD refused" >&2; exit 1`, o)
			return scantest.Setup{Scanner: s, Target: scan.Target{Kind: scan.Image, Path: "web:1"}, Secret: "hunter2-hunter2"}
		},
		Unsupported: func() scantest.Setup {
			return scantest.Setup{Scanner: scanner(t, "", trivy.Options{}), Target: scan.Target{Kind: scan.Staged, Path: "."}}
		},
	})
}

func TestScan_outcomes(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		kind error
		says string
	}{
		"half a report":   {`printf '{"SchemaVersion":2,"Results":[{"Target":' > "$out"`, scan.ErrOutput, "unexpected end"},
		"null":            {write("null"), scan.ErrOutput, "schema version 0"},
		"an old report":   {write("[]"), scan.ErrOutput, "no JSON of Trivy's"},
		"another's JSON":  {write(`{"results":[]}`), scan.ErrOutput, "schema version 0"},
		"warnings first":  {write("WARN old database\n" + jsonClean), scan.ErrOutput, ""},
		"full and killed": {write(jsonClean) + "\nkill -9 $$", scan.ErrBroken, "killed"},
		"no report":       {"exit 0", scan.ErrOutput, "wrote no report"},
		"empty report":    {`: > "$out"`, scan.ErrOutput, "empty"},
		"another format":  {write("<html>"), scan.ErrOutput, ""},
		"last words":      {"echo 'one'; echo 'FATAL no such image' >&2; exit 1", scan.ErrBroken, "no such image"},
		"killed":          {"kill -9 $$", scan.ErrBroken, "killed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scanner(t, tc.body, trivy.Options{}).Scan(t.Context(), dir(t))
			require.ErrorIs(t, err, tc.kind)
			assert.ErrorContains(t, err, tc.says)
		})
	}
	_, err := scanner(t, "", trivy.Options{}).Scan(t.Context(), scan.Target{Kind: scan.Layout, Path: "gone"})
	require.ErrorIs(t, err, scan.ErrTarget)
}

func TestScan_notes(t *testing.T) {
	res, err := scanner(t, write(jsonFound), trivy.Options{}).Scan(t.Context(), dir(t))
	require.NoError(t, err)
	assert.Equal(t, []string{"alpine 3.10 has reached its end of life: no more repairs"}, res.Notes)

	const nothing = `{"SchemaVersion":2,"ArtifactName":"x","Results":[]}`
	_, err = scanner(t, write(nothing), trivy.Options{}).Scan(t.Context(), dir(t))
	require.ErrorIs(t, err, scan.ErrSkipped, "no vulnerable package in nothing is no news")
	res, err = scanner(t, write(nothing), trivy.Options{Checks: []trivy.Check{trivy.Vulnerabilities, trivy.Secrets}}).Scan(t.Context(), dir(t))
	require.NoError(t, err)
	assert.Equal(t, scan.Clean, res.Status, "there may have been files to look for secrets in")
	assert.Equal(t, []string{"Trivy recognised no packages"}, res.Notes)
}

func TestScan_arguments(t *testing.T) {
	target := dir(t)
	require.NoError(t, os.WriteFile(filepath.Join(target.Path, ".trivyignore"), []byte("CVE-1\n"), 0o600))
	bom := filepath.Join(target.Path, "bom.json")
	require.NoError(t, os.WriteFile(bom, nil, 0o600))
	base := t.TempDir()
	t.Chdir(base)
	require.NoError(t, os.WriteFile("ignore", nil, 0o600))
	for name, tc := range map[string]struct {
		target   scan.Target
		o        trivy.Options
		has, not []string
	}{
		"directory": {
			target,
			trivy.Options{},
			[]string{"fs", "--scanners vuln", "--ignorefile " + filepath.Join(target.Path, ".trivyignore"), "-- " + target.Path},
			[]string{"--skip-db-update", "--severity", "--cache-dir"},
		},
		"all options": {
			target,
			trivy.Options{
				Checks: []trivy.Check{trivy.Vulnerabilities, trivy.Secrets}, CacheDir: "cache", Severities: []report.Severity{report.SeverityHigh, report.SeverityCritical},
				IgnoreUnfixed: true, IgnoreFile: "ignore", Offline: true,
			},
			[]string{"--scanners vuln,secret", "--cache-dir " + base + "/cache", "--severity HIGH,CRITICAL", "--ignore-unfixed", "--ignorefile " + base + "/ignore", "--offline-scan", "--skip-db-update", "--skip-java-db-update", "--skip-check-update"},
			[]string{".trivyignore"},
		},
		"target's options unread": {target, trivy.Options{IgnoreTargetOptions: true}, []string{"fs"}, []string{"--ignorefile"}},
		"image": {
			scan.Target{Kind: scan.Image, Path: "web:1"},
			trivy.Options{Platform: "linux/arm64", AllowInsecureRegistry: true},
			[]string{"image --image-src remote --platform linux/arm64", "--insecure", "--cache-backend memory", "-- web:1"},
			nil,
		},
		"bill of materials": {scan.Target{Kind: scan.SBOM, Path: bom}, trivy.Options{Offline: true}, []string{"sbom", "-- " + bom}, []string{"--skip-check-update"}},
		"archive":           {scan.Target{Kind: scan.Archive, Path: bom}, trivy.Options{}, []string{"image --input archive.tar"}, []string{bom}},
	} {
		t.Run(name, func(t *testing.T) {
			var argsFile string
			tc.o.Path, argsFile = fake(t, write(jsonClean))
			_, err := scanner(t, "", tc.o).Scan(t.Context(), tc.target)
			require.NoError(t, err)
			b, err := os.ReadFile(argsFile)
			require.NoError(t, err)
			args := strings.ReplaceAll(string(b), "\n", " ")
			for _, s := range tc.has {
				assert.Contains(t, args, s)
			}
			for _, s := range tc.not {
				assert.NotContains(t, args, s)
			}
		})
	}
}

// Trivy says nothing about an ignore file that is not there, and then leaves out nothing.
func TestScan_noIgnoreFile(t *testing.T) {
	_, err := scanner(t, write(jsonClean), trivy.Options{IgnoreFile: "gone"}).Scan(t.Context(), dir(t))
	require.ErrorIs(t, err, scan.ErrConfig)
	assert.ErrorContains(t, err, "IgnoreFile")
}

// The logins made for this process count at a registry, wherever they are.
func TestScan_dockerConfig(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	require.NoError(t, err)
	t.Setenv("DOCKER_CONFIG", "logins")
	_, err = scanner(t, `test "$DOCKER_CONFIG" = "`+here+`/logins" || exit 9`+"\n"+write(jsonClean), trivy.Options{}).Scan(t.Context(), scan.Target{Kind: scan.Image, Path: "web:1"})
	require.NoError(t, err)
	_, err = scanner(t, `test -z "$DOCKER_CONFIG" || exit 9`+"\n"+write(jsonClean), trivy.Options{}).Scan(t.Context(), dir(t))
	require.NoError(t, err)
}

// Whatever a path is called, Trivy gets it as one argument that is no option.
func TestScan_oddPaths(t *testing.T) {
	base := t.TempDir()
	t.Chdir(base)
	require.NoError(t, os.Mkdir("real", 0o755))
	require.NoError(t, os.Symlink("real", "link"))
	for name, want := range map[string]string{"-rf": "-rf", "two words": "two words", "new\nline": "new\nline", "a:b@c": "a:b@c", "link": "real"} {
		if name != "link" {
			require.NoError(t, os.Mkdir(name, 0o755))
		}
		path, argsFile := fake(t, write(jsonClean))
		_, err := scanner(t, "", trivy.Options{Path: path}).Scan(t.Context(), scan.Target{Kind: scan.Dir, Path: name})
		require.NoError(t, err)
		b, err := os.ReadFile(argsFile)
		require.NoError(t, err)
		assert.True(t, strings.HasSuffix(string(b), "\n--\n"+filepath.Join(base, want)+"\n"), "%q: %s", name, b)
	}
}

func TestScan_sbom(t *testing.T) {
	body := `case "$format" in json) ` + write(jsonClean) + "\n;; *) echo \"{\\\"made\\\":\\\"$format\\\"}\" > \"$out\";; esac"
	res, err := scanner(t, body, trivy.Options{SBOM: []trivy.SBOMFormat{trivy.CycloneDX, trivy.SPDX}}).Scan(t.Context(), dir(t))
	require.NoError(t, err)
	require.Len(t, res.Artifacts, 2)
	assert.Equal(t, "sbom.cdx.json", res.Artifacts[0].Name)
	assert.JSONEq(t, `{"made":"cyclonedx"}`, string(res.Artifacts[0].Data))
	assert.Equal(t, "application/spdx+json", res.Artifacts[1].MediaType)
	assert.JSONEq(t, `{"made":"spdx-json"}`, string(res.Artifacts[1].Data))
}

// Every image of a layout is scanned, and nothing else in it.
func TestScan_layout(t *testing.T) {
	const digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	layout := filepath.Join(t.TempDir(), "a:b@c")
	blobs := filepath.Join(layout, "blobs", "sha256")
	require.NoError(t, os.MkdirAll(blobs, 0o755))
	put := func(path string, v any) {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, b, 0o600))
	}
	image := func(os, arch string) map[string]any {
		return map[string]any{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1, "platform": map[string]any{"os": os, "architecture": arch}}
	}
	index := func(manifests ...any) map[string]any {
		return map[string]any{"schemaVersion": 2, "manifests": manifests}
	}
	put(filepath.Join(blobs, strings.Repeat("2", 64)), index(image("linux", "amd64"), image("linux", "arm64"), image("unknown", "unknown")))
	put(filepath.Join(layout, "index.json"), index(map[string]any{
		"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:" + strings.Repeat("2", 64), "size": 1,
	}))
	target := scan.Target{Kind: scan.Layout, Path: layout}

	res, err := scanner(t, `grep -q 'linux' layout-0/index.json && test -d layout-0/blobs/sha256 || exit 3
`+write(jsonFound), trivy.Options{}).Scan(t.Context(), target)
	require.NoError(t, err)
	require.Len(t, res.Report.Runs, 2)
	assert.Equal(t, []string{"linux/amd64", "linux/arm64"}, []string{res.Report.Runs[0].Category, res.Report.Runs[1].Category})
	require.Len(t, res.Report.Findings, 2)
	assert.Equal(t, 1, res.Report.Findings[1].Run)

	for name, content := range map[string]string{
		"no image":     `{"schemaVersion":2,"manifests":[]}`,
		"no JSON":      "<html>",
		"no digest":    `{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"../../etc/passwd"}]}`,
		"missing blob": `{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:33"}]}`,
		"itself":       `{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:44"}]}`,
		"too large":    `{"x":"` + strings.Repeat("x", 5<<20) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(filepath.Join(layout, "index.json"), []byte(content), 0o600))
			put(filepath.Join(blobs, "44"), index(map[string]any{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:44"}))
			_, err := scanner(t, write(jsonFound), trivy.Options{}).Scan(t.Context(), target)
			require.ErrorIs(t, err, scan.ErrTarget)
		})
	}
}

func TestNew_bad(t *testing.T) {
	_, err := trivy.New(&trivy.Options{Checks: []trivy.Check{"x"}, SBOM: []trivy.SBOMFormat{"y"}, Severities: []report.Severity{report.SeverityInfo}, Username: "u", MaxReport: -1})
	require.ErrorIs(t, err, scan.ErrConfig)
	for _, says := range []string{"Checks", "SBOM", "Severities", "Password", "MaxReport"} {
		assert.ErrorContains(t, err, says)
	}
}
