package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/waybill-dev/waybill/image"
)

// recordFile is the waybill: what was done so far, and what the next stage may rely on.
const recordFile = "waybill.json"

//go:embed waybill-v1.schema.json
var recordSchema []byte

// record is the content of waybill.json. Its schema is in waybill-v1.schema.json.
type record struct {
	Version     int       `json:"version"` // of the schema
	Build       string    `json:"build"`
	CI          string    `json:"ci,omitempty"` // "azure-devops", "github"
	Source      string    `json:"source"`
	Commit      string    `json:"commit,omitempty"` // of the source
	Branch      string    `json:"branch,omitempty"`
	PullRequest string    `json:"pullRequest,omitempty"`
	Trace       string    `json:"trace,omitempty"` // W3C traceparent
	Started     time.Time `json:"started"`
	Finished    time.Time `json:"finished,omitzero"`

	Outcome outcome `json:"outcome"`
	Stage   string  `json:"stage"`            // the last one that ran
	Reason  string  `json:"reason,omitempty"` // why it ended there

	Services []string  `json:"services"`
	Steps    []*step   `json:"steps"`
	Files    []file    `json:"files"` // what the next stage reads, and may not have changed
	Images   []shipped `json:"images"`
	Change   *change   `json:"change,omitempty"`   // in the GitOps repository
	Rollback *change   `json:"rollback,omitempty"` // that took it back
	Live     *live     `json:"live,omitempty"`
}

// outcome says how the run stands.
type outcome string

const (
	running   outcome = "running"
	passed    outcome = "passed" // this stage; others follow
	deployed  outcome = "deployed"
	checked   outcome = "checked" // all that was wanted, short of deploying
	stopped   outcome = "stopped" // the answer is no
	broken    outcome = "broken"
	cancelled outcome = "cancelled"
)

type file struct {
	Path   string `json:"path"` // in the directory of the waybill
	SHA256 string `json:"sha256"`
}

// shipped is an image on its way.
type shipped struct {
	Service    string `json:"service"`
	Layout     string `json:"layout"` // directory, beside the waybill
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
	Pushed     bool   `json:"pushed"`
}

// ref is what to deploy.
func (s shipped) ref() string { return s.Repository + ":" + s.Tag + "@" + s.Digest }

type change struct {
	Revision string `json:"revision"`
	Branch   string `json:"branch"`
	Noop     bool   `json:"noop,omitempty"`
	DryRun   bool   `json:"dryRun,omitempty"`
	Edits    []edit `json:"edits"`
}

type edit struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Image string `json:"image"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

type live struct {
	App       string   `json:"app"`
	Revisions []string `json:"revisions"`
	Images    []string `json:"images"`
	Sync      string   `json:"sync"`
	Health    string   `json:"health"`
}

// executed says what a step ran on.
type executed string

const (
	actual  executed = "real"
	standIn executed = "stand-in" // something of ours in place of the real thing; the reason says what
	notRun  executed = "not-run"
)

// step is one step of the run.
type step struct {
	Stage    string    `json:"stage"`
	Name     string    `json:"name"`
	Executed executed  `json:"executed"`
	Reason   string    `json:"reason,omitempty"` // why it is no real one
	Result   string    `json:"result,omitempty"` // "ok", "stopped", "broken", "cancelled"
	Detail   string    `json:"detail,omitempty"` // one line
	Started  time.Time `json:"started,omitzero"`
	Seconds  float64   `json:"seconds"`
}

func (r *record) step(name string) *step {
	i := slices.IndexFunc(r.Steps, func(s *step) bool { return s.Name == name })
	if i < 0 {
		panic("no step is called " + name)
	}
	return r.Steps[i]
}

// save writes the waybill, whole or not at all.
func (r *record) save(dir string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, recordFile)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// remember notes the digests of files that later stages read.
func (r *record) remember(dir string, names ...string) error {
	r.Files = nil
	for _, name := range names {
		sum, err := digest(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		r.Files = append(r.Files, file{name, sum})
	}
	return nil
}

// resume reads the waybill of the stages before this one.
func (c *config) resume() (*record, error) {
	b, err := os.ReadFile(c.path(recordFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: -out %s has no %s: the stage before %s writes it, and its -out has to be brought here", errUsage, c.out, recordFile, c.stage)
	} else if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", recordFile, err)
	}
	before := stages[slices.Index(stages, c.stage)-1]
	switch {
	case r.Version != 1:
		return nil, fmt.Errorf("%w: %s is of version %d, and this program reads version 1", errUsage, recordFile, r.Version)
	case c.build != "" && c.build != r.Build:
		return nil, fmt.Errorf("%w: -build-id is %s, and the waybill is of build %s", errUsage, c.build, r.Build)
	case r.Outcome != passed:
		return nil, fmt.Errorf("%w: the waybill says that the run is %s in the stage %s: bring the -out of a stage %s that passed", errStopped, r.Outcome, r.Stage, before)
	case r.Stage != before:
		return nil, fmt.Errorf("%w: the last stage was %s, and %s comes after %s", errUsage, r.Stage, c.stage, before)
	case c.stage == "deploy" && c.hold == "" && (r.Change == nil || r.Change.DryRun):
		return nil, fmt.Errorf("%w: the waybill names no commit that was pushed, so there is nothing to wait for: -stage gitops pushes one", errStopped)
	}
	return &r, nil
}

// verify refuses what is not as the stage before left it: the reports, and every byte of the images.
func (r *record) verify(ctx context.Context, dir string) error {
	refused := func(what string, err error) error {
		return fmt.Errorf("%w: %s is not what the stage before left: %w", errStopped, what, err)
	}
	for _, f := range r.Files {
		if !filepath.IsLocal(f.Path) {
			return refused(f.Path, errors.New("it lies elsewhere"))
		}
		if sum, err := digest(filepath.Join(dir, f.Path)); err != nil {
			return refused(f.Path, err)
		} else if sum != f.SHA256 {
			return refused(f.Path, fmt.Errorf("its digest is %s, and was %s", sum, f.SHA256))
		}
	}
	for _, i := range r.Images {
		if err := i.verify(ctx, dir); err != nil {
			return refused("the image of "+i.Service, err)
		}
	}
	return nil
}

// verify reads the image's layout, every byte of it.
func (s shipped) verify(ctx context.Context, dir string) error {
	if !filepath.IsLocal(s.Layout) {
		return fmt.Errorf("the layout is at %q", s.Layout)
	}
	layout, err := image.Open(ctx, filepath.Join(dir, s.Layout), nil)
	if err != nil {
		return err
	}
	if layout.Digest() != s.Digest {
		return fmt.Errorf("its digest is %s, and was %s", layout.Digest(), s.Digest)
	}
	return layout.Verify(ctx)
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
