package ci

import (
	"cmp"
	"context"
	"fmt"
	"io"
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
		ofLevel := only{s, func(f *report.Finding) bool { return max(f.Level, report.LevelNote) == level }} // none counts as note
		list, left, err := worst(ctx, ofLevel, limit)
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
