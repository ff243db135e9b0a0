package sonarqube

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/retry"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
)

// reportTasks are where builds leave report-task.txt: sonar-scanner, Maven, Gradle, .NET.
var reportTasks = []string{".scannerwork/report-task.txt", "target/sonar/report-task.txt", "build/sonar/report-task.txt", ".sonarqube/out/.sonar/report-task.txt"}

const maxReportTask = 64 << 10

// analysis returns the server's task for the analysis of a target, made now or before.
func (s *Scanner) analysis(ctx context.Context, t scan.Target) (task string, err error) {
	if s.o.Analyze {
		return s.analyze(ctx, t)
	}
	names := reportTasks
	if s.o.ReportTask != "" {
		names = []string{s.o.ReportTask}
	}
	for _, name := range names {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(t.Path, filepath.FromSlash(name))
		}
		task, err := s.readTask(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return task, err
	}
	return "", &scan.Error{
		Op: "find analysis", Scanner: Name, Kind: scan.ErrTarget,
		Err: fmt.Errorf("no report-task.txt (looked for %s): was the project analysed?", strings.Join(names, ", ")),
	}
}

// readTask reads the task from a report-task.txt. A file of another project is an error: its verdict would be about
// something else.
func (s *Scanner) readTask(path string) (string, error) {
	b, err := command.ReadFile(path, maxReportTask)
	if err == nil {
		var task, project string
		if task, project, err = parseTask(b); err == nil && project != s.o.ProjectKey {
			err = fmt.Errorf("it is about the project %q, not %q", project, s.o.ProjectKey)
		}
		if err == nil {
			return task, nil
		}
	}
	return "", &scan.Error{Op: "read " + filepath.Base(path), Scanner: Name, Kind: scan.ErrTarget, Err: err}
}

// parseTask reads the key=value lines of a report-task.txt, of which the task and the project matter.
func parseTask(b []byte) (task, project string, err error) {
	values := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[k] = v
		}
	}
	if values["ceTaskId"] == "" {
		return "", "", errors.New("no ceTaskId: the file is not complete")
	}
	return values["ceTaskId"], values["projectKey"], nil
}

// analyze runs sonar-scanner.
func (s *Scanner) analyze(ctx context.Context, t scan.Target) (string, error) {
	prog, err := command.Tool{Name: "sonar-scanner", Path: s.o.Scanner, VersionArgs: []string{"--version"}, Min: "5.0"}.Find(ctx)
	if err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp("", "waybill-sonar-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	metadata := filepath.Join(tmp, "report-task.txt")

	out, err := prog.Run(ctx, command.Call{
		Args: s.properties(metadata), Dir: t.Path, Env: s.o.Env,
		Secrets: map[string]func(context.Context) (string, error){"SONAR_TOKEN": s.o.Token},
	})
	if err != nil {
		return "", err
	}
	if out.Code != 0 {
		return "", &scan.Error{
			Op: "analyse", Scanner: Name, Kind: scan.ErrBroken, Err: fmt.Errorf("sonar-scanner: %s", exitText(out.Code)), Stderr: problemLines(out),
		}
	}
	return s.readTask(metadata)
}

func (s *Scanner) properties(metadata string) []string {
	p := map[string]string{
		"sonar.working.directory": filepath.Join(filepath.Dir(metadata), "work"),
	}
	maps.Copy(p, s.o.Properties)
	p["sonar.host.url"], p["sonar.projectKey"], p["sonar.scanner.metadataFilePath"] = s.base.String(), s.o.ProjectKey, metadata
	for name, value := range map[string]string{
		"sonar.branch.name": s.o.Branch, "sonar.pullrequest.key": s.o.PullRequest,
		"sonar.pullrequest.branch": s.o.PullRequestBranch, "sonar.pullrequest.base": s.o.PullRequestBase,
	} {
		if value != "" {
			p[name] = value
		}
	}
	var args []string
	for _, k := range slices.Sorted(maps.Keys(p)) {
		args = append(args, "-D"+k+"="+p[k])
	}
	return args
}

func exitText(code int) string {
	switch code {
	case 1:
		return "exit code 1, it did not start or broke"
	case 2:
		return "exit code 2, a property is missing or wrong"
	case 3:
		return "exit code 3, the analysis failed"
	}
	return fmt.Sprintf("exit code %d", code)
}

// problemLines finds what sonar-scanner says about its failure: it logs to standard output.
func problemLines(out *command.Output) string {
	var lines []string
	for line := range strings.Lines(string(out.Stdout)) {
		if strings.Contains(line, "ERROR") && !strings.Contains(line, "Re-run") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	lines = append(lines, strings.TrimSpace(out.Stderr))
	return strings.TrimSpace(strings.Join(lines[max(0, len(lines)-20):], "\n"))
}

// processed is an analysis the server is done with.
type processed struct {
	ID       string
	Warnings []string
}

// await asks until the server has processed an analysis.
func (c *client) await(ctx context.Context, task string) (*processed, error) {
	const path = "api/ce/task"
	last := ""
	for pause := c.o.Poll; ; pause = min(pause*3/2, 5*time.Second) {
		var doc struct {
			Task struct {
				Status, AnalysisID, ErrorMessage, ErrorType string
				ComponentKey, Branch, PullRequest           string
				Warnings                                    []string
			}
		}
		if err := c.call(ctx, path, url.Values{"id": {task}, "additionalFields": {"warnings"}}, &doc); err != nil {
			if ctx.Err() != nil && last != "" {
				err = c.fail(path, scan.ErrUnavailable, fmt.Errorf("last seen %s: %w", last, context.Cause(ctx)))
			}
			return nil, err
		}
		last = doc.Task.Status
		switch tk := doc.Task; tk.Status {
		case "SUCCESS":
			if tk.AnalysisID == "" {
				return nil, c.fail(path, scan.ErrOutput, errors.New("the task succeeded, but names no analysis"))
			}
			if tk.ComponentKey != "" && tk.ComponentKey != c.o.ProjectKey {
				return nil, c.fail(path, scan.ErrTarget, fmt.Errorf("the task is about the project %q, not %q", tk.ComponentKey, c.o.ProjectKey))
			}
			if err := c.choose(ctx, tk.Branch, tk.PullRequest); err != nil {
				return nil, err
			}
			return &processed{ID: tk.AnalysisID, Warnings: tk.Warnings}, nil
		case "FAILED":
			return nil, c.fail(path, scan.ErrBroken, fmt.Errorf("the server failed to process the analysis: %s", strings.Join(strings.Fields(tk.ErrorMessage), " ")))
		case "CANCELED":
			return nil, c.fail(path, scan.ErrBroken, errors.New("the analysis was cancelled on the server"))
		case "PENDING", "IN_PROGRESS":
			if err := retry.Sleep(ctx, pause); err != nil {
				return nil, c.fail(path, scan.ErrUnavailable, fmt.Errorf("last seen %s: %w", tk.Status, err))
			}
		default:
			return nil, c.fail(path, scan.ErrOutput, fmt.Errorf("unknown status %q of the task", tk.Status))
		}
	}
}

// choose decides which branch or pull request is asked about: the one that was analysed, which is not always told to
// the caller. Builds find out by themselves that they run for a pull request. A task that names neither is about the
// main branch.
func (c *client) choose(ctx context.Context, branch, pullRequest string) error {
	c.branch, c.pullRequest = c.o.Branch, c.o.PullRequest
	switch {
	case c.branch == "" && c.pullRequest == "":
		c.branch, c.pullRequest = branch, pullRequest
		return nil
	case c.branch == branch && c.pullRequest == pullRequest:
		return nil
	case c.branch != "" && branch == "" && pullRequest == "":
		if main, err := c.isMain(ctx, c.branch); main || err != nil {
			return err
		}
	}
	return c.fail("api/ce/task", scan.ErrTarget, fmt.Errorf("the task is about %s, not %s", place(branch, pullRequest), place(c.branch, c.pullRequest)))
}

// isMain reports whether that is the name of the project's main branch.
func (c *client) isMain(ctx context.Context, branch string) (bool, error) {
	var doc struct {
		Branches []struct {
			Name   string
			IsMain bool
		}
	}
	err := c.call(ctx, "api/project_branches/list", url.Values{"project": {c.o.ProjectKey}}, &doc)
	for _, b := range doc.Branches {
		if b.IsMain && b.Name == branch {
			return true, nil
		}
	}
	return false, err
}

func place(branch, pullRequest string) string {
	switch {
	case pullRequest != "":
		return fmt.Sprintf("the pull request %q", pullRequest)
	case branch != "":
		return fmt.Sprintf("the branch %q", branch)
	}
	return "the main branch"
}
