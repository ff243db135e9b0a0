package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/report"
)

// tell sends one mail about the run, the same one however often it is tried, and another when it ends otherwise.
func (p *pipeline) tell(ctx context.Context) error {
	return p.do(ctx, "mail", 0, func(ctx context.Context, st ongoing) error {
		m, err := p.message(ctx)
		if err != nil {
			return err
		}
		_, mail, err := p.mail.Render(m)
		if err != nil {
			return err
		}
		if err := p.write(mailFile, func(w io.Writer) error { _, err := w.Write(mail); return err }); err != nil {
			return err
		}
		results, err := p.people.Send(ctx, m)
		for _, r := range results {
			st.Detail = fmt.Sprintf("%q to %s: %s", m.Title, r.Target, r.Status)
		}
		return err
	})
}

func (p *pipeline) message(ctx context.Context) (notify.Message, error) {
	r := p.record
	m := notify.Message{
		Title: p.title(), Component: "boutique", Key: strings.Join([]string{"boutique", r.Build, r.Stage, string(r.Outcome)}, "/"), CorrelationID: r.Build, Time: r.Finished,
		Outcome: notify.Succeeded, Summary: p.redactor.Redact(r.Reason),
	}
	switch r.Outcome {
	case stopped, broken:
		m.Outcome, m.Severity = notify.Failed, notify.SeverityError
	case cancelled:
		m.Outcome, m.Severity = notify.Cancelled, notify.SeverityWarning
	}
	field := func(name, value string) {
		if value != "" {
			m.Fields = append(m.Fields, notify.Field{Name: name, Value: value})
		}
	}
	field("stage", r.Stage)
	field("source", r.Commit)
	if r.Change != nil {
		field("change", r.Change.Revision)
	}
	if r.Rollback != nil {
		field("rolled back by", r.Rollback.Revision)
	}
	if p.ci.URL != "" {
		m.Links = append(m.Links, notify.Link{Text: "the run", URL: p.ci.URL})
	}
	causes, err := p.causes(ctx)
	if causes != "" {
		m.Sections = append(m.Sections, notify.Section{Title: "Causes", Text: p.redactor.Redact(causes), Code: true})
	}
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, s := range r.Steps {
		fmt.Fprintln(tw, strings.Join(s.cells(), "\t"))
	}
	_ = tw.Flush()
	m.Sections = append(m.Sections, notify.Section{Title: "Steps", Text: p.redactor.Redact(table.String()), Code: true})
	if page, err := os.ReadFile(p.path(htmlFile)); err == nil {
		m.Attachments = append(m.Attachments, notify.Attachment{Name: htmlFile, ContentType: "text/html", Data: page})
	}
	return m, err
}

// maxCauses is how many causes a mail lists; the report has them all.
const maxCauses = 20

// causes lists the findings and tests because of which the gate said no.
func (p *pipeline) causes(ctx context.Context) (string, error) {
	if p.report == nil {
		return "", nil // nothing was read
	}
	var lines []string
	for f, err := range p.report.All(ctx) {
		if err != nil {
			return "", err
		}
		if p.policy.Decide(f).Fails {
			place := f.Location.Path
			if f.Location.StartLine > 0 {
				place += fmt.Sprintf(":%d", f.Location.StartLine)
			}
			lines = append(lines, strings.Join(strings.Fields(fmt.Sprintln(f.Severity, f.Tool, f.Rule, place, shorten(f.Message, 200))), " "))
		}
	}
	if tests := p.report.Head().Tests; tests != nil {
		for _, s := range tests.Suites {
			for _, c := range s.Cases {
				if c.Status == report.TestFailed || c.Status == report.TestError {
					lines = append(lines, fmt.Sprintf("%s  %s %s", c.Status, s.Name, c.Name))
				}
			}
			if s.Status == report.TestFailed {
				lines = append(lines, fmt.Sprintf("%s  %s %s", s.Status, s.Name, firstLine(s.Message)))
			}
		}
	}
	if more := len(lines) - maxCauses; more > 0 {
		lines = append(lines[:maxCauses], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n"), nil
}
