package ci

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/report"
)

// Azure writes the logging commands of Azure DevOps pipelines, one per line. The agent obeys them where they
// stand on the standard output of a step.
type Azure struct{ w io.Writer }

// NewAzure returns a writer of commands to w, by habit os.Stdout.
func NewAzure(w io.Writer) *Azure { return &Azure{w: w} }

// property is one property of a command. Those with an empty value are left out.
type property struct{ name, value string }

// percent must be replaced first; agents read %AZP25 since 2.181, and older ones show it.
var (
	azureData     = strings.NewReplacer("%", "%AZP25", "\r", "%0D", "\n", "%0A")
	azureProperty = strings.NewReplacer("%", "%AZP25", "\r", "%0D", "\n", "%0A", "]", "%5D", ";", "%3B")
)

func (a *Azure) command(name string, properties []property, data string) error {
	var b strings.Builder
	b.WriteString("##vso[" + name)
	sep := " "
	for _, p := range properties {
		if p.value != "" {
			b.WriteString(sep + p.name + "=" + azureProperty.Replace(harmless(p.value)) + ";")
			sep = ""
		}
	}
	b.WriteString("]" + azureData.Replace(harmless(data)))
	return write(a.w, "Azure DevOps command", b.String())
}

func invalid(what string, err error) error {
	return &report.Error{Op: "write", Subject: what, Kind: report.ErrInvalid, Err: err}
}

// TestOptions says how results are published. The zero value is fine.
type TestOptions struct {
	// RunTitle names the test run.
	RunTitle string
	// FailTask makes the step fail when a test did.
	FailTask bool
	// SkipMerge makes a test run of each file instead of one of all.
	SkipMerge bool
}

// PublishTests shows the tests of JUnit files on the Tests tab (results.publish). The agent takes the files
// apart at commas, so a path cannot hold one. o may be nil.
func (a *Azure) PublishTests(files []string, o *TestOptions) error {
	if o == nil {
		o = &TestOptions{}
	}
	if len(files) == 0 {
		return invalid("results.publish", errors.New("no file"))
	}
	for _, f := range files {
		if f == "" || strings.Contains(f, ",") {
			return invalid("results.publish", fmt.Errorf("path %q is empty or holds a comma", f))
		}
	}
	p := []property{{"type", "JUnit"}, {"mergeResults", strconv.FormatBool(!o.SkipMerge)}, {"runTitle", o.RunTitle}, {"publishRunAttachments", "true"}}
	if o.FailTask {
		p = append(p, property{"failTaskOnFailedTests", "true"})
	}
	return a.command("results.publish", append(p, property{"resultFiles", strings.Join(files, ",")}), "")
}

// PublishCoverage shows a Cobertura file on the Code Coverage tab (codecoverage.publish). reportDir is a
// directory of HTML that is shown there, or empty.
func (a *Azure) PublishCoverage(file, reportDir string) error {
	if file == "" {
		return invalid("codecoverage.publish", errors.New("no file"))
	}
	return a.command("codecoverage.publish", []property{{"codecoveragetool", "Cobertura"}, {"summaryfile", file}, {"reportdirectory", reportDir}}, "")
}

// UploadArtifact uploads a file or directory into an artifact of the run (artifact.upload).
func (a *Azure) UploadArtifact(name, path string) error {
	if name == "" || path == "" {
		return invalid("artifact.upload", errors.New("no name or no path"))
	}
	return a.command("artifact.upload", []property{{"containerfolder", name}, {"artifactname", name}}, path)
}

// UploadScans uploads the folder of [WriteScans] as the artifact that the Scans tab looks for.
func (a *Azure) UploadScans(dir string) error { return a.UploadArtifact(ScansFolder, dir) }

// UploadSummary shows a Markdown file on the Extensions tab of the run (task.uploadsummary). The agent wants
// an absolute path.
func (a *Azure) UploadSummary(path string) error {
	if path == "" {
		return invalid("task.uploadsummary", errors.New("no path"))
	}
	return a.command("task.uploadsummary", nil, path)
}

// AddBuildTag tags the run (build.addbuildtag).
func (a *Azure) AddBuildTag(tag string) error {
	if strings.TrimSpace(tag) == "" {
		return invalid("build.addbuildtag", errors.New("no tag"))
	}
	return a.command("build.addbuildtag", nil, tag)
}

// Result is how a step ends.
type Result string

// The results.
const (
	Succeeded           Result = "Succeeded"
	SucceededWithIssues Result = "SucceededWithIssues"
	Failed              Result = "Failed"
)

// Complete ends the step with a result (task.complete). The program goes on; its exit code no longer counts
// when it is 0.
func (a *Azure) Complete(r Result, message string) error {
	switch r {
	case Succeeded, SucceededWithIssues, Failed:
	default:
		return invalid("task.complete", fmt.Errorf("result %q is none of Succeeded, SucceededWithIssues, Failed", r))
	}
	return a.command("task.complete", []property{{"result", string(r)}}, message)
}

// LogIssue shows an error or a warning on the page of the run (task.logissue). A level below warning is
// shown as a warning, since there is nothing lower. Path, line, column and code may be empty or 0.
func (a *Azure) LogIssue(level report.Level, text, path string, line, column int, code string) error {
	kind := "warning"
	if level == report.LevelError {
		kind = "error"
	}
	return a.command("task.logissue", []property{
		{"type", kind}, {"sourcepath", path}, {"linenumber", positive(line)}, {"columnnumber", positive(column)}, {"code", code},
	}, text)
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// LogIssues shows the worst open findings of s, at most limit of them (0: 10, as many as the page of a run
// shows of one step), and says how many more there are.
func (a *Azure) LogIssues(ctx context.Context, s report.Source, limit int) error {
	list, more, err := worst(ctx, s, cmp.Or(limit, 10))
	if err != nil {
		return failed("write", "Azure DevOps command", err)
	}
	for i := range list {
		f := &list[i]
		if err := a.LogIssue(f.Level, message(f), f.Location.Path, f.Location.StartLine, f.Location.StartColumn, f.Rule); err != nil {
			return err
		}
	}
	if more > 0 {
		return a.LogIssue(report.LevelWarning, fmt.Sprintf("%d findings more are in the report", more), "", 0, 0, "")
	}
	return nil
}
