//go:build integration

package trivy_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/internal/testbed/trivydb"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/scantest"
	"github.com/waybill-dev/waybill/scan/trivy"
)

// alpine is an image in which Trivy sees Alpine with one package of the given version.
func alpine(t *testing.T, version string) v1.Image {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, content := range map[string]string{
		"etc/os-release":       "ID=alpine\nVERSION_ID=3.20.1\n",
		"etc/alpine-release":   "3.20.1\n",
		"lib/apk/db/installed": "P:libx\nV:" + version + "\nA:x86_64\no:libx\nL:MIT\n\n",
	} {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}))
		_, err := io.WriteString(w, content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	require.NoError(t, err)
	img, err := mutate.AppendLayers(empty.Image, layer)
	require.NoError(t, err)
	cfg, err := img.ConfigFile()
	require.NoError(t, err)
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture = "linux", "amd64"
	img, err = mutate.ConfigFile(img, cfg)
	require.NoError(t, err)
	return img
}

func found(r *report.Report) string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.Rule)
	}
	return strings.Join(out, " ")
}

func TestIntegration(t *testing.T) {
	path := testbed.Require(t, testbed.Trivy).Path
	cache := trivydb.New(t)
	offline := func(o trivy.Options) *trivy.Scanner {
		o.Path, o.CacheDir, o.Offline = path, cache, true
		s, err := trivy.New(&o)
		require.NoError(t, err)
		return s
	}
	work := t.TempDir()
	img := alpine(t, "1.0-r0")

	layoutDir := filepath.Join(work, "lay:out@1")
	lp, err := layout.Write(layoutDir, empty.Index)
	require.NoError(t, err)
	require.NoError(t, lp.AppendImage(img))
	archive := filepath.Join(work, "an archive:1.tar")
	tag, err := name.NewTag("example.com/web:1")
	require.NoError(t, err)
	require.NoError(t, tarball.WriteToFile(archive, tag, img))
	srv := httptest.NewServer(registry.New())
	t.Cleanup(srv.Close)
	ref := strings.TrimPrefix(srv.URL, "http://") + "/web:1"
	parsed, err := name.ParseReference(ref)
	require.NoError(t, err)
	require.NoError(t, remote.Write(parsed, img))

	for _, target := range []scan.Target{
		{Kind: scan.Layout, Path: layoutDir}, {Kind: scan.Archive, Path: archive}, {Kind: scan.Image, Path: ref},
	} {
		t.Run(string(target.Kind), func(t *testing.T) {
			res, err := offline(trivy.Options{}).Scan(t.Context(), target)
			require.NoError(t, err)
			assert.Equal(t, "0.68.2", res.Version)
			assert.ElementsMatch(t, []string{"CVE-2099-0001", "CVE-2099-0002"}, strings.Fields(found(res.Report)))
			f := res.Report.Findings[0]
			assert.Equal(t, report.SeverityHigh, f.Severity)
			assert.Equal(t, "1.1-r0", f.Package.Fixed)
			assert.True(t, strings.HasPrefix(f.Package.PURL, "pkg:apk/alpine/libx@1.0-r0"), f.Package.PURL)
		})
	}
	web := scan.Target{Kind: scan.Layout, Path: layoutDir}

	t.Run("severities", func(t *testing.T) {
		res, err := offline(trivy.Options{Severities: []report.Severity{report.SeverityLow}}).Scan(t.Context(), web)
		require.NoError(t, err)
		assert.Equal(t, "CVE-2099-0002", found(res.Report))
	})
	t.Run("unfixed", func(t *testing.T) {
		res, err := offline(trivy.Options{IgnoreUnfixed: true}).Scan(t.Context(), web)
		require.NoError(t, err)
		assert.Equal(t, "CVE-2099-0001", found(res.Report))
	})
	t.Run("ignore file", func(t *testing.T) {
		ignore := filepath.Join(t.TempDir(), "accepted")
		require.NoError(t, os.WriteFile(ignore, []byte("CVE-2099-0001\n"), 0o600))
		res, err := offline(trivy.Options{IgnoreFile: ignore}).Scan(t.Context(), web)
		require.NoError(t, err)
		assert.Equal(t, "CVE-2099-0002", found(res.Report))
	})
	t.Run("every image of a layout", func(t *testing.T) {
		both := filepath.Join(t.TempDir(), "both")
		lp, err := layout.Write(both, empty.Index)
		require.NoError(t, err)
		require.NoError(t, lp.AppendImage(alpine(t, "1.1-r0"), layout.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"})))
		require.NoError(t, lp.AppendImage(img, layout.WithPlatform(v1.Platform{OS: "linux", Architecture: "arm64"})))
		res, err := offline(trivy.Options{IgnoreUnfixed: true}).Scan(t.Context(), scan.Target{Kind: scan.Layout, Path: both})
		require.NoError(t, err)
		assert.Len(t, res.Report.Runs, 2)
		require.Equal(t, "CVE-2099-0001", found(res.Report))
		assert.Equal(t, "linux/arm64", res.Report.Runs[res.Report.Findings[0].Run].Category)
	})

	source := filepath.Join(work, "source tree")
	require.NoError(t, os.MkdirAll(source, 0o755))
	for name, content := range map[string]string{
		"go.mod":     "module example.com/app\n\ngo 1.22\n\nrequire example.com/lib v1.2.0\n",
		"Dockerfile": "FROM scratch\nUSER root\n",
		"key.env":    "AWS_ACCESS_KEY_ID=" + "AKIA" + "Q3ZL5XWT7MVN2KPB" + "\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(source, name), []byte(content), 0o600))
	}
	tree := scan.Target{Kind: scan.Dir, Path: source}

	t.Run("directory", func(t *testing.T) {
		res, err := offline(trivy.Options{}).Scan(t.Context(), tree)
		require.NoError(t, err)
		require.Equal(t, "CVE-2099-0003", found(res.Report))
		assert.Equal(t, "go.mod", res.Report.Findings[0].Location.Path)
	})
	t.Run("misconfigurations and secrets", func(t *testing.T) {
		res, err := offline(trivy.Options{Checks: []trivy.Check{trivy.Misconfigurations, trivy.Secrets}}).Scan(t.Context(), tree)
		require.NoError(t, err)
		assert.Contains(t, found(res.Report), "aws-access-key-id")
		assert.Regexp(t, `DS-?0*2\b`, found(res.Report))
		b, err := json.Marshal(res)
		require.NoError(t, err)
		assert.NotContains(t, string(b), "Q3ZL5XWT7MVN2KPB")
	})
	// Trivy is silent about what it cannot read; it must not become "clean".
	t.Run("broken input", func(t *testing.T) {
		broken := filepath.Join(t.TempDir(), "broken")
		lp, err := layout.Write(broken, empty.Index)
		require.NoError(t, err)
		require.NoError(t, lp.AppendImage(img))
		blobs, err := filepath.Glob(filepath.Join(broken, "blobs/sha256/*"))
		require.NoError(t, err)
		require.Len(t, blobs, 3)
		for _, blob := range blobs {
			b, err := os.ReadFile(blob)
			require.NoError(t, err)
			require.NoError(t, os.Chmod(blob, 0o600))
			require.NoError(t, os.WriteFile(blob, b[:len(b)/2], 0o600))
			_, err = offline(trivy.Options{}).Scan(t.Context(), scan.Target{Kind: scan.Layout, Path: broken})
			require.ErrorIs(t, err, scan.ErrBroken)
			require.NoError(t, os.WriteFile(blob, b, 0o600))
		}
		lock := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(lock, "package-lock.json"), []byte(`{"lockfileVersion": 3, "packages":`), 0o600))
		_, err = offline(trivy.Options{}).Scan(t.Context(), scan.Target{Kind: scan.Dir, Path: lock})
		require.ErrorIs(t, err, scan.ErrSkipped)
		text := filepath.Join(lock, "text.tar")
		require.NoError(t, os.WriteFile(text, []byte("hello"), 0o600))
		for _, k := range []scan.Kind{scan.Archive, scan.SBOM} {
			_, err = offline(trivy.Options{}).Scan(t.Context(), scan.Target{Kind: k, Path: text})
			require.ErrorIs(t, err, scan.ErrBroken)
		}
	})
	t.Run("bills of materials", func(t *testing.T) {
		res, err := offline(trivy.Options{SBOM: []trivy.SBOMFormat{trivy.CycloneDX, trivy.SPDX}}).Scan(t.Context(), web)
		require.NoError(t, err)
		require.Len(t, res.Artifacts, 2)
		var cdx struct {
			BOMFormat  string
			Components []struct{ Name, PURL string }
		}
		require.NoError(t, json.Unmarshal(res.Artifacts[0].Data, &cdx))
		assert.Equal(t, "CycloneDX", cdx.BOMFormat)
		assert.Contains(t, string(res.Artifacts[0].Data), "pkg:apk/alpine/libx@1.0-r0")
		assert.Contains(t, string(res.Artifacts[1].Data), "SPDX-2.3")

		bom := filepath.Join(t.TempDir(), res.Artifacts[0].Name)
		require.NoError(t, os.WriteFile(bom, res.Artifacts[0].Data, 0o600))
		again, err := offline(trivy.Options{}).Scan(t.Context(), scan.Target{Kind: scan.SBOM, Path: bom})
		require.NoError(t, err)
		assert.ElementsMatch(t, []string{"CVE-2099-0001", "CVE-2099-0002"}, strings.Fields(found(again.Report)))
	})
	t.Run("side by side", func(t *testing.T) {
		jobs := make([]scan.Job, 4)
		for i := range jobs {
			jobs[i] = scan.Job{Scanner: offline(trivy.Options{}), Target: web}
		}
		results, err := scan.Run(t.Context(), jobs, nil)
		require.NoError(t, err)
		for _, r := range results {
			assert.Len(t, r.Report.Findings, 2)
		}
	})

	t.Run("suite", func(t *testing.T) {
		clean := filepath.Join(t.TempDir(), "clean")
		lp, err := layout.Write(clean, empty.Index)
		require.NoError(t, err)
		require.NoError(t, lp.AppendImage(alpine(t, "1.1-r0")))
		setup := func(s *trivy.Scanner, target scan.Target) func() scantest.Setup {
			return func() scantest.Setup { return scantest.Setup{Scanner: s, Target: target} }
		}
		without, err := trivy.New(&trivy.Options{Path: path, CacheDir: t.TempDir(), Offline: true})
		require.NoError(t, err)
		secrets := setup(offline(trivy.Options{Checks: []trivy.Check{trivy.Secrets}}), tree)
		scantest.TestScanner(t, scantest.Harness{
			Clean:       setup(offline(trivy.Options{IgnoreUnfixed: true}), scan.Target{Kind: scan.Layout, Path: clean}),
			Findings:    setup(offline(trivy.Options{}), web),
			Broken:      setup(without, web),
			Slow:        setup(offline(trivy.Options{}), web),
			HugeOutput:  setup(offline(trivy.Options{MaxReport: 100}), web),
			Unsupported: setup(offline(trivy.Options{}), scan.Target{Kind: scan.Staged, Path: source}),
			Secret: func() scantest.Setup {
				s := secrets()
				s.Secret = "Q3ZL5XWT7MVN2KPB"
				return s
			},
			NotApplicable: map[string]string{"MissingTool": "it is there", "WrongVersion": "it is the right one"},
		})
	})
}
