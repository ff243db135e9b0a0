// Package sonarqube brings the verdict of a SonarQube server, version 9.9 or later, or of SonarQube Cloud: the
// quality gate of one analysis, and the issues and security hotspots of its branch or pull request.
//
// The analysis is made by the sonar-scanner command (Options.Analyze), or was made before by a Maven, Gradle or
// .NET build; then its report-task.txt says which one it was. The scan waits until the server has processed it:
// the scanner is done when the server has only begun.
//
// Conditions of the quality gate that are not met are findings of category policy; a gate that failed is
// [scan.Findings] like any other. No gate at all (status NONE) is no pass, and neither is a branch in which the
// analysis saw no file, which meets every gate: the scan fails, unless Options.AllowNoGate or AllowEmpty. A task that
// failed or was cancelled fails the scan.
//
// The server hands out at most 10,000 issues per search. Beyond that the search is cut into slices by type,
// severity, rule and file; if the slices do not add up to what the server counts, the scan fails.
//
// The token is sent to Options.URL only, never to the address report-task.txt names: that file lies in the
// source tree, where others write.
//
// # Errors
//
// Errors are [*scan.Error] with [scan.ErrConfig], [scan.ErrTarget] (no report-task.txt, unknown project, branch
// or task), [scan.ErrSkipped], [scan.ErrToolMissing] and [scan.ErrToolVersion] (sonar-scanner), [scan.ErrBroken]
// (the scanner or the server's task failed, there is no gate, or nothing was analysed), [scan.ErrDenied], [scan.ErrUnavailable] (the
// server does not answer, is starting or indexing; worth another try later), [scan.ErrOutput] (an answer that
// is not the web API's) and [scan.ErrTooLarge].
package sonarqube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
)

// Name of the scanner, in results.
const Name = "sonarqube"

// Options for [New]. URL, Token and ProjectKey are required.
type Options struct {
	URL        string                                    // of the server, such as "https://sonar.example.com"
	Token      func(ctx context.Context) (string, error) // asked for at each scan
	ProjectKey string

	// Branch, or PullRequest with PullRequestBranch and PullRequestBase, is what is analysed; none of them is the
	// main branch for Analyze, and otherwise whatever the analysis was of. An analysis of something else is an error,
	// scan.ErrTarget. Community builds of the server know the main branch only.
	Branch            string
	PullRequest       string // key of the pull request
	PullRequestBranch string // for Analyze
	PullRequestBase   string // for Analyze

	// Analyze runs sonar-scanner in the target's directory. Otherwise ReportTask is read, a path relative to the
	// target; "" looks where sonar-scanner, Maven, Gradle and .NET builds leave it.
	Analyze    bool
	ReportTask string
	Scanner    string            // the sonar-scanner command; "" is looked up on the PATH
	Properties map[string]string // for Analyze: more properties, such as "sonar.sources"; no credentials, which the list of processes would show
	Env        []string          // for Analyze: added to the scanner's environment, as "NAME=value"

	NewCodeOnly bool          // only issues of the new code period
	MaxIssues   int           // cap of issues and hotspots each; 0 is 200,000
	Poll        time.Duration // pause between questions whether the server is done; 0 is 1 s, growing to 5 s
	HTTPClient  *http.Client  // nil is one with timeouts

	AllowNoGate       bool // take "no quality gate" for a pass
	AllowEmpty        bool // take an analysis that saw no file for a pass
	AllowInsecureHTTP bool // plain HTTP to another machine
	SkipHotspots      bool // do not ask for security hotspots
}

// Scanner asks a SonarQube server. Make one with [New]; it is safe for concurrent use.
type Scanner struct {
	o    Options
	base *url.URL
	http *http.Client
}

var _ scan.Scanner = (*Scanner)(nil)

// New returns a scanner. The error, with [scan.ErrConfig], names every option that is missing or cannot be.
func New(o *Options) (*Scanner, error) {
	if o == nil {
		o = &Options{}
	}
	var errs []error
	base, err := url.Parse(strings.TrimRight(o.URL, "/"))
	switch {
	case err != nil:
		errs = append(errs, errors.New("the URL cannot be parsed"))
	case base.Scheme != "https" && base.Scheme != "http" || base.Host == "":
		errs = append(errs, errors.New("the URL is no http or https address"))
	case base.User != nil || base.RawQuery != "":
		errs = append(errs, errors.New("the URL holds a user or a query: credentials belong to Token"))
	case base.Scheme == "http" && !httpx.IsLoopback(base.Host) && !o.AllowInsecureHTTP:
		errs = append(errs, errors.New("the URL is plain HTTP to another machine, which AllowInsecureHTTP would allow"))
	}
	if o.Token == nil {
		errs = append(errs, errors.New("no Token"))
	}
	if o.ProjectKey == "" {
		errs = append(errs, errors.New("no ProjectKey"))
	}
	if o.Branch != "" && o.PullRequest != "" {
		errs = append(errs, errors.New("both Branch and PullRequest are given"))
	}
	if o.PullRequest == "" && (o.PullRequestBranch != "" || o.PullRequestBase != "") {
		errs = append(errs, errors.New("PullRequestBranch and PullRequestBase belong to a PullRequest"))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Properties)) {
		if isCredential(name) {
			errs = append(errs, fmt.Errorf("%s in Properties would stand in the list of processes: the token belongs to Token, other credentials to Env", name))
		}
	}
	if o.Analyze && o.ReportTask != "" {
		errs = append(errs, errors.New("both Analyze and ReportTask are given"))
	}
	if len(errs) > 0 {
		return nil, &scan.Error{Op: "new", Scanner: Name, Kind: scan.ErrConfig, Err: errors.Join(errs...)}
	}
	s := &Scanner{o: *o, base: base, http: httpx.Client(o.HTTPClient)}
	if s.o.MaxIssues <= 0 {
		s.o.MaxIssues = 200_000
	}
	if s.o.Poll <= 0 {
		s.o.Poll = time.Second
	}
	return s, nil
}

// isCredential reports whether a property of sonar-scanner is secret: those of proxies and of key stores, too.
func isCredential(property string) bool {
	name := strings.ToLower(property)
	return name == "sonar.token" || name == "sonar.login" || strings.HasSuffix(name, "password")
}

// Name returns "sonarqube".
func (s *Scanner) Name() string { return Name }

// Scan brings the verdict on the analysis of a [scan.Dir] or [scan.Git] target.
func (s *Scanner) Scan(ctx context.Context, t scan.Target) (*scan.Result, error) {
	start := time.Now()
	fail := func(kind, err error) error {
		return &scan.Error{Op: "scan", Scanner: Name, Target: t.String(), Kind: kind, Err: err}
	}
	if t.Kind != scan.Dir && t.Kind != scan.Git || t.Range != "" {
		return nil, fail(scan.ErrSkipped, fmt.Errorf("SonarQube analyses a directory, not %s", t))
	}
	if info, err := os.Stat(t.Path); err != nil {
		return nil, fail(scan.ErrTarget, err)
	} else if !info.IsDir() {
		return nil, fail(scan.ErrTarget, errors.New("not a directory"))
	}
	c, err := s.dial(ctx)
	if err != nil {
		return nil, wrap(t, err)
	}
	task, err := s.analysis(ctx, t)
	if err != nil {
		return nil, wrap(t, err)
	}
	res, err := c.verdict(ctx, t, task)
	if res != nil {
		res.Took = time.Since(start)
	}
	return res, wrap(t, err)
}

// wrap gives an error of a step the target's name.
func wrap(t scan.Target, err error) error {
	if e, ok := errors.AsType[*scan.Error](err); ok {
		if e.Target == "" {
			e.Target = t.String()
		}
		return err
	}
	if err != nil {
		return &scan.Error{Op: "scan", Scanner: Name, Target: t.String(), Kind: scan.ErrBroken, Err: err}
	}
	return nil
}

// verdict waits for an analysis and collects what the server says about it.
func (c *client) verdict(ctx context.Context, t scan.Target, id string) (*scan.Result, error) {
	analysis, err := c.await(ctx, id)
	if err != nil {
		return nil, err
	}
	gate, err := c.gate(ctx, analysis.ID)
	if err != nil {
		return nil, err
	}
	if err := c.sawFiles(ctx); err != nil {
		return nil, err
	}
	rep, err := c.findings(ctx, t)
	if err != nil {
		return nil, err
	}
	res := &scan.Result{Scanner: Name, Version: c.version, Target: t, Report: rep, Notes: append(c.notes(), analysis.Warnings...)}
	for i := range rep.Runs {
		rep.Runs[i].Version, rep.Runs[i].Target = c.version, t.String()
	}
	if err := gate.addTo(ctx, rep); err != nil {
		return nil, err
	}
	if gate.Status == "NONE" || gate.Status == "" {
		if !c.o.AllowNoGate {
			res.Status = scan.Failed
			return res, &scan.Error{Op: "read quality gate", Scanner: Name, Kind: scan.ErrBroken, Err: errors.New("no quality gate was applied (status NONE), which is no pass; AllowNoGate would take it for one")}
		}
		res.Notes = append(res.Notes, "no quality gate was applied")
	}
	if gate.Status == "WARN" {
		res.Notes = append(res.Notes, "the quality gate warns")
	}
	res.Status = scan.StatusOf(rep)
	if res.Status == scan.Failed {
		return res, &scan.Error{Op: "read issues", Scanner: Name, Kind: scan.ErrOutput, Err: errors.New(reason(rep))}
	}
	return res, nil
}

func reason(r *report.Report) string {
	for _, run := range r.Runs {
		if run.Status != report.StatusCompleted {
			return "the server's answer is not complete: " + run.Reason
		}
	}
	return "the server's answer is not complete"
}
