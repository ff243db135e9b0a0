package report

import (
	"context"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options says how a report is read and normalised. The zero value, and nil, are fine.
type Options struct {
	// Root is the directory of the sources. Absolute paths below it become relative to it, and identities are
	// made from the source text where it can be read there. Empty: neither.
	Root string
	// Stale says that the sources at Root are not those that the report is about, as for a baseline: paths
	// become relative all the same, and identities are made from the report alone.
	Stale bool
	// Mounts are other directories at which the sources stood while they were scanned, as in a container
	// ("/src", "/github/workspace"); paths below them become relative too.
	Mounts []string
	// SecretKey is the key of the HMAC that identifies secrets. Without it a secret is identified by its
	// place. Use the same key every time, and keep it: it allows to confirm a guessed secret.
	SecretKey []byte
	// Now is the time by which suppressions in SARIF have ended; zero means the real one.
	Now time.Time
	// MaxBytes caps the formats that are read whole, which is all but SARIF through [OpenSARIF] and those read
	// line by line; 0 means 256 MiB. Reading them takes three to six times their size in memory.
	MaxBytes int64
	// MaxValueBytes caps each single part of a SARIF log (a result, an artifact, the tool with its rules);
	// 0 means 32 MiB.
	MaxValueBytes int64
}

// Normalize finishes a report that a reader has filled: it puts names of tools, levels, severities, paths,
// CWE and aliases into their one form, describes the rules of runs that list none, and gives each finding its
// [Identity]. It is safe to call it twice. o may be nil.
func (r *Report) Normalize(ctx context.Context, o *Options) error {
	runs := make([]*normalizer, len(r.Runs))
	for i := range runs {
		runs[i] = newNormalizer(o)
		for _, s := range []*string{&r.Runs[i].Target, &r.Runs[i].Reason, &r.Runs[i].InformationURI} {
			*s = string(withoutUserinfo([]byte(*s)))
		}
	}
	for i := range r.Findings {
		if i%1024 == 0 && ctx.Err() != nil {
			return &Error{Op: "normalize", Err: context.Cause(ctx)}
		}
		f := &r.Findings[i]
		if f.Run < 0 || f.Run >= len(r.Runs) {
			return errNoRun(i)
		}
		n := runs[f.Run]
		n.finding(f, &r.Runs[f.Run])
		n.setIdentity(f, n.ids.identify(f))
	}
	describeRules(r)
	return nil
}

// normalizer carries what must be remembered from finding to finding of one run.
type normalizer struct {
	roots  []string
	key    []byte
	now    time.Time
	source *sourceTree
	ids    identifier
	// Findings are numbered apart by identities with and without the source.
	plain, sourced ordinals
}

func newNormalizer(o *Options) *normalizer {
	if o == nil {
		o = &Options{}
	}
	n := &normalizer{key: o.SecretKey, now: o.Now}
	if n.now.IsZero() {
		n.now = time.Now()
	}
	if o.Root != "" && !o.Stale {
		n.source = newSourceTree(o.Root)
	}
	for _, r := range append([]string{o.Root}, o.Mounts...) {
		if r == "" {
			continue
		}
		n.roots = append(n.roots, r)
		if abs, err := filepath.Abs(r); err == nil && abs != r {
			n.roots = append(n.roots, abs)
		}
	}
	return n
}

func (n *normalizer) finding(f *Finding, run *Run) {
	f.Tool = run.Tool
	if f.Kind == "" {
		f.Kind = KindFail
	}
	if f.Category == "" {
		f.Category = CategoryCode
		if f.Package != nil {
			f.Category = CategoryPackage
		}
	}
	if f.Message == "" {
		f.Message = f.Title
	}
	for _, s := range []*string{&f.Title, &f.Message, &f.Description, &f.HelpURI, &f.Location.Path, &f.Location.Snippet} {
		if strings.Contains(*s, "://") && strings.Contains(*s, "@") {
			*s = string(withoutUserinfo([]byte(*s)))
		}
	}
	f.grade()
	f.Location.Path = n.path(f.Location.Path)
	if !cleanCWE(f.CWE) {
		f.CWE = cleanList(f.CWE, ParseCWE)
	}
	f.Aliases = cleanList(f.Aliases, func(s string) (string, bool) { return s, s != "" && s != f.Rule })
}

// path is CleanPath with the first root that fits.
func (n *normalizer) path(p string) string {
	for _, r := range n.roots {
		if rel := CleanPath(p, r); rel == "" || rel[0] != '/' && !strings.Contains(rel, ":") {
			return rel
		}
	}
	return CleanPath(p, "")
}

// below says whether an absolute path is below one of the roots, and where.
func (n *normalizer) below(p string) (string, bool) {
	for _, r := range n.roots {
		if rel := CleanPath(p, r); rel != CleanPath(p, "") {
			return rel, true
		}
	}
	return "", false
}

// grade gives the finding a severity and a level where it has not both.
func (f *Finding) grade() {
	if f.Severity == SeverityUnknown {
		switch {
		case f.Score > 0:
			f.Severity, f.SeverityFrom = SeverityOfScore(f.Score), "score"
		case f.Vector != "":
			if score, ok := ScoreCVSS(f.Vector); ok {
				f.Score, f.Severity, f.SeverityFrom = score, SeverityOfScore(score), "cvss"
			}
		case f.SeverityFrom == "" && f.Level != LevelUnset && !f.levelMade:
			f.Severity, f.SeverityFrom = f.Level.Severity(), "level"
		case f.SeverityFrom == "" && f.Category == CategorySecret:
			// Scanners of secrets grade nothing; a secret that anyone can read is no less than high.
			f.Severity, f.SeverityFrom = SeverityHigh, "secret"
		}
	} else if f.SeverityFrom == "" {
		f.SeverityFrom = "word"
	}
	if f.Level == LevelUnset {
		f.Level, f.levelMade = f.Severity.Level(), true
	}
}

func describeRules(r *Report) {
	known := make([]map[string]int, len(r.Runs))
	fixed := make([]bool, len(r.Runs))
	for i := range r.Runs {
		known[i] = map[string]int{}
		fixed[i] = len(r.Runs[i].Rules) > 0
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Rule == "" || fixed[f.Run] {
			continue
		}
		run := &r.Runs[f.Run]
		at, ok := known[f.Run][f.Rule]
		if !ok {
			at = len(run.Rules)
			known[f.Run][f.Rule] = at
			run.Rules = append(run.Rules, Rule{
				ID: f.Rule, Title: f.Title, Description: f.Description, HelpURI: f.HelpURI,
				Level: f.Level, CWE: f.CWE, Tags: f.Tags,
			})
		}
		// A rule is as bad as its worst finding: GitHub sorts and shows by the rule.
		rule := &run.Rules[at]
		rule.Severity, rule.Score, rule.Level = max(rule.Severity, f.Severity), max(rule.Score, f.Score), max(rule.Level, f.Level)
	}
}

// maxListed caps the lists of a finding; a longer one is an attack.
const maxListed = 1000

// cleanList applies clean to each element and drops what it refuses and what came before.
func cleanList(list []string, clean func(string) (string, bool)) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, 0, min(len(list), maxListed))
	for _, s := range list {
		if len(out) == maxListed {
			break
		}
		if s, ok := clean(s); ok && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// ParseCWE finds a weakness in what tools write ("CWE-79: Improper…", "external/cwe/cwe-079", "79") and
// returns it as "CWE-79".
func ParseCWE(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if digits := leadingDigits(s); digits == s && digits != "" {
		return cweOf(digits)
	}
	for i := 0; i+4 <= len(s); i++ {
		if s[i]|0x20 != 'c' || s[i+1]|0x20 != 'w' || s[i+2]|0x20 != 'e' || i > 0 && isLetter(s[i-1]) {
			continue
		}
		if digits := leadingDigits(strings.TrimLeft(s[i+3:], "-_/: ")); digits != "" {
			return cweOf(digits)
		}
	}
	return "", false
}

func cweOf(digits string) (string, bool) {
	digits = strings.TrimLeft(digits, "0")
	if digits == "" || len(digits) > 6 {
		return "", false
	}
	return "CWE-" + digits, true
}

func leadingDigits(s string) string {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return s[:n]
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// cleanCWE says that a list is as ParseCWE would leave it.
func cleanCWE(list []string) bool {
	if len(list) > maxListed {
		return false
	}
	for i, s := range list {
		digits, ok := strings.CutPrefix(s, "CWE-")
		if !ok || digits == "" || digits[0] == '0' || leadingDigits(digits) != digits || slices.Contains(list[:i], s) {
			return false
		}
	}
	return true
}

// CleanPath turns what tools write as a path or URI into a path with forward slashes: file:// is removed,
// percent-encoding of file URIs undone, back-slashes turned, "./" and "a/../" resolved, and the path made
// relative to root when it is below it. An absolute path elsewhere stays absolute. Other URIs (https://,
// pkg:) are returned as they are.
func CleanPath(p, root string) string {
	if p == "" {
		return ""
	}
	if scheme, _, ok := strings.Cut(p, ":"); ok && len(scheme) > 1 && isScheme(scheme) {
		if !strings.EqualFold(scheme, "file") {
			return p
		}
		u, err := url.Parse(p)
		if err != nil {
			return p
		}
		p = u.Path
		if u.Opaque != "" {
			p = u.Opaque
		}
		// file:///C:/x has the path /C:/x.
		if len(p) > 2 && p[0] == '/' && p[2] == ':' {
			p = p[1:]
		}
	}
	p = path.Clean(strings.ReplaceAll(p, `\`, "/"))
	if root != "" {
		root = path.Clean(strings.ReplaceAll(root, `\`, "/"))
		if rest, ok := strings.CutPrefix(p, strings.TrimSuffix(root, "/")+"/"); ok {
			p = rest
		}
	}
	if p == "." {
		return ""
	}
	return p
}

func isScheme(s string) bool {
	for i, c := range []byte(s) {
		switch {
		case isLetter(c):
		case i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return s != ""
}
