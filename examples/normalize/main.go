// Normalize makes one trusted report of what any scanners, tests and coverage tools wrote.
//
//	normalize [-o DIR] [-root DIR] [-baseline FILE] [-suppress FILE] [-policy FILE] [-dedupe] [-format auto|NAME] FILE|-...
//
// It prints what is in the reports as one JSON object; with -o it writes merged.sarif, report.html, summary.md,
// junit.xml, coverage.xml, findings.csv, findings.jsonl, gitlab.json and CodeAnalysisLogs/ there. Exit code 0:
// done, and the policy if any is met; 1: the policy is not met; 2: wrong usage; 3: something cannot be read or
// written. With REPORT_SECRET_KEY set, secrets are known again by an HMAC with that key.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// job is what the flags say.
type job struct {
	out, root, baseline, suppress, policy, format string

	dedupe bool
	files  []string
}

// errUsage is in the chain of errors about the flags and the files that belong to them.
var errUsage = errors.New("wrong usage")

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	j, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	summary, err := j.do(ctx, stdin, stderr)
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "normalize:", err)
		return 2
	case err != nil:
		fmt.Fprintln(stderr, "normalize:", err)
		return 3
	}
	if err := json.NewEncoder(stdout).Encode(summary); err != nil {
		fmt.Fprintln(stderr, "normalize:", err)
		return 3
	}
	if summary.Verdict == "fail" {
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (*job, error) {
	j := &job{}
	flags := flag.NewFlagSet("normalize", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: normalize [flags] FILE|-...")
		flags.PrintDefaults()
	}
	flags.StringVar(&j.out, "o", "", "write all outputs into `DIR`")
	flags.StringVar(&j.root, "root", "", "`DIR` of the sources: paths become relative to it, and findings are known again by the text around them")
	flags.StringVar(&j.baseline, "baseline", "", "earlier report `FILE` to compare with")
	flags.StringVar(&j.suppress, "suppress", "", "`FILE` of accepted findings: suppressions, or OpenVEX")
	flags.StringVar(&j.policy, "policy", "", "`FILE` with the policy that the reports must meet")
	flags.BoolVar(&j.dedupe, "dedupe", false, "join findings that are the same")
	flags.StringVar(&j.format, "format", format.Auto, "`NAME` of the format of the files: auto, "+strings.Join(format.Names(), ", "))
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	j.files = flags.Args()
	if len(j.files) == 0 {
		flags.Usage()
		return nil, errUsage
	}
	if j.format != format.Auto && !slices.Contains(format.Names(), j.format) {
		fmt.Fprintf(stderr, "normalize: -format %q is not known\n", j.format)
		flags.Usage()
		return nil, errUsage
	}
	return j, nil
}

// do reads, works and writes, in that order.
func (j *job) do(ctx context.Context, stdin io.Reader, notes io.Writer) (*report.Summary, error) {
	policy, accepted, err := j.rules()
	if err != nil {
		return nil, err
	}
	in, err := j.open(ctx, stdin)
	defer in.close()
	if err != nil {
		return nil, err
	}
	source, err := j.work(ctx, in, accepted, notes)
	if err != nil {
		return nil, err
	}
	var verdict *report.Verdict
	if policy != nil {
		v, err := policy.Gate(ctx, source)
		if err != nil {
			return nil, err
		}
		verdict = &v
	}
	var summary report.Summary
	if j.out == "" {
		summary, err = report.Summarize(ctx, source)
	} else {
		summary, err = write(ctx, j.out, source, verdict)
	}
	if err != nil {
		return nil, err
	}
	if verdict != nil {
		summary.Judge(*verdict)
	}
	return &summary, nil
}

// work joins the inputs and compares, dedupes and suppresses as asked.
func (j *job) work(ctx context.Context, in *inputs, accepted *report.Suppressions, notes io.Writer) (report.Source, error) {
	source := report.Join(in.now...)
	var err error
	if j.dedupe {
		if source, err = report.Dedupe(ctx, source); err != nil {
			return nil, err
		}
	}
	if in.before != nil {
		if source, err = report.Compare(ctx, source, in.before, nil); err != nil {
			return nil, err
		}
	}
	if accepted != nil {
		var done report.Suppressed
		if source, done, err = report.Suppress(ctx, source, accepted, nil); err != nil {
			return nil, err
		}
		for _, list := range []struct {
			what    string
			entries []report.SuppressionEntry
		}{{"expired", done.Expired}, {"expiring", done.Expiring}, {"unused", done.Unused}} {
			for _, e := range list.entries {
				fmt.Fprintf(notes, "normalize: %s suppression: %v\n", list.what, e)
			}
		}
	}
	return source, nil
}

// rules reads the policy and the accepted findings, nil for those not asked for.
func (j *job) rules() (policy *report.Policy, accepted *report.Suppressions, err error) {
	if j.policy != "" {
		data, err := readFile(j.policy)
		if err != nil {
			return nil, nil, err
		}
		p, err := report.ParsePolicy(data)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: -policy %s: %w", errUsage, j.policy, err)
		}
		policy = &p
	}
	if j.suppress != "" {
		data, err := readFile(j.suppress)
		if err != nil {
			return nil, nil, err
		}
		// OpenVEX says so in its context.
		accepted, err = report.ParseOpenVEX(data)
		if errors.Is(err, report.ErrUnknownFormat) {
			accepted, err = report.ParseSuppressions(data)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%w: -suppress %s: %w", errUsage, j.suppress, err)
		}
	}
	return policy, accepted, nil
}

const maxRules = 64 << 20 // bytes of a policy or a list of accepted findings

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRules+1))
	if err == nil && len(data) > maxRules {
		err = fmt.Errorf("%s: larger than the cap of %d bytes", path, maxRules)
	}
	return data, err
}
