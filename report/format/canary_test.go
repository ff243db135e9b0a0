package format_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/ci"
	"github.com/waybill-dev/waybill/report/cobertura"
	"github.com/waybill-dev/waybill/report/format"
	"github.com/waybill-dev/waybill/report/gitlab"
	"github.com/waybill-dev/waybill/report/html"
	"github.com/waybill-dev/waybill/report/junit"
	"github.com/waybill-dev/waybill/report/markdown"
)

// canary stands in every secret of the samples, whatever the format.
const canary = "CANARY"

// writers are all there are.
var writers = map[string]func(ctx context.Context, t *testing.T, w io.Writer, s report.Source) error{
	"SARIF": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		return report.WriteSARIF(ctx, w, s)
	},
	"merge": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		_, err := report.Merge(ctx, w, []report.Source{s, s}, &report.MergeOptions{Dedupe: true})
		return err
	},
	"go-sarif": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		r := &report.Report{Runs: s.Head().Runs}
		for f, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			r.Findings = append(r.Findings, f)
		}
		log, err := r.SARIF(ctx)
		if err != nil {
			return err
		}
		return log.Write(w)
	},
	"CSV": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		return report.WriteCSV(ctx, w, s)
	},
	"JSON lines": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		return report.WriteJSONLines(ctx, w, s)
	},
	"HTML": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		return html.Write(ctx, w, s, nil)
	},
	"Markdown": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		return markdown.Write(ctx, w, s, nil)
	},
	"JUnit": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		return junit.Write(ctx, w, s, nil)
	},
	"Cobertura": func(_ context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		return cobertura.Write(w, s.Head().Coverage, nil)
	},
	"GitLab": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		return gitlab.Write(ctx, w, s, nil)
	},
	"GitLab secrets": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		return gitlab.Write(ctx, w, s, &gitlab.Options{Type: gitlab.SecretDetection})
	},
	"GitLab code quality": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		return gitlab.WriteCodeQuality(ctx, w, s)
	},
	"Azure DevOps": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		return ci.NewAzure(w).LogIssues(ctx, s, 1000)
	},
	"GitHub": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		return ci.Annotate(ctx, w, s, &ci.AnnotateOptions{Max: 1000})
	},
	"Scans tab": func(ctx context.Context, t *testing.T, w io.Writer, s report.Source) error {
		t.Helper()
		scans, err := ci.WriteScans(ctx, t.TempDir(), s, nil)
		for _, scan := range scans {
			data, err := os.ReadFile(scan.Path)
			require.NoError(t, err)
			_, _ = w.Write(append(data, scan.Path...))
		}
		return err
	},
	"gate": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		v, err := report.Policy{Fail: []report.Clause{{}}}.Gate(ctx, s)
		fmt.Fprintf(w, "%+v", v)
		return err
	},
	"Go": func(ctx context.Context, _ *testing.T, w io.Writer, s report.Source) error {
		for f, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%+v %+v %+v\n", f, f.Package, f.Suppressed)
		}
		return json.NewEncoder(w).Encode(s.Head())
	},
}

// No writer shows a secret that any reader read, and no error does.
func TestCanary(t *testing.T) {
	withSecret := map[string]bool{}
	for name, files := range samples(t) {
		for _, file := range files {
			in, err := os.ReadFile(file)
			require.NoError(t, err)
			if !bytes.Contains(in, []byte(canary)) {
				continue
			}
			withSecret[name] = true
			t.Run(file, func(t *testing.T) {
				for _, key := range [][]byte{nil, []byte("key")} {
					f, err := format.Open(t.Context(), file, &format.ReadOptions{Options: report.Options{SecretKey: key}})
					require.NoError(t, err)
					defer f.Close()
					for name, write := range writers {
						var out bytes.Buffer
						require.NoError(t, write(t.Context(), t, &out, f), name)
						assert.NotContains(t, out.String(), canary, "%s shows the secret", name)
						if len(f.Head().Runs) > 0 { // not every writer writes tests
							assert.NotEmpty(t, out.String(), name)
						}
					}
				}
				for n := range in {
					if n%37 == 0 {
						_, err := format.Read(t.Context(), bytes.NewReader(in[:n]), nil)
						if err != nil {
							assert.NotContains(t, err.Error(), canary)
						}
						_, err = format.Read(t.Context(), strings.NewReader(string(in[:n])+"\x00"+string(in[n:])), nil)
						if err != nil {
							assert.NotContains(t, err.Error(), canary)
						}
					}
				}
			})
		}
	}
	for _, name := range []string{"gitleaks", "gitlab", "gosec", "junit", "sarif", "semgrep", "trivy", "trivyoperator"} {
		assert.True(t, withSecret[name], "no sample of %s holds a secret", name)
	}
}
