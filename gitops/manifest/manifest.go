package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Edit asks for one image to be set wherever it stands.
type Edit struct {
	// Image is the repository to look for, with its registry unless that is Docker Hub:
	// "ghcr.io/acme/shop", "nginx". No tag, no digest.
	Image string

	// To is what to set: a tag ("v2"), a tag and a digest ("v2@sha256:…"), a digest ("@sha256:…"), or, when
	// it holds "/" or ":" before any "@", a full reference ("ghcr.io/acme/shop:v2"). A tag alone drops the
	// digest an image was pinned to, and the change says so; a digest alone drops the tag.
	To string

	// Path, if set, is a JSON pointer (RFC 6901) inside a document: only this place is edited, in every
	// document that has it. It may name a reference, a tag beside a repository or alone, or a mapping with a
	// tag or digest.
	Path string

	// Matches is the number of places expected over all files; 0 means one or more.
	Matches int
}

// Options tunes an edit. The zero value is ready to use.
type Options struct {
	// ParseAll also parses the documents in which none of the images can stand, which takes many times longer.
	// It changes no edit. It finds a syntax error that has nothing to do with the edits, and near matches of an
	// image that stands nowhere.
	ParseAll bool

	// MaxBytes caps the size of a file; 0 means 16 MiB.
	MaxBytes int
}

// Change is one scalar that was set. Line and Column are where it stood in the input; a scalar that is new has
// those of the one it was put behind.
type Change struct {
	File   string `json:"file"`
	Line   int    `json:"line"`             // from 1
	Column int    `json:"column"`           // in characters, from 1
	Object string `json:"object,omitempty"` // "Deployment/shop/web": kind, namespace if any, name; empty outside Kubernetes objects
	Path   string `json:"path"`             // JSON pointer of the scalar inside its document
	Old    string `json:"old"`              // value before; empty if there was none
	New    string `json:"new"`              // value after; empty if the key went

	Image         string `json:"image"`                   // Edit.Image
	OldTag        string `json:"oldTag,omitempty"`        // tag of the image before, empty if it had none
	NewTag        string `json:"newTag,omitempty"`        // tag of the image after
	NewRef        string `json:"newRef"`                  // the whole image after, as it is spelled in the file
	DroppedDigest string `json:"droppedDigest,omitempty"` // digest the image was pinned to and no longer is
}

// Set makes the edits in one file and returns the new bytes and what changed. name stands in changes and
// errors, and its base name tells a kustomization. Where everything is as asked already, out is in and
// there are no changes; an image that stands nowhere is [ErrNotFound]. To edit many files as one, use an
// [Editor].
func Set(name string, in []byte, edits []Edit, o *Options) (out []byte, ch []Change, err error) {
	e, err := NewEditor(edits, o)
	if err != nil {
		return nil, nil, err
	}
	if out, ch, err = e.File(name, in); err != nil {
		return nil, nil, err
	}
	switch err = e.Check(); {
	case err == nil:
		return out, ch, nil
	case e.o.ParseAll:
		return nil, nil, err
	}
	all := e.o // the near matches stand in what was passed over, or an error that says why
	all.ParseAll = true
	return Set(name, in, edits, &all)
}

// An Editor makes the same edits in many files. It is not safe for concurrent use.
type Editor struct {
	edits []edit
	o     Options
	seen  map[string]bool // images that stand somewhere and are not ours, for near matches
}

// edit is an Edit, read and checked.
type edit struct {
	Edit
	id        string // identity of Image
	to        reference
	spellings [][][]byte // words of which one set stands in any document that holds the image
	matched   int
}

// maxEdits bounds what one call may ask for.
const maxEdits = 1000

// maxNear bounds the number of other images an Editor remembers.
const maxNear = 10000

// NewEditor checks the edits and returns an editor for them. All that is wrong with them is reported at once.
func NewEditor(edits []Edit, o *Options) (*Editor, error) {
	e := &Editor{seen: map[string]bool{}}
	if o != nil {
		e.o = *o
	}
	if e.o.MaxBytes == 0 {
		e.o.MaxBytes = 16 << 20
	}
	var errs []error
	bad := func(image, format string, args ...any) {
		errs = append(errs, &Error{Op: "edit", Image: image, Kind: ErrEdit, Err: fmt.Errorf(format, args...)})
	}
	switch {
	case len(edits) == 0:
		bad("", "no edits given")
	case len(edits) > maxEdits:
		bad("", "%d edits given; the cap is %d", len(edits), maxEdits)
	}
	if e.o.MaxBytes < 0 {
		bad("", "MaxBytes is negative")
	}
	places := map[[2]string]string{}
	for _, in := range edits {
		ref, err := parseReference(in.Image)
		switch {
		case err != nil:
			bad(in.Image, "Image: %w", err)
			continue
		case ref.tag != "" || ref.digest != "":
			bad(in.Image, "Image: a repository is wanted, without tag and digest")
			continue
		}
		to, err := parseTo(in.To)
		if err != nil {
			bad(in.Image, "To: %w", err)
			continue
		}
		if in.Path != "" && in.Path[0] != '/' {
			bad(in.Image, "Path: %q is not a JSON pointer: it starts with /", in.Path)
		}
		if in.Matches < 0 {
			bad(in.Image, "Matches is negative")
		}
		id := identity(ref.name)
		place := [2]string{id, in.Path}
		if other, twice := places[place]; twice && other != in.To {
			bad(in.Image, "asked for twice, to %s and to %s", other, in.To)
		} else if twice {
			continue
		}
		places[place] = in.To
		ed := edit{Edit: in, id: id, to: to, spellings: [][][]byte{words(id)}}
		if to.name != "" { // an image that was moved already
			ed.spellings = append(ed.spellings, words(identity(to.name)))
		}
		e.edits = append(e.edits, ed)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return e, nil
}

// Check reports, after the last file, the edits whose image stood nowhere ([ErrNotFound], with near matches)
// or not in the expected number of places ([ErrCount]), all at once.
func (e *Editor) Check() error {
	var errs []error
	for _, ed := range e.edits {
		switch {
		case ed.Matches > 0 && ed.matched != ed.Matches:
			errs = append(errs, &Error{
				Op: "set", Image: ed.Image, Kind: ErrCount, Near: e.near(ed.id, ed.matched),
				Err: fmt.Errorf("%d instead of %d", ed.matched, ed.Matches),
			})
		case ed.matched == 0:
			errs = append(errs, &Error{Op: "set", Image: ed.Image, Kind: ErrNotFound, Near: e.near(ed.id, 0)})
		}
	}
	return errors.Join(errs...)
}

// near lists up to five images that may have been meant, those with the same last path segment first.
func (e *Editor) near(id string, matched int) []string {
	if matched > 0 {
		return nil
	}
	base := func(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }
	want := base(id)
	var same, alike []string
	for name := range e.seen {
		got := base(identity(name))
		switch {
		case got == want:
			same = append(same, name)
		case strings.Contains(got, want) || strings.Contains(want, got) || distance(got, want) <= 2:
			alike = append(alike, name)
		}
	}
	slices.Sort(same)
	slices.Sort(alike)
	all := append(same, alike...)
	return all[:min(len(all), 5)]
}

// distance is the number of insertions, deletions and substitutions between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := min(row[j]+1, row[j+1]+1)
			if a[i] == b[j] {
				next = min(next, diagonal)
			} else {
				next = min(next, diagonal+1)
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
