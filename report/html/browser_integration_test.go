//go:build integration

package html_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/html"
	"github.com/waybill-dev/waybill/report/internal/sample"
)

// browser opens a page in a real browser. What the page logs, throws or tries to load is in trouble.
func browser(t *testing.T, page string, tasks ...chromedp.Action) (trouble []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(path, []byte(page), 0o600))
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(testbed.Debian(t, "chromium", "chromium")), chromedp.NoSandbox, chromedp.WindowSize(1400, 1500))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	address := (&url.URL{Scheme: "file", Path: path}).String()
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			trouble = append(trouble, e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			trouble = append(trouble, fmt.Sprint("console: ", e.Type))
		case *network.EventRequestWillBeSent:
			if e.Request.URL != address {
				trouble = append(trouble, "request: "+e.Request.URL)
			}
		}
	})
	all := append([]chromedp.Action{network.Enable(), chromedp.Navigate(address), chromedp.WaitReady("html.ready", chromedp.ByQuery)}, tasks...)
	require.NoError(t, chromedp.Run(ctx, all...))
	return trouble
}

// cells reads a column (counted from 1) of the rows in sight.
func cells(column int, into *[]string) chromedp.Action {
	return chromedp.Evaluate(fmt.Sprintf(`[...document.querySelectorAll('#rows tr[data-i] td:nth-child(%d)')].map(e => e.textContent)`, column), into)
}

func text(id string, into *string) chromedp.Action {
	return chromedp.Text("#"+id, into, chromedp.ByQuery)
}

// search types into the field and waits until the list has followed.
func search(words, count string) chromedp.Action {
	return chromedp.Tasks{
		chromedp.Evaluate(fmt.Sprintf(`(() => { const e = document.getElementById('search'); e.value = %q; e.dispatchEvent(new Event('input')) })()`, words), nil),
		counted(count),
	}
}

func counted(count string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		if err := chromedp.Poll(fmt.Sprintf(`document.getElementById('count').textContent.startsWith(%q)`, count+" of"), nil, chromedp.WithPollingTimeout(20*time.Second)).Do(ctx); err != nil {
			var is string
			_ = text("count", &is).Do(ctx)
			return fmt.Errorf("the page shows %q, not %s: %w", is, count, err)
		}
		return nil
	})
}

func click(selector string) chromedp.Action { return chromedp.Click(selector, chromedp.ByQuery) }

func change(script string) chromedp.Action {
	return chromedp.Evaluate("(() => {"+script+"; e.dispatchEvent(new Event('change'))})()", nil)
}

// crowd is the sample with n findings more.
func crowd(t *testing.T, n int) *report.Report {
	t.Helper()
	r := sample.Shop(t)
	severities := report.Severities()
	for i := range n {
		r.Findings = append(r.Findings, report.Finding{
			Run: i % 2, Rule: fmt.Sprintf("X%03d", i%37), Title: "Something that should not be done",
			Message:  fmt.Sprintf("Something that should not be done, in place %d", i),
			Severity: severities[i%len(severities)],
			Location: report.Location{Path: fmt.Sprintf("services/svc%d/file%d.go", i%11, i), StartLine: i%400 + 1},
		})
	}
	require.NoError(t, r.Normalize(t.Context(), nil))
	return r
}

func TestBrowser_filterSearchSort(t *testing.T) {
	out := page(t, crowd(t, 20_000), &html.Options{MaxFindings: 30_000})
	var severity, rule, place, tool []string
	var first, sorted, found, filtered, place1, place2, byTool, fixable, withOff, states []string
	var all, none, detail string
	var took float64
	trouble := browser(t, out,
		// At first the worst findings are on top, and only rows in sight are in the page.
		text("count", &all), cells(1, &severity), cells(2, &first),
		// Search: all words must occur, in any field.
		search("SVC1/ place 4005", "1"), cells(4, &found),
		search("", "20,004"), search("cve-2099-0001", "1"), cells(2, &rule),
		search("<b>nothing</b>", "0"), text("count", &none),
		search("", "20,004"),
		// Filters: severities, tool, fix, state, suppressed and absent.
		click(`button[data-sev=critical]`), click(`button[data-sev=high]`), counted("13,334"), cells(1, &filtered),
		click(`button[data-sev=critical]`), click(`button[data-sev=high]`), counted("20,004"),
		change(`const e = document.getElementById('tool'); e.value = [...e.options].find(o => o.text === 'gosec').value`), counted("10,002"), cells(5, &byTool),
		change(`const e = document.getElementById('tool'); e.value = ''`), counted("20,004"),
		change(`const e = document.getElementById('fix'); e.checked = true`), counted("1"), cells(2, &fixable),
		change(`const e = document.getElementById('fix'); e.checked = false`), counted("20,004"),
		change(`const e = document.getElementById('off'); e.checked = true`), counted("20,006"),
		search("gone", "1"), cells(3, &withOff),
		search("", "20,006"),
		change(`const e = document.getElementById('off'); e.checked = false`), counted("20,004"),
		change(`const e = document.getElementById('state'); e.value = 'new'`), counted("1"), cells(3, &states),
		change(`const e = document.getElementById('state'); e.value = ''`), counted("20,004"),
		// Sort: by a column, the other way round, digits as numbers.
		search("cmd/file", "1"), search("cmd/", "2"), search("svc1/file1", "1,013"),
		click(`th[data-key=p] button`), cells(4, &place1),
		click(`th[data-key=p] button`), cells(4, &place2),
		search("", "20,004"), click(`th[data-key=r] button`), cells(2, &sorted),
		// The list scrolls to its end.
		chromedp.Evaluate(`document.getElementById('scroll').scrollTop = 1e9`, nil),
		chromedp.Poll(`[...document.querySelectorAll('#rows tr[data-i]')].at(-1).getAttribute('aria-rowindex') === '20005'`, nil),
		cells(4, &place), cells(5, &tool),
		// A row shows its details, by mouse and by key.
		search("cve-2099-0001", "1"), click(`#rows tr[data-i]`), chromedp.WaitVisible("#detail", chromedp.ByQuery), text("detail", &detail),
		search("", "20,004"),
		// It stays quick.
		chromedp.Evaluate(`(() => { const t = performance.now(); const e = document.getElementById('off'); e.dispatchEvent(new Event('change')); return performance.now() - t })()`, &took),
	)
	assert.Empty(t, trouble)
	assert.Equal(t, "20,004 of 20,006 findings", all)
	assert.Equal(t, "critical", severity[0])
	assert.Less(t, len(severity), 100, "all rows are in the page")
	assert.Equal(t, "CVE-2099-0001", first[0], "the highest score comes first")
	assert.Equal(t, []string{"services/svc1/file4005.go:6"}, trim(found))
	assert.Equal(t, []string{"CVE-2099-0001"}, rule)
	assert.Equal(t, "0 of 20,006 findings", none)
	assert.NotContains(t, filtered, "critical")
	assert.NotContains(t, filtered, "high")
	assert.Equal(t, []string{"gosec"}, unique(byTool))
	assert.Equal(t, []string{"CVE-2099-0001"}, fixable)
	assert.Equal(t, []string{"goneabsent"}, withOff)
	assert.Contains(t, states[0], "Hard-coded credentialsnew")
	assert.Equal(t, "services/svc1/file1.go:2", place1[0])
	assert.Equal(t, "services/svc1/file12.go:13", place1[1], "file12 comes behind file1 and before file100")
	assert.NotEqual(t, place1[0], place2[0])
	assert.Equal(t, "CVE-2099-0001", sorted[0])
	assert.Equal(t, "X000", sorted[4])
	assert.NotEmpty(t, place)
	assert.NotEmpty(t, tool)
	assert.Contains(t, detail, "libx 1.0-r0")
	assert.Contains(t, detail, "1.1-r0")
	assert.Contains(t, detail, "https://example.org/CVE-2099-0001")
	t.Logf("filtering and sorting 20,006 findings took %.0f ms", took)
	assert.Less(t, took, 3000.0)
}

func trim(list []string) []string {
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if len(out) == 0 || out[len(out)-1] != s {
			out = append(out, s)
		}
	}
	return out
}

func TestBrowser_lightAndDark(t *testing.T) {
	var before, after, again string
	background := `getComputedStyle(document.body).backgroundColor`
	trouble := browser(t, page(t, sample.Shop(t), nil),
		chromedp.Evaluate(background, &before), click("#theme"), chromedp.Evaluate(background, &after), click("#theme"), chromedp.Evaluate(background, &again))
	assert.Empty(t, trouble)
	assert.Equal(t, before, again)
	assert.NotEqual(t, before, after)
}

// On a phone nothing sticks out, a finding shows what and where, and what was tapped comes into sight.
func TestBrowser_phone(t *testing.T) {
	var wide, detailTop float64
	var rows int
	var shown, inSight bool
	inside := `[...document.querySelectorAll('#rows tr[data-i]')].slice(0, 3).every(tr => [...tr.cells].every(td => { const r = td.getBoundingClientRect(); return r.width > 0 && r.left >= 0 && r.right <= innerWidth }))`
	trouble := browser(t, page(t, crowd(t, 20_000), &html.Options{MaxFindings: 30_000}),
		emulation.SetDeviceMetricsOverride(390, 844, 1, true),
		chromedp.Poll(`innerWidth === 390 && document.querySelector('#rows tr[data-i]').offsetHeight === 84`, nil),
		chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide),
		chromedp.Evaluate(inside, &shown),
		chromedp.Evaluate(`document.querySelectorAll('#rows tr[data-i]').length`, &rows),
		chromedp.Evaluate(`document.getElementById('scroll').scrollTop = 1e9`, nil),
		chromedp.Poll(`[...document.querySelectorAll('#rows tr[data-i]')].at(-1).getAttribute('aria-rowindex') === '20005'`, nil),
		click(`#rows tr[aria-rowindex="20005"]`), chromedp.WaitVisible("#detail", chromedp.ByQuery),
		chromedp.Evaluate(`document.getElementById('detail').getBoundingClientRect().top`, &detailTop),
		chromedp.Evaluate(`document.getElementById('detail').getBoundingClientRect().top < innerHeight`, &inSight),
	)
	assert.Empty(t, trouble)
	assert.LessOrEqual(t, wide, 390.0, "the page is wider than the screen")
	assert.True(t, shown, "a part of a finding is out of sight")
	assert.Less(t, rows, 100, "all rows are in the page")
	assert.True(t, inSight, "the details begin at %.0f, below the screen", detailTop)
}

// Nothing in a report runs, and nothing is loaded, whatever it holds.
func TestBrowser_hostile(t *testing.T) {
	r := sample.Hostile(t, strings.Join(sample.Evil, " "))
	var n, links int
	var shown string
	trouble := browser(t, page(t, r, &html.Options{Title: sample.Evil[0]}),
		click(`#rows tr[data-i]`), chromedp.WaitVisible("#detail", chromedp.ByQuery), chromedp.Text("#detail", &shown, chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelectorAll('img, iframe, svg, object, form').length`, &n),
		chromedp.Evaluate(`[...document.querySelectorAll('a')].filter(a => !/^https?:/.test(a.href)).length`, &links))
	assert.Empty(t, trouble)
	assert.Zero(t, n)
	assert.Zero(t, links)
	assert.Contains(t, shown, `<img src=x onerror=alert(1)>`)
}
