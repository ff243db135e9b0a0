package sonarqubetest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/sonarqube"
)

// Backend is a server, fake or real, that [TestBackend] asks.
type Backend struct {
	URL   string
	Token string
	// Analyse analyses a project and returns a directory that holds .scannerwork/report-task.txt. A clean
	// project has nothing to find and passes its gate. The other one has at least one issue and one security
	// hotspot in the file app.py, and fails its gate because of violations.
	Analyse func(tb testing.TB, project string, clean bool) (dir string)
	// Empty does the same for a project without a file of a language the server knows.
	Empty func(tb testing.TB, project string) (dir string)
}

// TestBackend is the suite that the fake and a real SonarQube pass: what package sonarqube makes of the server's
// answers, and the shape of those answers.
func TestBackend(t *testing.T, b Backend) {
	t.Helper()
	ask := func(t *testing.T, dir string, o sonarqube.Options) (*scan.Result, error) {
		t.Helper()
		o.URL, o.Poll = b.URL, 100*time.Millisecond
		if o.Token == nil {
			o.Token = func(context.Context) (string, error) { return b.Token, nil }
		}
		s, err := sonarqube.New(&o)
		if err != nil {
			t.Fatal(err)
		}
		return s.Scan(t.Context(), scan.Target{Kind: scan.Dir, Path: dir})
	}
	clean := b.Analyse(t, "suite-clean", true)
	dirty := b.Analyse(t, "suite-dirty", false)

	t.Run("gate passed", func(t *testing.T) {
		res, err := ask(t, clean, sonarqube.Options{ProjectKey: "suite-clean"})
		if err != nil {
			t.Fatal(err)
		}
		if res.Status != scan.Clean || len(res.Report.Findings) != 0 || res.Version == "" {
			t.Errorf("got %q with %+v, version %q", res.Status, res.Report.Findings, res.Version)
		}
	})
	t.Run("gate failed", func(t *testing.T) {
		res, err := ask(t, dirty, sonarqube.Options{ProjectKey: "suite-dirty"})
		if err != nil {
			t.Fatal(err)
		}
		if res.Status != scan.Findings {
			t.Errorf("got %q", res.Status)
		}
		gate, placed := 0, 0
		for _, f := range res.Report.Findings {
			if f.Rule == "quality-gate:violations" && f.Category == report.CategoryPolicy {
				gate++
			}
			if f.Location.Path == "app.py" && f.Location.StartLine > 0 && f.Message != "" {
				placed++
			}
		}
		if gate != 1 || placed < 2 {
			t.Errorf("%d findings on the gate, %d issues and hotspots in app.py: %+v", gate, placed, res.Report.Findings)
		}
		without, err := ask(t, dirty, sonarqube.Options{ProjectKey: "suite-dirty", SkipHotspots: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(without.Report.Findings) >= len(res.Report.Findings) {
			t.Error("the hotspots make no difference")
		}
	})
	t.Run("empty analysis", func(t *testing.T) {
		empty := b.Empty(t, "suite-empty")
		res, err := ask(t, empty, sonarqube.Options{ProjectKey: "suite-empty"})
		expect(t, err, scan.ErrBroken)
		if res != nil && res.Status != scan.Failed {
			t.Errorf("got %q", res.Status)
		}
		res, err = ask(t, empty, sonarqube.Options{ProjectKey: "suite-empty", AllowEmpty: true})
		if err != nil {
			t.Fatal(err)
		}
		if res.Status != scan.Clean {
			t.Errorf("got %q with AllowEmpty", res.Status)
		}
	})
	t.Run("wrong token", func(t *testing.T) {
		_, err := ask(t, clean, sonarqube.Options{ProjectKey: "suite-clean", Token: func(context.Context) (string, error) { return "squ_wrong", nil }})
		expect(t, err, scan.ErrDenied)
	})
	t.Run("another project", func(t *testing.T) {
		_, err := ask(t, clean, sonarqube.Options{ProjectKey: "suite-dirty"})
		expect(t, err, scan.ErrTarget)
	})
	t.Run("unknown task", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "report-task.txt"), []byte("projectKey=suite-clean\nceTaskId=nope\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ask(t, dir, sonarqube.Options{ProjectKey: "suite-clean", ReportTask: "report-task.txt"})
		expect(t, err, scan.ErrTarget)
	})
	t.Run("unknown branch", func(t *testing.T) {
		_, err := ask(t, clean, sonarqube.Options{ProjectKey: "suite-clean", Branch: "nope", SkipHotspots: true})
		expect(t, err, scan.ErrTarget)
	})
	t.Run("main branch by its name", func(t *testing.T) {
		res, err := ask(t, clean, sonarqube.Options{ProjectKey: "suite-clean", Branch: "main"})
		if err != nil {
			t.Fatal(err)
		}
		if res.Status != scan.Clean {
			t.Errorf("got %q", res.Status)
		}
	})
	t.Run("answers", func(t *testing.T) { b.testAnswers(t) })
}

// testAnswers looks at statuses and members the client depends on.
func (b Backend) testAnswers(t *testing.T) {
	for _, c := range []struct {
		path   string
		status int
		has    []string // members, by their path
		says   string
	}{
		{"/api/server/version", 200, nil, "."},
		{"/api/issues/search?components=suite-dirty&ps=1&facets=types,severities,rules&additionalFields=rules", 200, []string{"paging.total", "issues", "components", "rules", "facets"}, `"property":"types"`},
		{"/api/issues/search?components=suite-dirty&ps=500&p=21", 400, []string{"errors"}, "Can return only the first 10000 results"},
		{"/api/issues/search?components=suite-dirty&ps=501", 400, []string{"errors"}, "must be less than 500"},
		{"/api/issues/search?components=suite-dirty&branch=nope", 200, []string{"issues"}, `"total":0`},
		{"/api/hotspots/search?projectKey=suite-dirty", 200, []string{"paging.total", "hotspots", "components"}, `"status":"TO_REVIEW"`},
		{"/api/hotspots/search?projectKey=suite-dirty&branch=nope", 404, []string{"errors"}, ""},
		{"/api/components/tree?component=suite-dirty&qualifiers=FIL", 200, []string{"paging.total", "components"}, `"path":"app.py"`},
		{"/api/qualitygates/project_status?projectKey=suite-dirty", 200, []string{"projectStatus.status", "projectStatus.conditions"}, `"metricKey":"violations"`},
		{"/api/qualitygates/project_status?projectKey=nope", 404, []string{"errors"}, "not found"},
		{"/api/project_branches/list?project=suite-dirty", 200, []string{"branches"}, `"isMain":true`},
		{"/api/ce/task?id=nope", 404, []string{"errors"}, "No activity found"},
		{"/api/measures/component?component=suite-dirty&metricKeys=violations", 200, []string{"component.measures"}, `"metric":"violations"`},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+b.Token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s: status %d, want %d with %q: %.300s", c.path, resp.StatusCode, c.status, c.says, body)
		}
		for _, path := range c.has {
			if !has(body, strings.Split(path, ".")) {
				t.Errorf("%s: no %s in %.300s", c.path, path, body)
			}
		}
	}
}

func has(body []byte, path []string) bool {
	var doc map[string]json.RawMessage
	if json.Unmarshal(body, &doc) != nil || doc[path[0]] == nil {
		return false
	}
	return len(path) == 1 || has(doc[path[0]], path[1:])
}

func expect(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got the error %v, want %v", err, kind)
	}
}
