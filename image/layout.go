package image

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/waybill-dev/waybill/image/internal/layoutdir"
)

// Layout is an image, or an index of images for several platforms, in an OCI image layout on disk. What is
// scanned there is what [Client.Push] sends: manifests go over the wire byte for byte.
type Layout struct {
	dir       string
	root      v1.Descriptor
	nodes     []*node // all manifests, children before parents
	platforms []string
}

const (
	layoutFile    = layoutdir.Marker
	indexFile     = "index.json"
	layoutVersion = `{"imageLayoutVersion":"1.0.0"}`
)

// OpenOptions are the options of [Open].
type OpenOptions struct {
	// Name picks one of several images in a layout by its annotation org.opencontainers.image.ref.name.
	Name string
}

// Open opens an OCI layout on disk. It reads and verifies all manifests, and checks that every blob is there
// with the size its descriptor says; [Layout.Verify] reads the blobs as well.
//
// It fails with [ErrNotFound] when dir is no layout or lacks a blob, with [ErrInvalid] when the layout is
// malformed or holds several images and o names none, and with [ErrDigest] when it lies.
func Open(ctx context.Context, dir string, o *OpenOptions) (*Layout, error) {
	if o == nil {
		o = &OpenOptions{}
	}
	l, err := open(ctx, dir, o.Name)
	return l, wrap("open", dir, err)
}

func open(ctx context.Context, dir, name string) (*Layout, error) {
	s, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.close() }()
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	root, err := pick(index.Manifests, name)
	if err != nil {
		return nil, err
	}
	return load(ctx, s, dir, root)
}

// readIndex reads index.json of a layout.
func (s *store) readIndex() (*v1.IndexManifest, error) {
	version, err := s.readCapped(layoutFile, 4<<10)
	if err != nil {
		return nil, err
	}
	var v struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(version, &v); err != nil || !strings.HasPrefix(v.Version, "1.") {
		return nil, fail(ErrInvalid, "%s: layout version %q, want 1.0.0", layoutFile, v.Version)
	}
	raw, err := s.readCapped(indexFile, maxManifestBytes)
	if err != nil {
		return nil, err
	}
	index := &v1.IndexManifest{}
	if err := json.Unmarshal(raw, index); err != nil {
		return nil, fail(ErrInvalid, "%s: %w", indexFile, err)
	}
	return index, nil
}

func (s *store) readCapped(name string, limit int64) ([]byte, error) {
	f, _, err := s.openFile(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fail(ErrTooLarge, "%s is larger than the cap of %d bytes", name, limit)
	}
	return b, err
}

func pick(all []v1.Descriptor, name string) (v1.Descriptor, error) {
	var names []string
	var found []v1.Descriptor
	for _, d := range all {
		if n := d.Annotations[keyRefName]; name == "" || n == name {
			found, names = append(found, d), append(names, n)
		}
	}
	switch {
	case len(all) == 0:
		return v1.Descriptor{}, fail(ErrInvalid, "%s names no image", indexFile)
	case len(found) == 0:
		return v1.Descriptor{}, fail(ErrNotFound, "no image named %q", name)
	case len(found) > 1 && slices.ContainsFunc(found, func(d v1.Descriptor) bool { return d.Digest != found[0].Digest }):
		return v1.Descriptor{}, fail(ErrInvalid, "holds %d images, pick one by name: %q", len(found), names)
	}
	if _, err := parseDigest(found[0].Digest.String()); err != nil {
		return v1.Descriptor{}, fail(ErrInvalid, "%s: %w", indexFile, err)
	}
	return found[0], nil
}

// load reads all manifests below root and looks whether their blobs are there.
func load(ctx context.Context, s *store, dir string, root v1.Descriptor) (*Layout, error) {
	nodes, err := tree(ctx, s, root)
	if err != nil {
		return nil, err
	}
	root.Annotations = nil
	l := &Layout{dir: dir, root: root, nodes: nodes}
	for _, n := range nodes {
		for _, d := range n.blobs() {
			f, err := s.open(d)
			if err != nil {
				return nil, err
			}
			_ = f.Close()
		}
		if n.image == nil || !n.image.Config.MediaType.IsConfig() {
			continue // an artifact runs nowhere
		}
		c, err := readConfig(ctx, s, n)
		if err != nil {
			return nil, err
		}
		if c.OS != "" && c.OS != "unknown" { // attestations are of an unknown system
			l.platforms = append(l.platforms, platformOfConfig(c).String())
		}
	}
	return l, nil
}

// createLayout makes dir ready to take a layout, or refuses when it holds something else.
func createLayout(dir string) (*store, error) {
	if err := layoutdir.Check(dir); errors.As(err, new(*fs.PathError)) {
		return nil, inputError(err)
	} else if err != nil {
		return nil, fail(ErrInvalid, "%w", err)
	}
	return createStore(dir)
}

// finishLayout makes root the image of the layout. Writing index.json is what makes a layout of the blobs.
func finishLayout(ctx context.Context, s *store, dir string, root v1.Descriptor) (*Layout, error) {
	l, err := load(ctx, s, dir, root)
	if err != nil {
		return nil, err
	}
	keep := map[string]bool{}
	for _, n := range l.nodes {
		keep[n.desc.Digest.Hex] = true
		for _, d := range n.blobs() {
			keep[d.Digest.Hex] = true
		}
	}
	raw, err := marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{root}})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.writeFile(layoutFile, []byte(layoutVersion)), s.writeFile(indexFile, raw)); err != nil {
		return nil, err
	}
	return l, s.prune(keep)
}

// Dir is where the layout is.
func (l *Layout) Dir() string { return l.dir }

// Digest is the digest of the image or index, "sha256:…", as a registry will name it.
func (l *Layout) Digest() string { return l.root.Digest.String() }

// MediaType is that of the image or index.
func (l *Layout) MediaType() string { return string(l.root.MediaType) }

// Platforms are those of the images, "os/arch[/variant]", in the order of the index.
func (l *Layout) Platforms() []string { return slices.Clone(l.platforms) }

// Blob is a configuration or layer of an image.
type Blob struct {
	Digest    string // "sha256:…"
	Bytes     int64
	MediaType string
}

// Blobs are the configurations and layers of all images, each once, in the order of the manifests.
func (l *Layout) Blobs() []Blob {
	var blobs []Blob
	for _, d := range blobsOf(l.nodes) {
		blobs = append(blobs, Blob{Digest: d.Digest.String(), Bytes: d.Size, MediaType: string(d.MediaType)})
	}
	return blobs
}

// Config is the configuration of the image for a platform; "" takes the only one.
func (l *Layout) Config(ctx context.Context, platform string) (*v1.ConfigFile, error) {
	_, c, err := l.image(ctx, platform)
	return c, wrap("config", l.dir, err)
}

// Manifest is the manifest of the image for a platform; "" takes the only one.
func (l *Layout) Manifest(ctx context.Context, platform string) (*v1.Manifest, error) {
	n, _, err := l.image(ctx, platform)
	if err != nil {
		return nil, wrap("manifest", l.dir, err)
	}
	return n.image.DeepCopy(), nil
}

func (l *Layout) image(ctx context.Context, platform string) (*node, *v1.ConfigFile, error) {
	s, err := openStore(l.dir)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = s.close() }()
	if platform == "" {
		if len(l.platforms) != 1 {
			return nil, nil, fail(ErrInvalid, "say which platform, there are %q", l.platforms)
		}
		platform = l.platforms[0]
	}
	want, err := platformOf(platform)
	if err != nil {
		return nil, nil, err
	}
	return findPlatform(ctx, s, l.nodes[len(l.nodes)-1], want)
}

// Verify reads every blob and holds it against its digest. It fails with [ErrDigest] on the first that lies.
func (l *Layout) Verify(ctx context.Context) error {
	return wrap("verify", l.dir, l.verify(ctx))
}

func (l *Layout) verify(ctx context.Context) error {
	s, err := openStore(l.dir)
	if err != nil {
		return err
	}
	defer func() { _ = s.close() }()
	seen := map[v1.Hash]bool{}
	for _, n := range l.nodes {
		if _, err := s.manifest(ctx, n.desc); err != nil {
			return err
		}
		for _, d := range n.blobs() {
			if seen[d.Digest] {
				continue
			}
			seen[d.Digest] = true
			r, err := s.open(d)
			if err != nil {
				return err
			}
			err = verifyStream(ctx, r, d)
			_ = r.Close()
			if err != nil {
				return err
			}
		}
	}
	return nil
}
