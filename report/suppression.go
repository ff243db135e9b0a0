package report

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
)

// Suppressions says which findings are accepted: what [ParseSuppressions] and [ParseOpenVEX] return. Lists
// may be put together by appending their Entries.
type Suppressions struct {
	Entries []SuppressionEntry
}

// SuppressionEntry accepts findings. A finding is meant when everything given fits it; at least one of
// Identity, Rule, Path and Package must be given.
type SuppressionEntry struct {
	// Identity is the finding's own, as in every output of this package.
	Identity Identity `json:"identity,omitempty"`
	Tool     string   `json:"tool,omitempty"`
	// Rule is the rule, the advisory, or one of its aliases.
	Rule string `json:"rule,omitempty"`
	// Path is a pattern as of path.Match; ** stands for any number of directories.
	Path string `json:"path,omitempty"`
	// Package is a package URL, without a version for all versions, or a package's bare name.
	Package string `json:"package,omitempty"`
	// Reason says why, and is mandatory. By says who.
	Reason string `json:"reason"`
	By     string `json:"by,omitempty"`
	// Expires is the last day on which the entry holds, in UTC. It is mandatory in our own file; entries from
	// OpenVEX have none.
	Expires Date `json:"expires"`

	from    string
	target  string // the image of an OpenVEX product
	blocked bool   // an OpenVEX statement that says the finding counts
}

// Date is a day, written as 2006-01-02. The zero value is no day.
type Date struct {
	// Time is the beginning of the day in UTC.
	Time time.Time
}

// IsZero says that there is no day.
func (d Date) IsZero() bool { return d.Time.IsZero() }

// end is the first moment after the day.
func (d Date) end() time.Time { return d.Time.AddDate(0, 0, 1) }

// MarshalText implements encoding.TextMarshaler.
func (d Date) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return []byte(d.Time.Format(time.DateOnly)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Date) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return fmt.Errorf("date %.20q is not like 2006-01-02", text)
	}
	d.Time = t
	return nil
}

// ParseSuppressions reads a list of suppressions from JSON (schema: [SuppressionsSchema]). It is strict: an
// entry without reason, expiry, or anything to match, or with a member it does not know, is an ErrInvalid
// that names the entry; all entries are checked before it returns.
func ParseSuppressions(data []byte) (*Suppressions, error) {
	var in struct {
		Schema       string             `json:"$schema"`
		Version      int                `json:"version"`
		Suppressions []SuppressionEntry `json:"suppressions"`
	}
	if err := strictJSON(data, &in); err != nil {
		return nil, &Error{Op: "parse", Subject: "suppressions", Kind: ErrInvalid, Err: err}
	}
	if in.Version != 1 {
		return nil, &Error{Op: "parse", Subject: "suppressions", Kind: ErrUnsupported, Err: fmt.Errorf("version is %d, must be 1", in.Version)}
	}
	if in.Suppressions == nil {
		return nil, &Error{Op: "parse", Subject: "suppressions", Kind: ErrInvalid, Err: errors.New("the list suppressions is missing")}
	}
	var errs []error
	for i := range in.Suppressions {
		e := &in.Suppressions[i]
		e.from = "suppressions"
		for _, err := range e.check() {
			errs = append(errs, fmt.Errorf("suppressions[%d]: %w", i, err))
		}
	}
	if len(errs) > 0 {
		return nil, &Error{Op: "parse", Subject: "suppressions", Kind: ErrInvalid, Err: errors.Join(errs...)}
	}
	return &Suppressions{in.Suppressions}, nil
}

func (e *SuppressionEntry) check() []error {
	var errs []error
	if e.Identity == "" && e.Rule == "" && e.Path == "" && e.Package == "" {
		errs = append(errs, errors.New("it matches everything: give identity, rule, path or package"))
	}
	if strings.TrimSpace(e.Reason) == "" {
		errs = append(errs, errors.New("reason is missing"))
	}
	if e.Expires.IsZero() {
		errs = append(errs, errors.New("expires is missing"))
	}
	if _, err := path.Match(e.Path, ""); err != nil {
		errs = append(errs, fmt.Errorf("path: %w", err))
	}
	return errs
}

// String names the entry by what it matches.
func (e SuppressionEntry) String() string {
	var parts []string
	for _, m := range []struct{ name, text string }{
		{"identity", string(e.Identity)}, {"tool", e.Tool}, {"rule", e.Rule}, {"path", e.Path}, {"package", e.Package},
	} {
		if m.text != "" {
			parts = append(parts, m.name+" "+m.text)
		}
	}
	return strings.Join(parts, ", ")
}

// SuppressOptions changes how Suppress works.
type SuppressOptions struct {
	// Now is the time by which entries expire; zero means the real one.
	Now time.Time
	// Soon is how long before its end an entry is listed as expiring; 0 means 14 days.
	Soon time.Duration
}

// Suppressed says what became of the entries of a list.
type Suppressed struct {
	// Findings counts the findings that were suppressed by the list.
	Findings int
	// Unused are entries that are valid and matched nothing, Expired those whose day has passed, whether or
	// not they would match, Expiring those that matched and end soon.
	Unused, Expired, Expiring []SuppressionEntry
}

// Suppress returns s with the findings that the list accepts marked as suppressed. Expired entries suppress
// nothing, and neither does a nil list. It reads s once to see which entries are used; the error is that of s.
// o may be nil.
func Suppress(ctx context.Context, s Source, list *Suppressions, o *SuppressOptions) (Source, Suppressed, error) {
	if list == nil {
		list = &Suppressions{}
	}
	if o == nil {
		o = &SuppressOptions{}
	}
	now, soon := o.Now, o.Soon
	if now.IsZero() {
		now = time.Now()
	}
	if soon == 0 {
		soon = 14 * 24 * time.Hour
	}
	q := &suppressing{source: s, byIdentity: map[Identity][]*SuppressionEntry{}, byRule: map[string][]*SuppressionEntry{}, order: map[*SuppressionEntry]int{}}
	var result Suppressed
	for i := range list.Entries {
		e := &list.Entries[i]
		if e.expired(now) {
			result.Expired = append(result.Expired, *e)
			continue
		}
		q.add(e)
	}
	used := map[*SuppressionEntry]bool{}
	runs := s.Head().Runs
	for f, err := range all(ctx, s, needIdentity) {
		if err != nil {
			return nil, Suppressed{}, err
		}
		if e := q.match(&runs[f.Run], &f); e != nil {
			used[e] = true
			if !e.blocked && f.Suppressed == nil && f.State != StateAbsent {
				result.Findings++
			}
		}
	}
	for i := range list.Entries {
		e := &list.Entries[i]
		switch {
		case e.blocked || e.expired(now):
		case !used[e]:
			result.Unused = append(result.Unused, *e)
		case !e.Expires.IsZero() && e.Expires.end().Before(now.Add(soon)):
			result.Expiring = append(result.Expiring, *e)
		}
	}
	return q, result, nil
}

// over says that the suppression has ended. A time at midnight is a day, as of our own list: it counts whole.
func (s *Suppression) over(now time.Time) bool {
	end := s.Expires
	if end.Equal(end.Truncate(24 * time.Hour)) {
		end = Date{end}.end()
	}
	return !s.Expires.IsZero() && !now.Before(end)
}

// expired says whether the day of the entry is over.
func (e *SuppressionEntry) expired(now time.Time) bool {
	return !e.Expires.IsZero() && !now.Before(e.Expires.end())
}

type suppressing struct {
	source Source
	// Entries are looked up by the first of these that they have.
	byIdentity map[Identity][]*SuppressionEntry
	byRule     map[string][]*SuppressionEntry
	others     []*SuppressionEntry
	order      map[*SuppressionEntry]int
}

func (q *suppressing) add(e *SuppressionEntry) {
	q.order[e] = len(q.order)
	switch {
	case e.Identity != "":
		q.byIdentity[e.Identity] = append(q.byIdentity[e.Identity], e)
	case e.Rule != "":
		q.byRule[e.Rule] = append(q.byRule[e.Rule], e)
	default:
		q.others = append(q.others, e)
	}
}

// match returns the entry that decides about a finding: of OpenVEX statements the last, else the first.
func (q *suppressing) match(run *Run, f *Finding) *SuppressionEntry {
	var found *SuppressionEntry
	try := func(list []*SuppressionEntry) {
		for _, e := range list {
			if !e.matches(run, f) {
				continue
			}
			if found == nil || e.from == fromOpenVEX && found.from == fromOpenVEX && q.order[e] > q.order[found] {
				found = e
			} else if found.blocked && !e.blocked && e.from != fromOpenVEX {
				found = e // our own file has the last word
			}
		}
	}
	try(q.byIdentity[f.Identity])
	if f.plain != f.Identity {
		try(q.byIdentity[f.plain])
	}
	try(q.byRule[f.Rule])
	for _, a := range f.Aliases {
		try(q.byRule[a])
	}
	try(q.others)
	return found
}

func (e *SuppressionEntry) matches(run *Run, f *Finding) bool {
	return (e.Identity == "" || e.Identity == f.Identity || e.Identity == f.plain) &&
		(e.Tool == "" || saidByTool(f, e.Tool)) &&
		(e.Rule == "" || e.Rule == f.Rule || slices.Contains(f.Aliases, e.Rule)) &&
		(e.Path == "" || matchPattern(e.Path, f.Location.Path)) &&
		(e.Package == "" || f.Package != nil && matchPackage(e.Package, f.Package)) &&
		(e.target == "" || strings.Contains(run.Target, e.target))
}

// matchPackage compares a package with a package URL or a name. A URL without version means all versions; a
// qualifier that the wanted URL has must be the same.
func matchPackage(want string, have *Package) bool {
	if !strings.HasPrefix(want, "pkg:") {
		return want == have.Name
	}
	if have.PURL == "" {
		return false
	}
	w, h := parsePURL(want), parsePURL(have.PURL)
	if w.name != h.name || w.version != "" && w.version != h.version {
		return false
	}
	for k, v := range w.qualifiers {
		if h.qualifiers[k] != v {
			return false
		}
	}
	return true
}

func (q *suppressing) Head() Head { return q.source.Head() }

func (q *suppressing) All(ctx context.Context) iter.Seq2[Finding, error] {
	return allRuns(ctx, q, len(q.Head().Runs), needAll)
}

func (q *suppressing) ofRun(ctx context.Context, i int, need needs) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		run := &q.Head().Runs[i]
		for f, err := range ofRun(ctx, q.source, i, need|needIdentity) {
			if err == nil && f.Suppressed == nil {
				if e := q.match(run, &f); e != nil && !e.blocked {
					f.Suppressed = &Suppression{Kind: "external", Reason: e.Reason, By: e.By, From: e.from, Expires: e.Expires.Time}
				}
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// readSuppressionProperties reads what our writer, and the SARIF Multitool, keep in the property bag of a
// suppression.
func readSuppressionProperties(v []byte, s *Suppression) {
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "by", "alias":
			s.By = rawjson.Text(value)
		case "from":
			s.From = rawjson.Text(value)
		case "expiryUtc":
			if t, err := time.Parse(time.RFC3339, rawjson.Text(value)); err == nil {
				s.Expires = t.UTC()
			}
		}
	}
}
