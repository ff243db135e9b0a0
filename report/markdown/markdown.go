// Package markdown writes a report as Markdown of a bounded size: for the summary of a pipeline run, or for a
// comment on a pull request.
//
// The text renders on GitHub, GitLab and Azure DevOps. What a report holds stays text there: no markup, link,
// image, mention or issue reference comes of it, and no logging command when the file is printed in a build.
//
// # Errors
//
// [Write] returns errors of type [*report.Error]: that of the source, of the context, or of the writer.
package markdown

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/internal/tally"
)

// CommentBytes is what fits in a comment on GitHub, the smallest of the platforms.
const CommentBytes = 65_536

// Options says what is written. The zero value is fine.
type Options struct {
	// Title is the heading; empty: "Report".
	Title string
	// MaxFindings is how many findings are listed, the worst ones; 0: 50.
	MaxFindings int
	// MaxBytes caps the size; lines that do not fit are left out, and the last line says so. 0:
	// [CommentBytes]. Less than 1,000 is taken as 1,000.
	MaxBytes int
	// Verdict is shown below the title when it is set.
	Verdict *report.Verdict
}

const (
	maxText  = 300 // bytes of a text in a cell
	maxTests = 20
)

// Write writes the report. o may be nil.
func Write(ctx context.Context, w io.Writer, s report.Source, o *Options) error {
	if o == nil {
		o = &Options{}
	}
	t, err := tally.Of(ctx, s, cmp.Or(o.MaxFindings, 50))
	if err != nil {
		return failed(err)
	}
	p := page{max: max(1000, cmp.Or(o.MaxBytes, CommentBytes))}
	p.head(t, o)
	p.findings(t)
	p.tests(t.Head.Tests)
	p.coverage(t.Head.Coverage)
	p.unplaced(t.Head.Unplaced)
	if _, err := w.Write(p.bytes()); err != nil {
		return failed(err)
	}
	return nil
}

func failed(err error) error {
	if e := (*report.Error)(nil); errors.As(err, &e) {
		return err
	}
	return &report.Error{Op: "write", Subject: "Markdown", Err: err}
}

// page takes blocks of lines as long as they fit.
type page struct {
	buf  bytes.Buffer
	max  int
	left int // lines that did not fit
}

// room is kept for the line that says what was left out.
const room = 120

func (p *page) line(format string, args ...any) bool {
	text := fmt.Sprintf(format, args...) + "\n"
	if p.left > 0 || p.buf.Len()+len(text) > p.max-room {
		p.left++
		return false
	}
	p.buf.WriteString(text)
	return true
}

func (p *page) bytes() []byte {
	if p.left > 0 {
		fmt.Fprintf(&p.buf, "\n_%d lines more did not fit here; they are in the report._\n", p.left)
	}
	return p.buf.Bytes()
}

func (p *page) head(t *tally.Tally, o *Options) {
	p.line("# %s", Escape(cmp.Or(o.Title, "Report")))
	p.line("")
	if v := o.Verdict; v != nil {
		if v.Pass {
			p.line("**✅ pass**")
		} else {
			p.line("**❌ fail**")
		}
		p.line("")
		for _, r := range v.Reasons {
			p.line("- %s", cell(r.String()))
		}
		if len(v.Reasons) > 0 {
			p.line("")
		}
	}
	for _, r := range t.Head.Runs {
		if tally.Broken(&r) {
			p.line("> ⚠️ **%s did not complete** (%s) %s", cell(r.Tool), cmp.Or(string(r.Status), "status unknown"), cell(r.Reason))
			p.line("")
		}
	}
	if len(t.Head.Runs) == 0 && t.Open == 0 {
		return
	}
	p.line("| Tool | Critical | High | Medium | Low | Info | Unknown | Total |")
	p.line("|---|--:|--:|--:|--:|--:|--:|--:|")
	seen := map[string]bool{}
	for _, r := range t.Head.Runs {
		if seen[r.Tool] {
			continue
		}
		counts := t.ByTool[r.Tool]
		if counts == nil {
			if r.Status == report.StatusAbsent {
				continue // it did not run, which is not the same as finding nothing
			}
			counts = &tally.Severities{}
		}
		seen[r.Tool] = true
		p.counts(cell(r.Tool), counts)
	}
	if len(seen) > 1 {
		p.counts("**all**", &t.BySeverity)
	}
	p.line("")
	var also []string
	for _, n := range []struct {
		count int
		what  string
	}{
		{t.ByState[report.StateNew], "new"},
		{t.ByState[report.StateUpdated], "updated"},
		{t.ByState[report.StateUnchanged], "unchanged"},
		{t.Absent, "no longer there"},
		{t.Suppressed, "suppressed"},
	} {
		if n.count > 0 {
			also = append(also, fmt.Sprintf("%d %s", n.count, n.what))
		}
	}
	if len(also) > 0 {
		p.line("%s", strings.Join(also, ", "))
		p.line("")
	}
}

func (p *page) counts(name string, s *tally.Severities) {
	var b strings.Builder
	for _, sev := range report.Severities() {
		fmt.Fprintf(&b, " %d |", s[sev])
	}
	p.line("| %s |%s %d |", name, b.String(), s.Total())
}

func (p *page) findings(t *tally.Tally) {
	worst := slices.DeleteFunc(t.Worst(), func(f report.Finding) bool { return tally.Passed(&f) })
	if len(worst) == 0 {
		return
	}
	p.line("## Findings")
	p.line("")
	p.line("| Severity | Rule | Finding | Place |")
	p.line("|---|---|---|---|")
	for i := range worst {
		f := &worst[i]
		state := ""
		if f.State == report.StateNew {
			state = " **new**"
		}
		p.line("| %s%s | %s | %s | %s |", f.Severity, state, rule(f), cell(cmp.Or(f.Message, f.Title)), code(place(f)))
	}
	if more := t.Open - len(worst); more > 0 {
		p.line("")
		p.line("_%d findings more, of the same severity or lower._", more)
	}
	p.line("")
}

func rule(f *report.Finding) string {
	// Of links only those to a web page, and of their address nothing that could end the link.
	if u := f.HelpURI; (strings.HasPrefix(u, "https://") || strings.HasPrefix(u, "http://")) && !strings.ContainsFunc(u, notInLink) {
		return "[" + cell(f.Rule) + "](" + u + ")"
	}
	return cell(f.Rule)
}

func notInLink(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("()<>[]|\\`\"'*", r)
}

func place(f *report.Finding) string {
	switch {
	case f.Location.Path != "" && f.Location.StartLine > 0:
		return fmt.Sprintf("%s:%d", f.Location.Path, f.Location.StartLine)
	case f.Location.Path != "":
		return f.Location.Path
	case f.Location.Logical != "":
		return f.Location.Logical
	case f.Package != nil:
		return f.Package.Name
	}
	return ""
}

func (p *page) tests(tests *report.Tests) {
	if tests == nil {
		return
	}
	c := tests.Counts()
	p.line("## Tests")
	p.line("")
	p.line("%d passed, %d failed, %d errors, %d skipped", c.Passed, c.Failed, c.Errors, c.Skipped)
	p.line("")
	shown, more := 0, 0
	for i := range tests.Suites {
		s := &tests.Suites[i]
		for _, tc := range s.Cases {
			if tc.Status == report.TestPassed || tc.Status == report.TestSkipped {
				continue
			}
			if shown++; shown > maxTests {
				more++
				continue
			}
			p.line("- %s %s: %s", code(s.Name), code(tc.Name), cell(tc.Message))
		}
		if s.Counts().Total > len(s.Cases) {
			p.line("- %s: %s", code(s.Name), cell(s.Message))
		}
	}
	if more > 0 {
		p.line("- %d more", more)
	}
	if shown > 0 {
		p.line("")
	}
}

func (p *page) coverage(cov *report.Coverage) {
	if cov == nil {
		return
	}
	c := cov.Counts()
	p.line("## Coverage")
	p.line("")
	p.line("%.2f %% of lines (%d of %d)", c.Percent, c.LinesCovered, c.Lines)
	p.line("")
}

func (p *page) unplaced(list []report.Unplaced) {
	if len(list) == 0 {
		return
	}
	p.line("<details><summary>What could not be placed</summary>")
	p.line("")
	for _, u := range list {
		p.line("- %d × %s %s", u.Count, cell(u.Tool), cell(u.Reason))
	}
	p.line("")
	p.line("</details>")
}

// cell is text within one line.
func cell(s string) string { return Escape(clip(s)) }

func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxText {
		cut := s[:maxText]
		for len(cut) > 0 && !utf8.ValidString(cut) {
			cut = cut[:len(cut)-1]
		}
		s = cut + "…"
	}
	return s
}

// Escape returns text that renders as s and nothing else, in one line.
func Escape(s string) string {
	var b strings.Builder
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	for i, r := range s {
		rest := s[i+utf8.RuneLen(r):]
		switch {
		case r == '\n' || r == '\r' || r == '\t' || r == '\u2028' || r == '\u2029':
			b.WriteByte(' ')
		case unicode.IsControl(r) || isBidi(r):
			b.WriteRune(utf8.RuneError)
		case r == '@' || r == '#':
			// Mentions and references are found in the rendered page: the comment parts them from their name.
			b.WriteRune(r)
			b.WriteString("<!-- -->")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == ':' && rest != "" && rest[0] != ' ': // no bare link, no ::command
			b.WriteString("&#58;")
		case r == '.' && endsInWWW(s[:i]):
			b.WriteString("&#46;")
		case strings.ContainsRune("\\`*_{}[]()!|~$^=", r), i == 0 && (r == '-' || r == '+'), (r == '.' || r == ')') && isNumber(s[:i]):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func endsInWWW(s string) bool { return len(s) >= 3 && strings.EqualFold(s[len(s)-3:], "www") }

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// isBidi knows the characters that make text show in another order than it has.
func isBidi(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// code returns s as code, in which nothing is markup; it is easier to copy than escaped text.
func code(s string) string {
	s = clip(s)
	if s == "" {
		return ""
	}
	if strings.ContainsAny(s, "`|\\") || strings.Contains(s, "##") || strings.Contains(s, "::") || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || isBidi(r)
	}) {
		return Escape(s)
	}
	return "`" + s + "`"
}
