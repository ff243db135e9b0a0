package ci

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/waybill-dev/waybill/report"
)

var (
	githubData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// AnnotateOptions says what is annotated. The zero value is fine.
type AnnotateOptions struct {
	// Max is how many findings of each level are annotated, the worst ones; 0: 10, which is what GitHub
	// shows of one step.
	Max int
}

// Annotate writes workflow commands that make GitHub show the worst open findings of s as annotations. It
// says in a notice how many more there are. o may be nil.
func Annotate(ctx context.Context, w io.Writer, s report.Source, o *AnnotateOptions) error {
	limit := 10
	if o != nil {
		limit = cmp.Or(o.Max, limit)
	}
	more := 0
	for _, level := range []report.Level{report.LevelError, report.LevelWarning, report.LevelNote} {
		list, left, err := worst(ctx, ofLevel{s, level}, limit)
		if err != nil {
			return failed("write", "GitHub annotation", err)
		}
		more += left
		for i := range list {
			if err := annotate(w, &list[i]); err != nil {
				return err
			}
		}
	}
	if more > 0 {
		return write(w, "GitHub annotation", fmt.Sprintf("::notice title=Findings::%d findings more are in the report", more))
	}
	return nil
}

// ofLevel is the part of a source that has a level; none counts as note.
type ofLevel struct {
	report.Source
	level report.Level
}

func (s ofLevel) All(ctx context.Context) iter.Seq2[report.Finding, error] {
	return func(yield func(report.Finding, error) bool) {
		for f, err := range s.Source.All(ctx) {
			if (err != nil || max(f.Level, report.LevelNote) == s.level) && !yield(f, err) {
				return
			}
		}
	}
}

func annotate(w io.Writer, f *report.Finding) error {
	var b strings.Builder
	kind := map[report.Level]string{report.LevelError: "error", report.LevelWarning: "warning"}[f.Level]
	b.WriteString("::" + cmp.Or(kind, "notice") + " ")
	add := func(name, value string) {
		if value != "" {
			if !strings.HasSuffix(b.String(), " ") {
				b.WriteByte(',')
			}
			b.WriteString(name + "=" + githubProperty.Replace(harmless(value)))
		}
	}
	l := f.Location
	add("file", l.Path)
	if l.Path != "" {
		add("line", positive(l.StartLine))
		add("endLine", positive(l.EndLine))
		// GitHub takes columns only within one line.
		if l.EndLine == l.StartLine || l.EndLine == 0 {
			add("col", positive(l.StartColumn))
			if l.EndColumn > l.StartColumn {
				add("endColumn", positive(l.EndColumn))
			}
		}
	}
	add("title", strings.TrimSpace(f.Tool+" "+f.Rule))
	return write(w, "GitHub annotation", b.String()+"::"+githubData.Replace(harmless(message(f))))
}
