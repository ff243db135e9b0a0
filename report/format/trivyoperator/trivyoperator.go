// Package trivyoperator reads the resources of the Trivy operator as JSON, one or a list of them, as
// kubectl get -o json prints: vulnerability, configuration audit, RBAC and infrastructure assessment, and
// exposed secret reports.
//
// # Errors
//
// [Read] returns the errors of package report.
package trivyoperator

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/internal/input"
)

type document struct {
	resource
	Items input.List[resource] `json:"items"`
}

type resource struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name      string            `json:"name"`
		Namespace string            `json:"namespace"`
		Labels    map[string]string `json:"labels"`
	} `json:"metadata"`
	Report *content `json:"report"`
}

type content struct {
	Artifact struct {
		Repository string `json:"repository"`
		Tag        string `json:"tag"`
		Digest     string `json:"digest"`
	} `json:"artifact"`
	Registry struct {
		Server string `json:"server"`
	} `json:"registry"`
	Scanner struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"scanner"`
	Vulnerabilities input.List[vulnerability] `json:"vulnerabilities"`
	Checks          input.List[check]         `json:"checks"`
	Secrets         input.List[secret]        `json:"secrets"`
}

type vulnerability struct {
	ID          string       `json:"vulnerabilityID"`
	Resource    string       `json:"resource"`
	Installed   string       `json:"installedVersion"`
	Fixed       string       `json:"fixedVersion"`
	Severity    string       `json:"severity"`
	Score       input.Number `json:"score"`
	Title       string       `json:"title"`
	Description string       `json:"description"`
	Link        string       `json:"primaryLink"`
	Target      string       `json:"target"`
	PkgPath     string       `json:"pkgPath"`
	PURL        string       `json:"packagePURL"`
}

type check struct {
	ID          string      `json:"checkID"`
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Severity    string      `json:"severity"`
	Messages    input.Texts `json:"messages"`
	Remediation string      `json:"remediation"`
	Success     bool        `json:"success"`
}

type secret struct {
	Target   string `json:"target"`
	RuleID   string `json:"ruleID"`
	Title    string `json:"title"`
	Category string `json:"category"`
	Severity string `json:"severity"`
	Match    string `json:"match"`
}

// Read reads one resource or a list. o may be nil.
func Read(ctx context.Context, r io.Reader, o *report.Options) (*report.Report, error) {
	b := input.New("Trivy operator JSON", o)
	var d document
	if err := b.JSON(r, &d); err != nil {
		return nil, err
	}
	list := d.Items
	if !list.Present {
		list = input.ListOf([]resource{d.resource})
	}
	rd := reader{b: b, run: b.Run(report.Run{Tool: "Trivy", InformationURI: "https://aquasecurity.github.io/trivy-operator/"})}
	for res := range input.Each(b, rd.run, "resource", list) {
		if err := rd.resource(res); err != nil {
			return nil, b.Fail(err)
		}
	}
	return b.Done(ctx)
}

type reader struct {
	b   *input.Builder
	run int
}

func (rd *reader) resource(res resource) error {
	if res.Report == nil {
		if strings.Contains(res.Kind, "Compliance") {
			return errors.Join(input.ErrUnsupported, errors.New("a "+input.OneLine(res.Kind)+" sums up other reports: read those"))
		}
		rd.b.Failed(rd.run, res.name()+" has no report")
		return nil
	}
	c := res.Report
	run := &rd.b.Report.Runs[rd.run]
	run.Version = input.First(run.Version, c.Scanner.Version)
	where := res.name()
	for v := range input.Each(rd.b, rd.run, "vulnerability", c.Vulnerabilities) {
		rd.b.Add(rd.vulnerability(v, where))
	}
	for k := range input.Each(rd.b, rd.run, "check", c.Checks) {
		if !k.Success {
			rd.b.Add(rd.check(k, where))
		}
	}
	for s := range input.Each(rd.b, rd.run, "secret", c.Secrets) {
		rd.secret(s, where)
	}
	return nil
}

// name is the object that was scanned, which the labels name, not the resource of the operator.
func (res resource) name() string {
	l := res.Metadata.Labels
	kind, name := l["trivy-operator.resource.kind"], l["trivy-operator.resource.name"]
	if kind == "" || name == "" {
		kind, name = res.Kind, res.Metadata.Name
	}
	ns := input.First(l["trivy-operator.resource.namespace"], res.Metadata.Namespace)
	where := strings.Trim(ns+"/"+kind+"/"+name, "/")
	if c := l["trivy-operator.container.name"]; c != "" {
		where += "/" + c
	}
	return where
}

func (rd *reader) vulnerability(v vulnerability, where string) report.Finding {
	return report.Finding{
		Run:         rd.run,
		Rule:        v.ID,
		Title:       input.OneLine(input.First(v.Title, v.ID+" in "+v.Resource)),
		Message:     input.Vulnerable(v.Resource, v.Installed, v.Title, v.Fixed),
		Description: v.Description,
		HelpURI:     v.Link,
		Category:    report.CategoryPackage,
		Severity:    rd.b.Severity(rd.run, v.Severity),
		Score:       rd.b.Score(rd.run, float64(v.Score)),
		Location:    report.Location{Path: input.ImagePath(v.PkgPath), Logical: where},
		Package:     &report.Package{Name: v.Resource, Installed: v.Installed, Fixed: v.Fixed, PURL: v.PURL},
	}
}

func (rd *reader) check(c check, where string) report.Finding {
	return report.Finding{
		Run:         rd.run,
		Rule:        c.ID,
		Title:       input.OneLine(c.Title),
		Message:     input.First(strings.Join(c.Messages, "\n"), c.Title),
		Description: input.Join(c.Description, c.Remediation),
		Category:    report.CategoryConfig,
		Severity:    rd.b.Severity(rd.run, c.Severity),
		Location:    report.Location{Logical: where},
	}
}

func (rd *reader) secret(s secret, where string) {
	f := report.Finding{
		Run:      rd.run,
		Rule:     s.RuleID,
		Title:    input.OneLine(input.First(s.Title, s.RuleID)),
		Category: report.CategorySecret,
		Severity: rd.b.Severity(rd.run, s.Severity),
		Location: report.Location{Path: input.ImagePath(s.Target), Logical: where},
	}
	if strings.Contains(s.Match, "***") { // censored by Trivy
		f.Location.Snippet = s.Match
		rd.b.AddSecret(f, "", "")
		return
	}
	rd.b.AddSecret(f, "", s.Match)
}
