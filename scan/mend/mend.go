// Package mend brings the verdict of Mend (formerly WhiteSource) on dependencies, code or an image.
//
// [NewCLI] runs the Mend CLI, [NewAgent] the Unified Agent; [NewReader] reads what either of them, or Mend Bolt
// in an Azure DevOps pipeline, left behind in an earlier step. What counts as left behind is told by its content:
// scan reports, vulnerabilities of a project, platform API answers, policy rejections, checked policies, and
// SARIF.
//
// A policy violation is a verdict, not a crash: it is a finding of category policy.
//
// This package was written after Mend's documentation and after pipelines that others published; no Mend service was
// at hand to test it on.
//
// # Errors
//
// Errors are [*scan.Error] with [scan.ErrConfig], [scan.ErrTarget] (no such path, nothing left behind),
// [scan.ErrSkipped], [scan.ErrToolMissing], [scan.ErrToolVersion], [scan.ErrDenied] (the licence or the login was
// refused), [scan.ErrUnavailable] (the server could not be reached), [scan.ErrBroken], [scan.ErrOutput] and
// [scan.ErrTooLarge].
package mend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/waybill-dev/waybill/internal/leftover"
	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
)

// Name of the scanners, in results.
const Name = "mend"

const (
	maxReport = 256 << 20
	maxSaid   = 64 << 20 // by a tool while it works
)

// Scanner brings Mend's verdict. Make one with [NewCLI], [NewAgent] or [NewReader]; it is safe for concurrent
// use on different targets.
type Scanner struct {
	kinds   []scan.Kind
	reports []string // patterns below the target; nil when the tool is told where to write
	run     func(ctx context.Context, t scan.Target, dir string) (*ended, error)
}

var _ scan.Scanner = (*Scanner)(nil)

// ended is what a run of a tool came to.
type ended struct {
	version  string
	violated bool // a policy was violated
	mute     bool // the tool has a verdict and writes no report
	notes    []string
	file     string // the report, when the tool was told where to write it
	out      *command.Output
}

// DefaultReports are the files that Mend's tools are known to leave behind, as patterns below the target.
func DefaultReports() []string {
	return []string{
		"whitesource/*scan_report.json", "whitesource/policyRejectionSummary.json", "whitesource/checkPolicies-json.txt",
		"mend/*scan_report.json", "mend/policyRejectionSummary.json", "mend/checkPolicies-json.txt",
	}
}

// NewReader returns a scanner that runs nothing and reads the files that match reports, patterns relative to the
// target in which ** stands for any number of directories; each must match. Without patterns it reads whatever
// there is of [DefaultReports].
func NewReader(reports ...string) (*Scanner, error) {
	var errs []error
	for _, p := range reports {
		errs = append(errs, leftover.Check(p))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &scan.Error{Op: "new", Scanner: Name, Kind: scan.ErrConfig, Err: err}
	}
	return &Scanner{kinds: []scan.Kind{scan.Dir, scan.Git}, reports: reports}, nil
}

// Name returns "mend".
func (s *Scanner) Name() string { return Name }

// Scan brings the verdict on a target.
func (s *Scanner) Scan(ctx context.Context, t scan.Target) (*scan.Result, error) {
	start := time.Now()
	if !slices.Contains(s.kinds, t.Kind) || t.Range != "" {
		return nil, fail(t, scan.ErrSkipped, fmt.Errorf("not for %s", t), nil)
	}
	root, err := place(t)
	if err != nil {
		return nil, fail(t, scan.ErrTarget, err, nil)
	}
	tmp, err := os.MkdirTemp("", "waybill-mend-")
	if err != nil {
		return nil, fail(t, scan.ErrBroken, err, nil)
	}
	defer os.RemoveAll(tmp)

	end := &ended{}
	if s.run != nil {
		if end, err = s.run(ctx, t, tmp); err != nil {
			return nil, err
		}
	}
	files, err := s.files(root, end, start)
	if err != nil {
		return nil, fail(t, scan.ErrOutput, err, end.out)
	}
	switch {
	case len(files) > 0 || end.violated:
	case s.run == nil:
		return nil, fail(t, scan.ErrTarget, errors.New("no report of Mend's tools here"), nil)
	case end.mute:
		end.notes = append(end.notes, "only the policies' verdict is known: the Mend CLI writes no report on dependencies that can be read")
	default:
		return nil, fail(t, scan.ErrOutput, errors.New("the tool wrote no report"), end.out)
	}
	rep, err := read(ctx, root, files, end)
	if err != nil {
		return nil, fail(t, command.OutputKind(err), err, end.out)
	}
	conclude(rep, t, end)
	if err := rep.Normalize(ctx, nil); err != nil {
		return nil, fail(t, scan.ErrBroken, err, nil)
	}
	res := &scan.Result{
		Scanner: Name, Version: end.version, Target: t, Status: scan.StatusOf(rep), Notes: end.notes, Report: rep, Took: time.Since(start),
	}
	if res.Status == scan.Failed {
		return res, fail(t, scan.ErrBroken, errors.New("a report says that the scan did not complete"), end.out)
	}
	return res, nil
}

func fail(t scan.Target, kind, err error, out *command.Output) error {
	e := &scan.Error{Op: "scan", Scanner: Name, Target: t.String(), Kind: kind, Err: err}
	if out != nil {
		e.Stderr = out.Stderr
	}
	return e
}

// place returns the directory reports lie in, "" for an image.
func place(t scan.Target) (string, error) {
	if t.Kind == scan.Image {
		return "", nil
	}
	info, err := os.Stat(t.Path)
	if err != nil {
		return "", err
	}
	if (t.Kind == scan.Dir || t.Kind == scan.Git) && !info.IsDir() {
		return "", errors.New("not a directory")
	}
	return filepath.Abs(t.Path)
}

// files lists the reports to read. After a run they must be of that run.
func (s *Scanner) files(root string, end *ended, start time.Time) ([]string, error) {
	if end.file != "" {
		return []string{end.file}, nil
	}
	since := time.Time{}
	if s.run != nil {
		since = start
	}
	var all []string
	if len(s.reports) > 0 {
		files, err := leftover.Find(root, s.reports, since)
		if err != nil {
			return nil, err
		}
		all = files
	} else {
		for _, p := range DefaultReports() {
			// The tools write what there is to say; a pattern without a file is none of a run's failures, and
			// neither is one with a file of before.
			if files, err := leftover.Find(root, []string{p}, since); err == nil {
				all = append(all, files...)
			}
		}
	}
	for i, f := range all {
		all[i] = filepath.Join(root, filepath.FromSlash(f))
	}
	return all, nil
}

func read(ctx context.Context, root string, files []string, end *ended) (*report.Report, error) {
	all := &report.Report{}
	for _, name := range files {
		one, err := readFile(ctx, root, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		first := len(all.Runs)
		all.Runs = append(all.Runs, one.Runs...)
		for _, f := range one.Findings {
			f.Run += first
			all.Findings = append(all.Findings, f)
		}
		for _, u := range one.Unplaced {
			all.AddUnplaced(u.Tool, u.Reason, u.Count)
		}
	}
	return all, nil
}

func readFile(ctx context.Context, root, name string) (*report.Report, error) {
	b, err := command.ReadFile(name, maxReport)
	if err != nil {
		return nil, err
	}
	return format.Read(ctx, bytes.NewReader(b), &format.ReadOptions{Options: report.Options{Root: root}})
}

// conclude completes the runs, and makes a finding of a policy violation that no report explains.
func conclude(r *report.Report, t scan.Target, end *ended) {
	if len(r.Runs) == 0 {
		r.Runs = []report.Run{{Tool: "Mend", Status: report.StatusCompleted}}
	}
	for i := range r.Runs {
		r.Runs[i].Target = t.String()
		if end.version != "" {
			r.Runs[i].Version = end.version
		}
	}
	if !end.violated {
		return
	}
	if slices.ContainsFunc(r.Findings, func(f report.Finding) bool { return f.Category == report.CategoryPolicy }) {
		return
	}
	r.Findings = append(r.Findings, report.Finding{
		Rule: "policy-violation", Title: "Policy violation", Message: "Mend's policies reject what was scanned", Category: report.CategoryPolicy, Level: report.LevelError,
	})
}
