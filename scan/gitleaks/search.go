package gitleaks

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/zricethezav/gitleaks/v8/detect"
	"github.com/zricethezav/gitleaks/v8/report"
	"github.com/zricethezav/gitleaks/v8/sources"

	"github.com/waybill-dev/waybill/scan/command"
)

const (
	ignoreName       = ".gitleaksignore"
	maxIgnoreBytes   = 64 << 20
	maxBaselineBytes = 1 << 30
)

// search is one scan under way: the engine, what to leave out, and what was found. Its methods may be called
// from many goroutines.
type search struct {
	engine    *detect.Detector
	ignored   map[string]bool      // fingerprints
	known     map[baselineKey]bool // findings of the baseline
	skipPaths map[string]bool      // the configuration and the baseline themselves
	archives  int
	binary    atomic.Int64 // changes left out
	saw       atomic.Bool  // whether there is a file at all

	mu    sync.Mutex
	found []report.Finding
	notes []string
}

func (s *Scanner) newSearch(root string) (*search, error) {
	rules, configPath, err := s.loadRules(root)
	if err != nil {
		return nil, err
	}
	// The engine's Detector holds no state of a scan in the one method used here.
	engine := detect.NewDetector(rules.config)
	engine.MaxDecodeDepth = s.o.DecodeDepth
	if s.o.DecodeDepth == 0 {
		engine.MaxDecodeDepth = DefaultDecodeDepth
	}
	engine.IgnoreGitleaksAllow = s.o.ReportAllowed
	sr := &search{
		engine: engine, archives: s.o.ArchiveDepth,
		ignored: map[string]bool{}, known: map[baselineKey]bool{}, skipPaths: map[string]bool{},
	}
	if configPath != "" {
		sr.skipPaths[configPath] = true
	}
	if s.o.IgnoreFile != "" {
		if err := sr.addIgnored(s.o.IgnoreFile); err != nil {
			return nil, err
		}
	}
	if root != "" && !s.o.IgnoreTargetOptions {
		if err := sr.addIgnored(filepath.Join(root, ignoreName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if s.o.Baseline != "" {
		if err := sr.addBaseline(s.o.Baseline); err != nil {
			return nil, err
		}
		if p := below(root, s.o.Baseline); p != "" {
			sr.skipPaths[p] = true
		}
	}
	return sr, nil
}

// fragment searches one piece of text.
func (sr *search) fragment(ctx context.Context, f sources.Fragment, describe func(*report.Finding)) {
	if f.Raw == "" && f.FilePath == "" || sr.skipPaths[f.FilePath] {
		return
	}
	for _, finding := range sr.engine.DetectContext(ctx, detect.Fragment(f)) { //nolint:staticcheck // what the method takes
		if describe != nil {
			describe(&finding)
		}
		sr.add(finding)
	}
}

// add keeps a finding unless it is ignored or in the baseline.
func (sr *search) add(f report.Finding) {
	place := fmt.Sprintf("%s:%s:%d", f.File, f.RuleID, f.StartLine)
	f.Fingerprint = place
	if f.Commit != "" {
		f.Fingerprint = f.Commit + ":" + place
	}
	f.Fragment = nil
	if sr.ignored[place] || sr.ignored[f.Fingerprint] || sr.inBaseline(f) {
		return
	}
	sr.mu.Lock()
	defer sr.mu.Unlock()
	sr.found = append(sr.found, f)
}

func (sr *search) note(format string, args ...any) {
	sr.mu.Lock()
	defer sr.mu.Unlock()
	sr.notes = append(sr.notes, fmt.Sprintf(format, args...))
}

// file searches a file, or an archive when the options ask for it.
func (sr *search) file(ctx context.Context, path, symlink string, r io.Reader) error {
	var readErr error
	f := sources.File{Content: r, Path: path, Symlink: symlink, Config: &sr.engine.Config, MaxArchiveDepth: sr.archives}
	err := f.Fragments(ctx, func(fragment sources.Fragment, err error) error {
		if err != nil {
			readErr = errors.Join(readErr, err)
			return nil
		}
		sr.fragment(ctx, fragment, nil)
		return nil
	})
	return errors.Join(readErr, err)
}

// addIgnored reads a .gitleaksignore: a fingerprint per line, comments after #.
func (sr *search) addIgnored(path string) error {
	b, err := command.ReadFile(path, maxIgnoreBytes)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, maxIgnoreBytes)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		parts := strings.Split(line, ":")
		switch len(parts) {
		case 3: // file:rule:line
			parts[0] = strings.ReplaceAll(parts[0], `\`, "/")
		case 4: // commit:file:rule:line
			parts[1] = strings.ReplaceAll(parts[1], `\`, "/")
		default:
			sr.note("%s:%d is no fingerprint and ignores nothing", filepath.Base(path), n)
		}
		sr.ignored[strings.Join(parts, ":")] = true
	}
	return lines.Err()
}

// baselineKey is what a finding and one in a baseline must share to be the same, as in the engine: all but
// tags, link and fingerprint.
type baselineKey struct {
	rule, description, file, commit, author, email, date, message, match, secret string
	startLine, endLine, startColumn, endColumn                                   int
	entropy                                                                      float32
}

func keyOf(f report.Finding) baselineKey {
	return baselineKey{
		rule: f.RuleID, description: f.Description, file: f.File, commit: f.Commit, author: f.Author, email: f.Email,
		date: f.Date, message: f.Message, match: f.Match, secret: f.Secret, entropy: f.Entropy,
		startLine: f.StartLine, endLine: f.EndLine, startColumn: f.StartColumn, endColumn: f.EndColumn,
	}
}

// redacted is the key of the same finding in a baseline that was written with --redact.
func (k baselineKey) redacted() baselineKey {
	k.match, k.secret = "", redactedSecret
	return k
}

const redactedSecret = "REDACTED"

func (sr *search) addBaseline(path string) error {
	b, err := command.ReadFile(path, maxBaselineBytes)
	if err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	var fs []report.Finding
	if err := json.Unmarshal(b, &fs); err != nil {
		return fmt.Errorf("baseline %s is not a JSON report of gitleaks: %w", path, err)
	}
	for _, f := range fs {
		k := keyOf(f)
		if k.secret == redactedSecret {
			k = k.redacted()
		}
		sr.known[k] = true
	}
	return nil
}

func (sr *search) inBaseline(f report.Finding) bool {
	if len(sr.known) == 0 {
		return false
	}
	k := keyOf(f)
	return sr.known[k] || sr.known[k.redacted()]
}
