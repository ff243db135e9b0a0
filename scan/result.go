package scan

import (
	"context"
	"slices"
	"time"

	"github.com/waybill-dev/waybill/report"
)

// Scanner looks at a target. Implementations are safe for concurrent use.
//
// Scan returns a Result whose Status is [Clean] or [Findings] and a nil error, or an error; with an error
// the Result is nil or [Failed] and may hold what was found before things broke. A target that is not the
// scanner's business is an error with [ErrSkipped]. When ctx ends, Scan ends soon, and so does every process
// it started.
type Scanner interface {
	Name() string
	Scan(ctx context.Context, t Target) (*Result, error)
}

// Status says how a scan ended.
type Status string

// The statuses of a [Result].
const (
	Clean    Status = "clean"    // scanned to the end, nothing found
	Findings Status = "findings" // scanned to the end, something found
	Skipped  Status = "skipped"  // nothing for this scanner to look at
	Failed   Status = "failed"   // not scanned to the end; Report may hold what was found until then
)

// Result is what a scan came to. It is plain data and can be written as JSON.
type Result struct {
	Scanner   string         `json:"scanner"`
	Version   string         `json:"version,omitempty"` // of the tool or engine
	Target    Target         `json:"target"`
	Status    Status         `json:"status"`
	Reason    string         `json:"reason,omitempty"` // one line: why it was skipped or failed
	Notes     []string       `json:"notes,omitempty"`  // what a reader of the result should know, such as a shallow history
	Report    *report.Report `json:"report"`           // not nil when it comes from Run
	Artifacts []Artifact     `json:"artifacts,omitempty"`
	Took      time.Duration  `json:"took"` // nanoseconds in JSON
	Err       error          `json:"-"`    // why it was skipped or failed, for errors.Is; nil otherwise
}

// Artifact is something a scan made beside its report: an SBOM, a server's own report.
type Artifact struct {
	Name      string `json:"name"`      // a file name without directories, such as "sbom.cdx.json"
	MediaType string `json:"mediaType"` // such as "application/vnd.cyclonedx+json"
	Data      []byte `json:"data"`
}

// StatusOf says how a scan ended whose tool left r behind: [Failed] when a run in it did not complete or
// there is none, [Findings] when it holds a finding that counts (not suppressed, not absent, of a kind that
// says something is wrong) or a failed test, else [Clean].
func StatusOf(r *report.Report) Status {
	if r == nil || len(r.Runs) == 0 && r.Tests == nil && r.Coverage == nil {
		return Failed
	}
	for _, run := range r.Runs {
		if run.Status != report.StatusCompleted {
			return Failed
		}
	}
	if c := r.Tests.Counts(); c.Failed+c.Errors > 0 {
		return Findings
	}
	if slices.ContainsFunc(r.Findings, counts) {
		return Findings
	}
	return Clean
}

// Count returns the number of findings in r that count, as [StatusOf] understands it, and failed tests.
func Count(r *report.Report) int {
	if r == nil {
		return 0
	}
	c := r.Tests.Counts()
	n := c.Failed + c.Errors
	for _, f := range r.Findings {
		if counts(f) {
			n++
		}
	}
	return n
}

func counts(f report.Finding) bool {
	if f.Suppressed != nil || f.State == report.StateAbsent {
		return false
	}
	switch f.Kind {
	case report.KindPass, report.KindNotApplicable, report.KindInformational:
		return false
	}
	return true
}
