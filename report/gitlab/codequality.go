package gitlab

import (
	"bufio"
	"context"
	"io"

	"github.com/waybill-dev/waybill/report"
)

type issue struct {
	Type        string   `json:"type"`
	CheckName   string   `json:"check_name"`
	Description string   `json:"description"`
	Categories  []string `json:"categories"`
	Severity    string   `json:"severity"`
	Fingerprint string   `json:"fingerprint"`
	Location    struct {
		Path  string `json:"path"`
		Lines struct {
			Begin int `json:"begin"`
		} `json:"lines"`
	} `json:"location"`
}

// WriteCodeQuality writes a code quality report, which GitLab shows in merge requests of every tier. It holds
// the findings that have a file. Findings are streamed.
func WriteCodeQuality(ctx context.Context, w io.Writer, s report.Source) error {
	bw := bufio.NewWriterSize(w, 64<<10)
	err := list(ctx, bw, s, func(f *report.Finding) any {
		if f.Location.Path == "" {
			return nil
		}
		i := &issue{
			Type: "issue", CheckName: first(f.Rule, "unknown"), Description: clip(first(f.Message, f.Title), 4096),
			Categories: []string{"Security"}, Severity: quality(f.Severity), Fingerprint: id(f),
		}
		i.Location.Path = f.Location.Path
		i.Location.Lines.Begin = max(1, f.Location.StartLine)
		return i
	})
	if err != nil {
		return failed(err)
	}
	if err := bw.WriteByte('\n'); err != nil {
		return failed(err)
	}
	if err := bw.Flush(); err != nil {
		return failed(err)
	}
	return nil
}

// quality names severities as Code Climate does.
func quality(s report.Severity) string {
	switch s {
	case report.SeverityCritical:
		return "blocker"
	case report.SeverityHigh:
		return "critical"
	case report.SeverityLow:
		return "minor"
	case report.SeverityInfo:
		return "info"
	}
	return "major"
}
