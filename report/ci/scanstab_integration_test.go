//go:build integration

package ci_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/ci"
	"github.com/waybill-dev/waybill/report/internal/sample"
)

// scansTab shows the folder in the viewer that is inside the Scans tab, with its filters as the tab sets them
// or all open, and returns the text it shows.
func scansTab(t *testing.T, s report.Source, all bool) (shown string, trouble []string) {
	t.Helper()
	dir := t.TempDir()
	scans, err := ci.WriteScans(t.Context(), dir, s, nil)
	require.NoError(t, err)
	var logs []json.RawMessage
	for _, scan := range scans {
		data, err := os.ReadFile(scan.Path)
		require.NoError(t, err)
		logs = append(logs, data)
	}
	data, err := json.Marshal(logs) // escapes what could end the element
	require.NoError(t, err)
	filter := `{Baseline:{value:['new','updated','absent']},Level:{value:['error','warning']},Suppression:{value:['unsuppressed']}}`
	if all {
		filter = `{Baseline:{value:['new','unchanged','updated','absent']},Level:{value:['error','warning','note','none']},Suppression:{value:['unsuppressed','suppressed']}}`
	}
	var page strings.Builder
	page.WriteString(`<!DOCTYPE html><meta charset="utf-8"><div id="app"></div>`)
	for _, lib := range []testbed.Spec{testbed.React, testbed.ReactDOM, testbed.SARIFViewer} {
		src := url.URL{Scheme: "file", Path: testbed.Require(t, lib).Path}
		page.WriteString(`<script src="` + src.String() + `"></script>`)
	}
	page.WriteString(`<script type="application/json" id="logs">` + string(data) + `</script><script>
		const logs = JSON.parse(document.getElementById('logs').textContent);
		// The viewer unfolds its first card only, so each log gets a viewer.
		for (const log of logs) {
			const box = document.getElementById('app').appendChild(document.createElement('div'));
			ReactDOM.render(React.createElement(Viewer, {logs: [log], filterState: ` + filter + `, showSuppression: true}), box);
		}
	</script>`)
	path := filepath.Join(dir, "tab.html")
	require.NoError(t, os.WriteFile(path, []byte(page.String()), 0o600))

	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(testbed.Debian(t, "chromium", "chromium")),
		chromedp.NoSandbox, chromedp.WindowSize(1400, 3000), chromedp.Flag("allow-file-access-from-files", true))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	chromedp.ListenTarget(ctx, func(event any) {
		if e, ok := event.(*runtime.EventExceptionThrown); ok {
			trouble = append(trouble, e.ExceptionDetails.Error())
		}
	})
	require.NoError(t, chromedp.Run(ctx,
		chromedp.Navigate((&url.URL{Scheme: "file", Path: path}).String()),
		chromedp.Poll(`document.getElementById('app').textContent.includes('Level')`, nil, chromedp.WithPollingTimeout(time.Minute)),
		// Rules are folded too.
		chromedp.Evaluate(`(async () => { for (let i = 0; i < 3; i++) {
			document.querySelectorAll('tr[aria-expanded="false"], table [aria-expanded="false"]').forEach(e => e.click());
			await new Promise(done => setTimeout(done, 300));
		} })()`, nil, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }),
		chromedp.Evaluate(`document.getElementById('app').innerText`, &shown)))
	return shown, trouble
}

func TestScansTab(t *testing.T) {
	shown, trouble := scansTab(t, sample.Shop(t), true)
	assert.Empty(t, trouble)
	for _, want := range []string{
		"gosec", "Trivy", "semgrep", "No results found", // a card each, and one for gitleaks
		"G204", "CVE-2099-0001", "style-1", "scan-incomplete",
		"Subprocess launched with a variable", "libx 1.0-r0: buffer overflow", "a matter of taste",
		"cmd", "/main.go", "New", "Absent", "semgrep did not complete",
	} {
		assert.Contains(t, shown, want)
	}
	assert.NotContains(t, shown, "(No Rule)")

	// As the tab starts: no notes, nothing suppressed.
	shown, trouble = scansTab(t, sample.Shop(t), false)
	assert.Empty(t, trouble)
	assert.Contains(t, shown, "CVE-2099-0001")
	assert.NotContains(t, shown, "style-1")
}

func TestScansTab_hostile(t *testing.T) {
	_, trouble := scansTab(t, sample.Hostile(t, strings.Join(sample.Evil, " ")), true)
	assert.Empty(t, trouble)
}

// Microsoft's own library reads each command as it was meant, whatever it carries.
func TestAzure_taskLib(t *testing.T) {
	lib := testbed.Require(t, testbed.AzureTaskLib).Path
	node := testbed.Debian(t, "nodejs", "node")
	type command struct {
		Command    string
		Properties map[string]string
		Message    string
	}
	for _, evil := range sample.Evil {
		var out bytes.Buffer
		a := ci.NewAzure(&out)
		require.NoError(t, a.LogIssue(report.LevelError, "m"+evil, "p"+evil, 7, 9, "c"+evil))
		line := strings.TrimSuffix(out.String(), "\n")
		cmd := exec.CommandContext(t.Context(), node, "-e",
			`const c = require(process.argv[1]).commandFromString(process.argv[2]); console.log(JSON.stringify({Command: c.command, Properties: c.properties, Message: c.message}))`, lib, line)
		got, err := cmd.Output()
		require.NoError(t, err, line)
		var c command
		require.NoError(t, json.Unmarshal(got, &c))
		assert.Equal(t, "task.logissue", c.Command)
		assert.Equal(t, "error", c.Properties["type"])
		assert.Equal(t, "7", c.Properties["linenumber"])
		assert.Len(t, c.Properties, 5, "%q makes the properties %v", evil, c.Properties)
		if !strings.ContainsAny(evil, "\x00\xff\x1b\u2028") && !strings.Contains(strings.ToLower(evil), "##") {
			assert.Equal(t, "m"+evil, c.Message)
			assert.Equal(t, "p"+evil, c.Properties["sourcepath"])
			assert.Equal(t, "c"+evil, c.Properties["code"])
		}
	}
}
