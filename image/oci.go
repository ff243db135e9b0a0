package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Caps on what is read from outside. They are generous multiples of what real images have, and small
// against what a process can bear.
const (
	maxManifestBytes = 4 << 20 // what registries accept; the distribution spec asks for at least this
	maxConfigBytes   = 8 << 20
	maxManifests     = 1000 // images below one reference
	maxIndexDepth    = 4
	maxLayers        = 1000     // of one image
	maxPullBytes     = 64 << 30 // of all blobs that are fetched for one image or index
)

// parseDigest accepts sha256 digests only: the one algorithm every registry has.
func parseDigest(s string) (v1.Hash, error) {
	algorithm, hexDigits, _ := strings.Cut(s, ":")
	if algorithm != "sha256" || len(hexDigits) != 2*sha256.Size || strings.ToLower(hexDigits) != hexDigits {
		return v1.Hash{}, fmt.Errorf("digest %.80q is not of the form sha256:<64 lower-case hex digits>", s)
	}
	if _, err := hex.DecodeString(hexDigits); err != nil {
		return v1.Hash{}, fmt.Errorf("digest %.80q: %w", s, err)
	}
	return v1.Hash{Algorithm: algorithm, Hex: hexDigits}, nil
}

func hashOf(b []byte) v1.Hash {
	sum := sha256.Sum256(b)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// node is one manifest with what it points to. Exactly one of index and image is set.
type node struct {
	desc  v1.Descriptor
	raw   []byte
	index *v1.IndexManifest
	image *v1.Manifest
}

// parseNode reads a manifest of the given media type. The media type decides, as the bytes alone can be
// read in two ways (an index that carries the fields of an image, and the other way round).
func parseNode(desc v1.Descriptor, raw []byte) (*node, error) {
	if got := hashOf(raw); got != desc.Digest {
		return nil, fail(ErrDigest, "manifest %s has digest %s", desc.Digest, got)
	}
	desc.Size = int64(len(raw))
	n := &node{desc: desc, raw: raw}
	var err error
	switch {
	case desc.MediaType.IsIndex():
		n.index = &v1.IndexManifest{}
		err = decodeManifest(raw, n.index, desc.MediaType, "config", "layers")
	case desc.MediaType == types.OCIManifestSchema1, desc.MediaType == types.DockerManifestSchema2:
		n.image = &v1.Manifest{}
		err = decodeManifest(raw, n.image, desc.MediaType, "manifests")
	default:
		return nil, fail(ErrInvalid, "manifest %s has media type %q, which is neither an image nor an index", desc.Digest, desc.MediaType)
	}
	if err != nil {
		return nil, fail(ErrInvalid, "manifest %s: %w", desc.Digest, err)
	}
	if err := n.check(); err != nil {
		return nil, fail(ErrInvalid, "manifest %s: %w", desc.Digest, err)
	}
	return n, nil
}

// decodeManifest decodes and refuses a document that claims another media type than it was served as, or
// carries the fields of the other kind.
func decodeManifest(raw []byte, into any, want types.MediaType, foreign ...string) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return err
	}
	for _, f := range foreign {
		if _, has := fields[f]; has {
			return fmt.Errorf("a document of type %s must not have the field %q", want, f)
		}
	}
	if claimed, has := fields["mediaType"]; has {
		var s types.MediaType
		if err := json.Unmarshal(claimed, &s); err != nil || s != want {
			return fmt.Errorf("served as %s but says of itself %.80s", want, claimed)
		}
	}
	return json.Unmarshal(raw, into)
}

func (n *node) check() error {
	children := n.children()
	switch {
	case n.index != nil && len(children) > maxManifests:
		return fail(ErrTooLarge, "%d manifests, the cap is %d", len(children), maxManifests)
	case n.image != nil && len(n.image.Layers) > maxLayers:
		return fail(ErrTooLarge, "%d layers, the cap is %d", len(n.image.Layers), maxLayers)
	}
	for _, d := range append(children, n.blobs()...) {
		if _, err := parseDigest(d.Digest.String()); err != nil {
			return err
		}
		if d.Size < 0 {
			return fmt.Errorf("%s has size %d", d.Digest, d.Size)
		}
	}
	return nil
}

// children are the manifests below an index.
func (n *node) children() []v1.Descriptor {
	if n.index == nil {
		return nil
	}
	return append([]v1.Descriptor(nil), n.index.Manifests...)
}

// blobs are an image's config and layers.
func (n *node) blobs() []v1.Descriptor {
	if n.image == nil {
		return nil
	}
	return append([]v1.Descriptor{n.image.Config}, n.image.Layers...)
}

// marshal is the one way this package writes its documents: no HTML escapes, no line end, so that the same
// value is the same bytes everywhere.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// isAttestation tells the entries of an index that describe other entries from the images that run.
func isAttestation(d v1.Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] != "" ||
		d.Platform != nil && d.Platform.OS == "unknown"
}

// platformOf parses "os/arch[/variant]" and sets the variant that an architecture has when it names none.
func platformOf(s string) (v1.Platform, error) {
	p, err := v1.ParsePlatform(s)
	if err != nil {
		return v1.Platform{}, fail(ErrInvalid, "platform %q: %w", s, err)
	}
	if p.OS == "" || p.Architecture == "" || strings.ContainsAny(s, " \t\n") {
		return v1.Platform{}, fail(ErrInvalid, "platform %q is not of the form os/arch[/variant]", s)
	}
	return *p, nil
}

// matches reports whether an image for have runs where want is asked for: same system and architecture, and
// the same variant when both name one. arm64 is arm64/v8 and arm is arm/v7 when they name none.
func matches(have, want v1.Platform) bool {
	return have.OS == want.OS && have.Architecture == want.Architecture && variant(have) == variant(want)
}

func variant(p v1.Platform) string {
	switch {
	case p.Variant != "":
		return p.Variant
	case p.Architecture == "arm64":
		return "v8"
	case p.Architecture == "arm":
		return "v7"
	}
	return ""
}
