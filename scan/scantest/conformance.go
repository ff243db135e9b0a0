package scantest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
)

// Setup is a scanner in one of the situations of the suite, and the target to give it.
type Setup struct {
	Scanner scan.Scanner
	Target  scan.Target

	Secret  string      // for Harness.Secret: what must not get out
	Started func() bool // for Harness.Slow: whether the scan is under way; nil cancels it right away
	Gone    func() bool // for Harness.Slow: whether what the scan started has ended; nil asks nothing
}

// Harness puts a scanner into the situations of [TestScanner]. Every situation is either there or explained in
// NotApplicable by the name of its field.
type Harness struct {
	Clean        func() Setup // there is nothing to find
	Findings     func() Setup // there is something to find
	Broken       func() Setup // the scanner, or the tool behind it, breaks half-way
	Slow         func() Setup // the scan takes minutes, unless it is cancelled
	HugeOutput   func() Setup // the tool writes more than the scanner's cap
	MissingTool  func() Setup // the tool is not installed
	WrongVersion func() Setup // the tool is of a version that is not supported
	Secret       func() Setup // a secret is in what the scanner sees, or in the tool's words
	Unsupported  func() Setup // a kind of target that is not for the scanner

	NotApplicable map[string]string // situation to reason
}

// TestScanner is the suite every scanner must pass. It checks the promises of [scan.Scanner], and those
// [scan.Run] makes about the result.
func TestScanner(t *testing.T, h Harness) {
	t.Helper()
	for _, c := range []struct {
		name  string
		setup func() Setup
		check func(*testing.T, Setup)
	}{
		{"Clean", h.Clean, checkClean},
		{"Findings", h.Findings, checkFindings},
		{"Broken", h.Broken, failsWith(scan.ErrBroken, scan.ErrOutput, scan.ErrUnavailable)},
		{"Slow", h.Slow, checkCancelled},
		{"HugeOutput", h.HugeOutput, failsWith(scan.ErrTooLarge)},
		{"MissingTool", h.MissingTool, failsWith(scan.ErrToolMissing)},
		{"WrongVersion", h.WrongVersion, checkVersion},
		{"Secret", h.Secret, checkSecret},
		{"Unsupported", h.Unsupported, checkSkipped},
	} {
		t.Run(c.name, func(t *testing.T) {
			reason := h.NotApplicable[c.name]
			switch {
			case c.setup == nil && reason == "":
				t.Fatalf("scantest: the harness has no %s and does not say why", c.name)
			case c.setup != nil && reason != "":
				t.Fatalf("scantest: the harness has %s and says that it is not applicable", c.name)
			case c.setup == nil:
				t.Logf("not applicable: %s", reason)
			default:
				c.check(t, c.setup())
			}
		})
	}
}

// outcome scans directly and through Run, and checks what holds for every outcome.
func outcome(t *testing.T, s Setup) (*scan.Result, error) {
	t.Helper()
	if s.Scanner.Name() == "" || strings.ContainsAny(s.Scanner.Name(), " \n") {
		t.Errorf("the name %q is no single word", s.Scanner.Name())
	}
	res, err := s.Scanner.Scan(t.Context(), s.Target)
	switch {
	case err == nil && res == nil:
		t.Fatal("no result and no error")
	case err == nil:
		if res.Status != scan.Clean && res.Status != scan.Findings {
			t.Errorf("status %q without an error", res.Status)
		}
		if res.Report == nil {
			t.Fatal("no report without an error")
		}
		if got := scan.StatusOf(res.Report); got != res.Status {
			t.Errorf("status %q, and the report says %q", res.Status, got)
		}
		if res.Scanner != s.Scanner.Name() || res.Target != s.Target {
			t.Errorf("the result is of %q on %v, not of %q on %v", res.Scanner, res.Target, s.Scanner.Name(), s.Target)
		}
	case res != nil && res.Status != scan.Failed:
		t.Errorf("status %q with the error %v", res.Status, err)
	}
	if err != nil {
		if _, ok := errors.AsType[*scan.Error](err); !ok {
			t.Errorf("the error is a %T, not a *scan.Error: %v", err, err)
		}
		if strings.Contains(err.Error(), "\n\n") || err.Error() == "" {
			t.Errorf("unfit for a message: %q", err)
		}
	}

	results, runErr := scan.Run(t.Context(), []scan.Job{{Scanner: s.Scanner, Target: s.Target}}, nil)
	if len(results) != 1 {
		t.Fatalf("Run returned %d results for one job", len(results))
	}
	if _, jsonErr := json.Marshal(results); jsonErr != nil {
		t.Errorf("the result cannot be written as JSON: %v", jsonErr)
	}
	want := scan.Failed
	switch {
	case err == nil:
		want = res.Status
	case errors.Is(err, scan.ErrSkipped):
		want = scan.Skipped
	}
	if results[0].Status != want {
		t.Errorf("Run says %q, not %q: %v", results[0].Status, want, runErr)
	}
	if (want == scan.Failed) != (runErr != nil) {
		t.Errorf("Run returned the error %v for a job that is %s", runErr, want)
	}
	return res, err
}

func checkClean(t *testing.T, s Setup) {
	res, err := outcome(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if res.Status != scan.Clean || scan.Count(res.Report) != 0 {
		t.Errorf("status %q with %d findings", res.Status, scan.Count(res.Report))
	}
	if len(res.Report.Runs) == 0 {
		t.Error("a report without a run cannot be told from one that was never made")
	}
	for _, r := range res.Report.Runs {
		if r.Tool == "" {
			t.Error("a run without the name of its tool")
		}
	}
}

func checkFindings(t *testing.T, s Setup) {
	res, err := outcome(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if res.Status != scan.Findings || scan.Count(res.Report) == 0 {
		t.Errorf("status %q with %d findings", res.Status, scan.Count(res.Report))
	}
	for _, f := range res.Report.Findings {
		if f.Rule == "" || f.Message == "" || f.Identity == "" || f.Tool == "" || f.Level == report.LevelUnset {
			t.Errorf("a finding that was not normalised: %+v", f)
		}
	}
	again, err := s.Scanner.Scan(t.Context(), s.Target)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := identities(res.Report), identities(again.Report); a != b {
		t.Errorf("the second scan found something else:\n%s\n%s", a, b)
	}
}

func identities(r *report.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintln(&b, f.Rule, f.Identity, f.Location.Path, f.Location.StartLine)
	}
	return b.String()
}

func failsWith(kinds ...error) func(*testing.T, Setup) {
	return func(t *testing.T, s Setup) {
		_, err := outcome(t, s)
		for _, k := range kinds {
			if errors.Is(err, k) {
				return
			}
		}
		t.Errorf("got the error %v, want one of %v", err, kinds)
	}
}

func checkCancelled(t *testing.T, s Setup) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if s.Started == nil {
		cancel()
	} else {
		go func() {
			eventually(s.Started)
			cancel()
		}()
	}
	done := make(chan error, 1)
	go func() {
		res, err := s.Scanner.Scan(ctx, s.Target)
		if err == nil {
			err = fmt.Errorf("scantest: a cancelled scan returned %q without an error", res.Status)
		}
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got the error %v, want one that is context.Canceled", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("a cancelled scan goes on")
	}
	if s.Gone != nil && !eventually(s.Gone) {
		t.Error("what the scan started goes on")
	}
}

// eventually asks until f is true, at most ten seconds.
func eventually(f func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(10 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-end:
			return false
		}
	}
	return true
}

var versions = regexp.MustCompile(`\d+(\.\d+)+`)

func checkVersion(t *testing.T, s Setup) {
	_, err := outcome(t, s)
	if !errors.Is(err, scan.ErrToolVersion) {
		t.Fatalf("got the error %v, want %v", err, scan.ErrToolVersion)
	}
	if len(versions.FindAllString(err.Error(), -1)) < 2 {
		t.Errorf("the error does not name the version found and the one supported: %v", err)
	}
}

func checkSecret(t *testing.T, s Setup) {
	if s.Secret == "" {
		t.Fatal("scantest: the harness says no secret")
	}
	res, err := outcome(t, s)
	b, jsonErr := json.Marshal(res)
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}
	for what, text := range map[string]string{"error": fmt.Sprintf("%v %+v", err, err), "result": string(b), "printed result": fmt.Sprintf("%+v", res)} {
		if strings.Contains(text, s.Secret) {
			t.Errorf("the %s holds the secret: %s", what, strings.ReplaceAll(text, s.Secret, "<HERE>"))
		}
	}
}

func checkSkipped(t *testing.T, s Setup) {
	_, err := outcome(t, s)
	if !errors.Is(err, scan.ErrSkipped) {
		t.Errorf("got the error %v, want %v", err, scan.ErrSkipped)
	}
}
