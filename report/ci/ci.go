// Package ci speaks to the systems that run pipelines: the logging commands of Azure DevOps ([Azure]), the
// folder its Scans tab reads ([WriteScans]), and the annotations of GitHub ([Annotate]).
//
// What a report holds stays text: it cannot end a command, begin one of its own, or reach another line.
//
// # Errors
//
// All errors are of type [*report.Error]: that of the source, of the context, of the writer, or
// [report.ErrInvalid] for an argument a command cannot carry.
package ci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/internal/tally"
)

// maxMessage is how many bytes of a message a command carries. Both systems cut longer ones.
const maxMessage = 4 << 10

func failed(op, subject string, err error) error {
	if e := (*report.Error)(nil); errors.As(err, &e) {
		return err
	}
	return &report.Error{Op: op, Subject: subject, Err: err}
}

// harmless takes the beginning of another command out of a text. The systems look for it in the whole line,
// also where a log is printed again.
func harmless(s string) string {
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	for _, prefix := range []string{"##vso[", "##["} {
		for {
			i := strings.Index(strings.ToLower(s), prefix)
			if i < 0 {
				break
			}
			s = s[:i] + "##(" + s[i+len(prefix):]
		}
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' || r == '\u2028' || r == '\u2029' {
			return utf8.RuneError
		}
		return r
	}, s)
}

// message is what an annotation says about a finding.
func message(f *report.Finding) string {
	text := f.Message
	if text == "" {
		text = f.Title
	}
	return fmt.Sprintf("%s (%s, %s)", text, f.Severity, f.Tool)
}

// only is the part of a source that is to be kept.
type only struct {
	report.Source
	keep func(*report.Finding) bool
}

func (s only) All(ctx context.Context) iter.Seq2[report.Finding, error] {
	return func(yield func(report.Finding, error) bool) {
		for f, err := range s.Source.All(ctx) {
			if (err != nil || s.keep(&f)) && !yield(f, err) {
				return
			}
		}
	}
}

// worst returns the limit worst open findings, and how many more there are. Results by which a tool says that
// nothing is wrong are none.
func worst(ctx context.Context, s report.Source, limit int) ([]report.Finding, int, error) {
	t, err := tally.Of(ctx, only{s, func(f *report.Finding) bool { return !tally.Passed(f) }}, limit)
	if err != nil {
		return nil, 0, err
	}
	list := t.Worst()
	return list, t.Open - len(list), nil
}

func write(w io.Writer, what, line string) error {
	if _, err := io.WriteString(w, line+"\n"); err != nil {
		return failed("write", what, err)
	}
	return nil
}
