// Package trivy scans images, directories and SBOMs with the Trivy command, version 0.68 or later.
//
//   - [scan.Layout] and [scan.Archive]: the bytes on disk that are about to be pushed, every image of a
//     layout that holds several
//   - [scan.Image]: a reference in a registry; never whatever a Docker engine on this machine has by that name
//   - [scan.Dir] and [scan.Git]: lock files, and as asked for secrets, licences and misconfigurations
//   - [scan.SBOM]: CycloneDX or SPDX
//
// Trivy reports in its own JSON, which says more than its SARIF. It is run in an empty directory with a small
// environment, so that a trivy.yaml or TRIVY_ variables lying around change nothing; the cache of scanned
// layers is not shared, so that scans can run side by side. With Options.Offline it asks nobody: the database
// must be in the cache directory.
//
// Trivy leaves out a lock file that it cannot read, without a word, and finds nothing wrong with a directory that has
// none. Where it is asked about packages alone and recognised not a single one, the scan is [scan.Skipped].
//
// # Errors
//
// Errors are [*scan.Error] with [scan.ErrConfig], [scan.ErrTarget] (no such path, a layout without an image),
// [scan.ErrSkipped] (staged content, ranges, no package recognised), [scan.ErrToolMissing], [scan.ErrToolVersion], [scan.ErrBroken]
// (Trivy failed: no database, no such image; its last words are in the error), [scan.ErrOutput] and
// [scan.ErrTooLarge].
package trivy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/realpath"
	"github.com/waybill-dev/waybill/report"
	format "github.com/waybill-dev/waybill/report/format/trivy"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
)

// Name of the scanner, in results.
const Name = "trivy"

// The supported versions: MinVersion and later, below BelowVersion.
const (
	MinVersion   = "0.68.0"
	BelowVersion = "1.0.0"
)

// Check is something Trivy looks for.
type Check string

// The checks.
const (
	Vulnerabilities   Check = "vuln"
	Misconfigurations Check = "misconfig"
	Secrets           Check = "secret"
	Licenses          Check = "license"
)

// SBOMFormat is a format of a software bill of materials.
type SBOMFormat string

// The formats.
const (
	CycloneDX SBOMFormat = "cyclonedx"
	SPDX      SBOMFormat = "spdx-json"
)

// Options for [New]. The zero value looks for vulnerabilities of any severity, with a database that Trivy
// downloads to its usual cache directory when it is older than a day.
type Options struct {
	Path     string  // the trivy command; "" is looked up on the PATH
	Checks   []Check // nil is Vulnerabilities
	CacheDir string  // holds the database (db/trivy.db, db/metadata.json); "" is Trivy's own choice

	Severities    []report.Severity // report these only; nil reports all. Trivy knows no info
	IgnoreUnfixed bool              // leave out vulnerabilities that no version repairs yet
	IgnoreFile    string            // findings to leave out; "" is .trivyignore or .trivyignore.yaml of a Dir or Git target

	SBOM     []SBOMFormat // make these bills of materials, as artifacts of the result
	Platform string       // Image only: "linux/arm64"; "" is what Trivy chooses

	// Username and Password, both or neither, log in at the registry of an Image target. Without them the logins of
	// "docker login" count, those in the directory DOCKER_CONFIG names or in ~/.docker.
	Username string
	Password func(ctx context.Context) (string, error)

	MaxReport int64 // cap of Trivy's report in bytes; 0 is 256 MiB

	Offline               bool // ask nobody: no database update, no checks, no registry of Java packages
	AllowInsecureRegistry bool // take registries with certificates that cannot be verified, or without TLS
	IgnoreTargetOptions   bool // leave the target's own .trivyignore unread
}

// Scanner drives Trivy. Make one with [New]; it is safe for concurrent use.
type Scanner struct{ o Options }

var _ scan.Scanner = (*Scanner)(nil)

// New returns a scanner. o may be nil. The error, with [scan.ErrConfig], names every option that cannot be.
func New(o *Options) (*Scanner, error) {
	if o == nil {
		o = &Options{}
	}
	var errs []error
	for _, c := range o.Checks {
		if !slices.Contains([]Check{Vulnerabilities, Misconfigurations, Secrets, Licenses}, c) {
			errs = append(errs, fmt.Errorf("%q in Checks is none of vuln, misconfig, secret, license", c))
		}
	}
	for _, f := range o.SBOM {
		if f != CycloneDX && f != SPDX {
			errs = append(errs, fmt.Errorf("%q in SBOM is none of cyclonedx, spdx-json", f))
		}
	}
	for _, s := range o.Severities {
		if s == report.SeverityInfo {
			errs = append(errs, errors.New("the severity info in Severities is none of Trivy's"))
		}
	}
	if (o.Username == "") != (o.Password == nil) {
		errs = append(errs, errors.New("only one of Username and Password is given"))
	}
	if o.MaxReport < 0 {
		errs = append(errs, errors.New("the size MaxReport is negative"))
	}
	if len(errs) > 0 {
		return nil, &scan.Error{Op: "new", Scanner: Name, Kind: scan.ErrConfig, Err: errors.Join(errs...)}
	}
	s := &Scanner{*o}
	if s.o.Checks == nil {
		s.o.Checks = []Check{Vulnerabilities}
	}
	if s.o.MaxReport == 0 {
		s.o.MaxReport = 256 << 20
	}
	return s, nil
}

// Name returns "trivy".
func (s *Scanner) Name() string { return Name }

// Scan runs Trivy on a target, once for each image of a layout.
func (s *Scanner) Scan(ctx context.Context, t scan.Target) (*scan.Result, error) {
	start := time.Now()
	if t.Kind == scan.Staged || t.Kind == scan.Stream || t.Range != "" {
		return nil, fail(t, scan.ErrSkipped, fmt.Errorf("trivy does not scan %s", t), "")
	}
	if t.Kind != scan.Image {
		if _, err := os.Stat(t.Path); err != nil {
			return nil, fail(t, scan.ErrTarget, err, "")
		}
	}
	prog, err := command.Tool{Name: Name, Path: s.o.Path, VersionArgs: []string{"--version"}, Min: MinVersion, Below: BelowVersion}.Find(ctx)
	if err != nil {
		return nil, err
	}
	if s, err = s.rooted(); err != nil {
		return nil, fail(t, scan.ErrConfig, err, "")
	}
	tmp, err := os.MkdirTemp("", "waybill-trivy-")
	if err != nil {
		return nil, fail(t, scan.ErrBroken, err, "")
	}
	defer os.RemoveAll(tmp)
	subjects, err := s.subjects(t, tmp)
	if err != nil {
		return nil, fail(t, scan.ErrTarget, err, "")
	}

	res := &scan.Result{Scanner: Name, Version: prog.Version, Target: t, Report: &report.Report{}}
	packages := 0
	for i, sub := range subjects {
		r := run{s: s, prog: prog, target: t, dir: tmp, subject: sub, suffix: suffix(i, len(subjects))}
		if err := r.do(ctx, res); err != nil {
			return nil, err
		}
		packages += r.packages
	}
	if packages == 0 && s.packagesOnly() {
		return nil, fail(t, scan.ErrSkipped, errors.New("Trivy recognised no packages"), "") //nolint:staticcheck // a name
	}
	res.Status, res.Took = scan.StatusOf(res.Report), time.Since(start)
	if res.Status == scan.Failed {
		return res, fail(t, scan.ErrBroken, errors.New("the report says that the scan did not complete"), "")
	}
	return res, nil
}

// rooted returns the scanner with absolute paths: Trivy runs in another directory. It would not mind an ignore file
// that is not there.
func (s *Scanner) rooted() (*Scanner, error) {
	o := s.o
	for _, path := range []*string{&o.IgnoreFile, &o.CacheDir} {
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return nil, err
		}
		*path = abs
	}
	if o.IgnoreFile != "" {
		if _, err := os.Stat(o.IgnoreFile); err != nil {
			return nil, fmt.Errorf("the file IgnoreFile: %w", err)
		}
	}
	return &Scanner{o}, nil
}

// packagesOnly reports whether all that is looked for are properties of packages.
func (s *Scanner) packagesOnly() bool {
	return !slices.Contains(s.o.Checks, Misconfigurations) && !slices.Contains(s.o.Checks, Secrets)
}

// suffix tells the artifacts of several images apart.
func suffix(i, n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf("-%d", i+1)
}

func fail(t scan.Target, kind, err error, stderr string) error {
	return &scan.Error{Op: "scan", Scanner: Name, Target: t.String(), Kind: kind, Err: err, Stderr: stderr}
}

// subject is what one run of Trivy looks at.
type subject struct {
	args     []string // subcommand, and what stands for the target
	category string   // of the run in the report, where there are several
	root     string   // of the sources
	ignore   string   // ignore file
}

func (s *Scanner) subjects(t scan.Target, tmp string) ([]subject, error) {
	if t.Kind == scan.Image {
		// Trivy's first choice would be an image of that name in a Docker engine on this machine.
		args := []string{"image", "--image-src", "remote"}
		if s.o.Platform != "" {
			args = append(args, "--platform", s.o.Platform)
		}
		return []subject{{args: append(args, "--", t.Path), ignore: s.o.IgnoreFile}}, nil
	}
	path, err := realpath.Of(t.Path)
	if err != nil {
		return nil, err
	}
	sub := subject{ignore: s.o.IgnoreFile}
	switch t.Kind {
	case scan.Layout:
		return layoutSubjects(path, tmp, s.o.IgnoreFile)
	case scan.Archive:
		// Trivy cuts the name of an archive at a colon or an @: give it one without.
		if err := os.Symlink(path, filepath.Join(tmp, "archive.tar")); err != nil {
			return nil, err
		}
		sub.args = []string{"image", "--input", "archive.tar"}
	case scan.SBOM:
		sub.args = []string{"sbom", "--", path}
	default:
		sub.args, sub.root = []string{"fs", "--", path}, path
		if sub.ignore == "" && !s.o.IgnoreTargetOptions {
			sub.ignore = ownIgnoreFile(path)
		}
	}
	return []subject{sub}, nil
}

func ownIgnoreFile(dir string) string {
	for _, name := range []string{".trivyignore", ".trivyignore.yaml"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// run is one run of Trivy.
type run struct {
	s       *Scanner
	prog    *command.Program
	target  scan.Target
	dir     string // temporary
	subject subject
	suffix  string

	packages int // recognised by Trivy
}

func (r *run) do(ctx context.Context, res *scan.Result) error {
	file := filepath.Join(r.dir, "report"+r.suffix+".json")
	out, err := r.trivy(ctx, r.args(file)...)
	if err != nil {
		return err
	}
	if out.Code != 0 {
		return fail(r.target, scan.ErrBroken, fmt.Errorf("exit code %d", out.Code), out.Stderr)
	}
	raw, err := command.ReadReport(file, r.s.o.MaxReport)
	if err != nil {
		return fail(r.target, command.OutputKind(err), err, out.Stderr)
	}
	raw = out.Redact(raw)
	var notes []string
	if r.packages, notes, err = inspect(raw); err != nil {
		return fail(r.target, scan.ErrOutput, err, out.Stderr)
	}
	rep, err := format.Read(ctx, bytes.NewReader(raw), &report.Options{Root: r.subject.root, MaxBytes: r.s.o.MaxReport})
	if err != nil {
		return fail(r.target, command.OutputKind(err), err, out.Stderr)
	}
	res.Notes = append(res.Notes, notes...)
	r.add(res.Report, rep)
	for _, f := range r.s.o.SBOM {
		a, err := r.sbom(ctx, file, f)
		if err != nil {
			return err
		}
		res.Artifacts = append(res.Artifacts, a)
	}
	return nil
}

// add appends the report of this run to that of the whole scan.
func (r *run) add(all, one *report.Report) {
	first := len(all.Runs)
	for _, run := range one.Runs {
		run.Version, run.Target, run.Category = r.prog.Version, r.target.String(), r.subject.category
		all.Runs = append(all.Runs, run)
	}
	for _, f := range one.Findings {
		f.Run += first
		all.Findings = append(all.Findings, f)
	}
	for _, u := range one.Unplaced {
		all.AddUnplaced(u.Tool, u.Reason, u.Count)
	}
}

func (r *run) args(file string) []string {
	o := r.s.o
	checks := make([]string, len(o.Checks))
	for i, c := range o.Checks {
		checks[i] = string(c)
	}
	// A subcommand takes its flags before "--", where the subject starts.
	cut := slices.Index(r.subject.args, "--")
	if cut < 0 {
		cut = len(r.subject.args)
	}
	args := slices.Clone(r.subject.args[:cut])
	args = append(args, "--format", "json", "--output", file, "--exit-code", "0", "--scanners", strings.Join(checks, ","))
	args = append(args, r.common()...)
	if args[0] == "image" {
		args = append(args, "--cache-backend", "memory")
	}
	if len(o.Severities) > 0 {
		var names []string
		for _, s := range o.Severities {
			names = append(names, strings.ToUpper(s.String()))
		}
		args = append(args, "--severity", strings.Join(names, ","))
	}
	if o.IgnoreUnfixed {
		args = append(args, "--ignore-unfixed")
	}
	if r.subject.ignore != "" {
		args = append(args, "--ignorefile", r.subject.ignore)
	}
	if o.AllowInsecureRegistry && args[0] == "image" {
		args = append(args, "--insecure")
	}
	if o.Offline {
		args = append(args, "--offline-scan", "--skip-db-update", "--skip-java-db-update", "--skip-vex-repo-update")
		if args[0] != "sbom" {
			args = append(args, "--skip-check-update")
		}
	}
	return append(args, r.subject.args[cut:]...)
}

// common are the flags every subcommand takes.
func (r *run) common() []string {
	// The caller's context is the deadline; Trivy's own five minutes would cut it short.
	args := []string{"--timeout", "24h", "--skip-version-check", "--disable-telemetry", "--no-progress"}
	if r.s.o.CacheDir != "" {
		args = append(args, "--cache-dir", r.s.o.CacheDir)
	}
	return args
}

// sbom makes a bill of materials of a report, without a second scan.
func (r *run) sbom(ctx context.Context, file string, f SBOMFormat) (scan.Artifact, error) {
	a := scan.Artifact{Name: "sbom" + r.suffix + ".cdx.json", MediaType: "application/vnd.cyclonedx+json"}
	if f == SPDX {
		a.Name, a.MediaType = "sbom"+r.suffix+".spdx.json", "application/spdx+json"
	}
	path := filepath.Join(r.dir, a.Name)
	out, err := r.trivy(ctx, "convert", "--format", string(f), "--output", path, file)
	if err != nil {
		return a, err
	}
	if out.Code != 0 {
		return a, fail(r.target, scan.ErrBroken, fmt.Errorf("making %s: exit code %d", f, out.Code), out.Stderr)
	}
	if a.Data, err = command.ReadReport(path, r.s.o.MaxReport); err != nil {
		return a, fail(r.target, command.OutputKind(err), err, out.Stderr)
	}
	return a, nil
}

func (r *run) trivy(ctx context.Context, args ...string) (*command.Output, error) {
	c := command.Call{Args: args, Dir: r.dir, MaxOutput: r.s.o.MaxReport}
	// Where the logins at registries are, if not in ~/.docker.
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" && r.target.Kind == scan.Image { //nolint:forbidigo // handed on to the program
		dir, err := filepath.Abs(dir)
		if err != nil {
			return nil, fail(r.target, scan.ErrConfig, err, "")
		}
		c.Env = append(c.Env, "DOCKER_CONFIG="+dir)
	}
	if r.s.o.Username != "" && r.target.Kind == scan.Image {
		c.Env = append(c.Env, "TRIVY_USERNAME="+r.s.o.Username)
		c.Secrets = map[string]func(context.Context) (string, error){"TRIVY_PASSWORD": r.s.o.Password}
	}
	return r.prog.Run(ctx, c)
}

// inspect makes sure that a report is one of the supported versions: package report/format/trivy also reads those of
// before, which may be an empty list. And it says what a reader of the result should know and the findings do not tell:
// that Trivy recognised no package, so that finding none means nothing, and that the distribution gets no more repairs.
func inspect(raw []byte) (packages int, notes []string, err error) {
	var doc struct {
		SchemaVersion int
		Metadata      struct {
			OS struct {
				Family, Name string
				EOSL         bool
			}
		}
		Results []struct {
			Packages []struct{}
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return 0, nil, fmt.Errorf("the report is no JSON of Trivy's: %w", err)
	}
	if doc.SchemaVersion != 2 {
		return 0, nil, fmt.Errorf("the report is of schema version %d, not 2", doc.SchemaVersion)
	}
	for _, r := range doc.Results {
		packages += len(r.Packages)
	}
	if packages == 0 {
		notes = append(notes, "Trivy recognised no packages")
	}
	if os := doc.Metadata.OS; os.EOSL {
		notes = append(notes, fmt.Sprintf("%s %s has reached its end of life: no more repairs", os.Family, os.Name))
	}
	return packages, notes, nil
}
