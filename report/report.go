package report

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"time"
)

// Report is a whole report in memory: the runs of one or more tools, what they found, tests and coverage.
// Readers make it and call [Report.Normalize] last.
type Report struct {
	Runs     []Run      `json:"runs"`
	Findings []Finding  `json:"findings"`
	Tests    *Tests     `json:"tests,omitempty"`
	Coverage *Coverage  `json:"coverage,omitempty"`
	Unplaced []Unplaced `json:"unplaced,omitempty"`
}

// Source is a report of any size: [*Report], [*File] and what Compare, Dedupe, Suppress and Join return. All
// may be called any number of times, also at once; it yields the same findings in the same order each time,
// and nothing after an error.
type Source interface {
	// Head returns everything but the findings. The caller must not change it.
	Head() Head
	// All yields every finding, suppressed and absent ones too. Findings of one run need not stand together.
	All(ctx context.Context) iter.Seq2[Finding, error]
}

// Head is what a source holds beside its findings. Finding.Run counts into Runs.
type Head struct {
	Runs     []Run
	Tests    *Tests
	Coverage *Coverage
	Unplaced []Unplaced
}

var _ Source = (*Report)(nil)

// Head implements [Source]. Findings without any run are of one whose end nobody knows.
func (r *Report) Head() Head {
	runs := r.Runs
	if len(runs) == 0 && len(r.Findings) > 0 {
		runs = []Run{{Tool: r.Findings[0].Tool}}
	}
	return Head{Runs: runs, Tests: r.Tests, Coverage: r.Coverage, Unplaced: r.Unplaced}
}

// All implements [Source], in the order of Findings. A finding whose Run is no index into Runs is an
// ErrInvalid: it would be lost where findings go run by run.
func (r *Report) All(ctx context.Context) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		runs := max(1, len(r.Runs))
		for i, f := range r.Findings {
			if i%1024 == 0 && ctx.Err() != nil {
				yield(Finding{}, &Error{Op: "read", Err: context.Cause(ctx)})
				return
			}
			if f.Run < 0 || f.Run >= runs {
				yield(Finding{}, errNoRun(i))
				return
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

func errNoRun(i int) error {
	return &Error{Op: "read", Subject: "finding " + strconv.Itoa(i), Kind: ErrInvalid, Err: errors.New("its Run is no index into the runs")}
}

// Status says how a run of a tool ended. Everything but [StatusCompleted] and [StatusAbsent] makes
// [Policy.Gate] fail.
type Status string

// The statuses of a run.
const (
	// StatusUnknown is the zero value: nobody said how the run ended.
	StatusUnknown Status = ""
	// StatusCompleted says that the tool did its work to the end.
	StatusCompleted Status = "completed"
	// StatusFailed says that the tool reported that it failed, or an error that makes its findings incomplete.
	StatusFailed Status = "failed"
	// StatusNoResults says that the run has no list of results at all, not even an empty one: nothing was
	// scanned, or the results are elsewhere.
	StatusNoResults Status = "no-results"
	// StatusAbsent says that the tool ran only for the report that Compare compared with. Such a run does not
	// fail the gate by itself, and does not count as the run of a required tool.
	StatusAbsent Status = "absent"
)

// Run is one run of one tool.
type Run struct {
	// Tool is the tool's own name: "gitleaks", "Trivy".
	Tool string `json:"tool"`
	// Version is the version of the tool, as it says.
	Version string `json:"version,omitempty"`
	// Category tells runs of the same tool apart (SARIF automationDetails.id): "backend", "image:web".
	Category string `json:"category,omitempty"`
	// Target is what was scanned: a directory, an image reference. No credentials.
	Target string `json:"target,omitempty"`
	// Status says how the run ended; Reason says why when it did not complete.
	Status Status `json:"status"`
	Reason string `json:"reason,omitempty"`
	// InformationURI is the home page of the tool.
	InformationURI string `json:"informationUri,omitempty"`
	// Started and Finished are zero when not known.
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	// Rules describes the rules of the findings. [Report.Normalize] fills it from the findings for readers
	// whose format does not list rules.
	Rules []Rule `json:"rules,omitempty"`

	sarif []*sarifRun // what the run was read from; more than one after Join
	// old is what absent findings were read from; only what they refer to is written.
	old []*sarifRun
	// limits, set by Trim, cut what is written; rules are the ones to keep, nil for all.
	limits *Limits
	rules  map[string]bool
}

// Rule is the description of a rule that findings refer to by its ID.
type Rule struct {
	ID          string   `json:"id"`
	Name        string   `json:"name,omitempty"`
	Title       string   `json:"title,omitempty"`       // one line of plain text
	Description string   `json:"description,omitempty"` // plain text
	Help        string   `json:"help,omitempty"`        // Markdown
	HelpURI     string   `json:"helpUri,omitempty"`
	Level       Level    `json:"level,omitempty"`
	Severity    Severity `json:"severity,omitempty"`
	Score       float64  `json:"score,omitempty"` // 0 to 10, 0 when not known
	CWE         []string `json:"cwe,omitempty"`
	Tags        []string `json:"tags,omitempty"`
}

// Category says what a finding is about. It decides how its [Identity] is made.
type Category string

// The categories.
const (
	CategoryCode    Category = "code"    // a place in source code; the zero value means this too
	CategoryPackage Category = "package" // a vulnerable or unwanted package; Finding.Package is set
	CategorySecret  Category = "secret"  // a secret in clear; see Finding.SetSecret
	CategoryConfig  Category = "config"  // a misconfiguration
	CategoryLicense Category = "license" // a licence that policy does not want
	CategoryPolicy  Category = "policy"  // a rejected library, a failed gate of another system
)

var categories = []Category{CategoryCode, CategoryPackage, CategorySecret, CategoryConfig, CategoryLicense, CategoryPolicy}

// Kind is a SARIF result kind. The zero value means fail, as in SARIF.
type Kind string

// The kinds of SARIF (section 3.27.9).
const (
	KindFail          Kind = "fail"
	KindOpen          Kind = "open"
	KindReview        Kind = "review"
	KindInformational Kind = "informational"
	KindNotApplicable Kind = "notApplicable"
	KindPass          Kind = "pass"
)

var kinds = []Kind{KindFail, KindOpen, KindReview, KindInformational, KindNotApplicable, KindPass}

// harmless says that a result of this kind is nothing to do something about.
func (k Kind) harmless() bool {
	return k == KindPass || k == KindNotApplicable || k == KindInformational
}

// Finding is one thing a tool found. The zero value of every member means "not said".
type Finding struct {
	// Run counts into the Runs of the source. Tool is the name of that run's tool.
	Run  int    `json:"run"`
	Tool string `json:"tool"`
	// Rule is the identifier of the rule or advisory: "G204", "CVE-2024-1234".
	Rule string `json:"rule"`
	// Title is one line, Message what the tool says about this place, both plain text. Message falls back
	// to Title.
	Title   string `json:"title,omitempty"`
	Message string `json:"message"`
	// Description and HelpURI tell more about the rule.
	Description string   `json:"description,omitempty"`
	HelpURI     string   `json:"helpUri,omitempty"`
	Category    Category `json:"category,omitempty"`
	Kind        Kind     `json:"kind,omitempty"`
	Level       Level    `json:"level"`
	Severity    Severity `json:"severity"`
	// SeverityFrom says by which rule Severity was found: "score", "word", "cvss", "level", "secret" or "" when unknown.
	SeverityFrom string `json:"severityFrom,omitempty"`
	// Score is the CVSS base score or security-severity from 0 to 10, 0 when not known. Vector is the CVSS
	// vector it came from.
	Score    float64  `json:"score,omitempty"`
	Vector   string   `json:"vector,omitempty"`
	Location Location `json:"location"`
	Package  *Package `json:"package,omitempty"`
	// CWE lists weaknesses as "CWE-79". Aliases lists other names of the same advisory.
	CWE     []string `json:"cwe,omitempty"`
	Aliases []string `json:"aliases,omitempty"`
	Tags    []string `json:"tags,omitempty"`
	// Fingerprints are those the tool wrote itself, by name. Identity is ours.
	Fingerprints map[string]string `json:"fingerprints,omitempty"`
	Identity     Identity          `json:"identity,omitempty"`
	// State is set by Compare, or by the input. Suppressed is set when the finding is accepted.
	State      BaselineState `json:"state,omitempty"`
	Suppressed *Suppression  `json:"suppressed,omitempty"`
	// SaidBy lists, after Dedupe, everyone who reported this finding, the finding itself first.
	SaidBy []SaidBy `json:"saidBy,omitempty"`

	plain     Identity // the identity without the source text
	messageID string
	levelMade bool // Level was made of Severity, and says nothing of it
	secretMAC string
	sarif     *sarifResult
}

// SaidBy is one tool's report of a finding.
type SaidBy struct {
	Tool string `json:"tool"`
	Rule string `json:"rule"`
}

// Location is where a finding is. Lines and columns count from 1, 0 means not known; columns count UTF-16
// code units, as SARIF's default does.
type Location struct {
	// Path has forward slashes and is relative to the source root, or to the root of the image.
	Path        string `json:"path,omitempty"`
	StartLine   int    `json:"startLine,omitempty"`
	StartColumn int    `json:"startColumn,omitempty"`
	EndLine     int    `json:"endLine,omitempty"`
	EndColumn   int    `json:"endColumn,omitempty"` // the column after the last character
	// Snippet is the text of the region as the tool printed it, secrets masked.
	Snippet string `json:"snippet,omitempty"`
	// Logical names the place inside a program or system: a function, "Deployment/web".
	Logical string `json:"logical,omitempty"`
	// Commit is the revision in which it was found, where the tool reads history.
	Commit string `json:"commit,omitempty"`
}

// Package is the package a finding is about.
type Package struct {
	// PURL is the package URL with the installed version, see [PURL].
	PURL      string `json:"purl,omitempty"`
	Name      string `json:"name"`
	Installed string `json:"installed,omitempty"`
	// Fixed is the version, or the comma-separated versions, that repair it; empty when there is none yet.
	Fixed string `json:"fixed,omitempty"`
}

// BaselineState relates a finding to an earlier report, in the words of SARIF.
type BaselineState string

// The states. The zero value says that nothing was compared.
const (
	StateNew       BaselineState = "new"
	StateUnchanged BaselineState = "unchanged"
	StateUpdated   BaselineState = "updated"
	StateAbsent    BaselineState = "absent"
)

var baselineStates = []BaselineState{StateNew, StateUnchanged, StateUpdated, StateAbsent}

// Suppression says that a finding is accepted, by whom and how long.
type Suppression struct {
	// Kind is "inSource" or "external", as in SARIF.
	Kind string `json:"kind"`
	// Reason is the justification.
	Reason string `json:"reason,omitempty"`
	// By names who accepted it; From says where that is written: "sarif", "suppressions", "openvex", the tool.
	By   string `json:"by,omitempty"`
	From string `json:"from,omitempty"`
	// Expires is when the suppression ends, zero for never. Midnight in UTC stands for the whole day.
	Expires time.Time `json:"expires,omitzero"`
}

// Unplaced counts things of the input that could not be given their proper place. Where they are findings,
// they are among the findings too.
type Unplaced struct {
	Tool   string `json:"tool,omitempty"`
	Reason string `json:"reason"` // "result without a rule", "ruleIndex out of range"
	Count  int    `json:"count"`
}

// AddUnplaced counts n more things of the given tool that could not be placed for the given reason.
func (r *Report) AddUnplaced(tool, reason string, n int) {
	r.Unplaced = addUnplaced(r.Unplaced, tool, reason, n)
}

func addUnplaced(list []Unplaced, tool, reason string, n int) []Unplaced {
	i := slices.IndexFunc(list, func(u Unplaced) bool { return u.Tool == tool && u.Reason == reason })
	if i >= 0 {
		list[i].Count += n
		return list
	}
	return append(list, Unplaced{Tool: tool, Reason: reason, Count: n})
}
