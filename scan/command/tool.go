package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/scan"
)

// Tool names an external program and the versions of it that are known to work. Name is required.
type Tool struct {
	Name        string   // as found on the PATH, such as "trivy"; stands in messages too
	Path        string   // where the program is; "" looks on the PATH
	VersionArgs []string // arguments that make it print its version; nil, without Min and Below: the version is not asked for
	Min         string   // lowest supported version, such as "0.50.0"; "" is any
	Below       string   // lowest version above that is not supported, such as "1.0.0"; "" is none
}

// Program is a [Tool] that was found, in a version that is supported.
type Program struct {
	Name    string
	Path    string // absolute
	Version string // without a leading v; "" when it was not asked for
}

// Find looks the program up and asks for its version. Errors are [*scan.Error] with [scan.ErrConfig],
// [scan.ErrToolMissing], [scan.ErrToolVersion] (naming the version found and those supported), or
// [scan.ErrBroken] when it cannot say its version.
func (t Tool) Find(ctx context.Context) (*Program, error) {
	fail := func(kind, err error) error {
		return &scan.Error{Op: "find tool", Scanner: t.Name, Kind: kind, Err: err}
	}
	name := t.Path
	if name == "" {
		name = t.Name
	}
	if name == "" {
		return nil, fail(scan.ErrConfig, errors.New("no name"))
	}
	if err := t.check(); err != nil {
		return nil, fail(scan.ErrConfig, err)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, fail(scan.ErrToolMissing, fmt.Errorf("%w (install %s, or say where it is)", err, t.Name))
	}
	// A relative path would be looked up again from the directory the program is started in.
	if path, err = filepath.Abs(path); err != nil {
		return nil, fail(scan.ErrToolMissing, err)
	}
	p := &Program{Name: t.Name, Path: path}
	if len(t.VersionArgs) == 0 {
		return p, nil
	}
	out, err := p.Run(ctx, Call{Args: t.VersionArgs, MaxOutput: 1 << 20})
	if err != nil {
		return nil, err
	}
	if p.Version = findVersion(string(out.Stdout)); p.Version == "" {
		p.Version = findVersion(out.Stderr)
	}
	if p.Version == "" {
		return nil, &scan.Error{
			Op: "ask for the version", Scanner: t.Name, Kind: scan.ErrBroken,
			Err: fmt.Errorf("%s %s printed no version (exit code %d)", path, strings.Join(t.VersionArgs, " "), out.Code), Stderr: out.Stderr,
		}
	}
	if !t.supports(p.Version) {
		return nil, fail(scan.ErrToolVersion, fmt.Errorf("%s is version %s, supported is %s", path, p.Version, t.supported()))
	}
	return p, nil
}

// check refuses bounds that nothing could be held against.
func (t Tool) check() error {
	if len(t.VersionArgs) == 0 && (t.Min != "" || t.Below != "") {
		return errors.New("there is a Min or Below without VersionArgs to ask for the version")
	}
	return nil
}

func (t Tool) supports(v string) bool {
	return (t.Min == "" || compareVersions(v, t.Min) >= 0) && (t.Below == "" || compareVersions(v, t.Below) < 0)
}

func (t Tool) supported() string {
	switch {
	case t.Min != "" && t.Below != "":
		return t.Min + " or later, below " + t.Below
	case t.Min != "":
		return t.Min + " or later"
	default:
		return "below " + t.Below
	}
}

// versionPattern leaves out the seconds of a time of day, which some tools print first.
var versionPattern = regexp.MustCompile(`(?:^|[^0-9.:]|[^0-9]:)v?(\d+(?:\.\d+){1,3}(?:[-+][0-9A-Za-z.+-]+)?)`)

func findVersion(s string) string {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return ""
	}
	return m[1]
}

// compareVersions compares the numbers of two versions; what follows a dash or a plus does not count, so
// that a distribution's 1.2.3-4 is 1.2.3.
func compareVersions(a, b string) int {
	x, y := numbers(a), numbers(b)
	for i := range max(len(x), len(y)) {
		var m, n int
		if i < len(x) {
			m = x[i]
		}
		if i < len(y) {
			n = y[i]
		}
		if m != n {
			return cmp.Compare(m, n)
		}
	}
	return 0
}

func numbers(v string) []int {
	v = strings.TrimPrefix(v, "v")
	if i := strings.IndexAny(v, "-+"); i >= 0 {
		v = v[:i]
	}
	var ns []int
	for part := range strings.SplitSeq(v, ".") {
		n, _ := strconv.Atoi(part) // findVersion lets digits through only; one too long counts as 0
		ns = append(ns, n)
	}
	return ns
}
