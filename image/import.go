package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ImportOptions are the options of [Import].
type ImportOptions struct {
	Name string // picks one of several images of an OCI archive, see [OpenOptions]

	// What docker save does not write: annotations of the manifest, and a time that replaces the time of the
	// build in the configuration. Where one is set the image gets a manifest and a configuration of its own; an
	// index of several images stays as it is.
	Annotations map[string]string
	Created     time.Time
}

// Import reads an image archive into an OCI layout in dir: a tar of an OCI layout, as BuildKit writes it and
// docker save since version 25, byte for byte unless o asks for changes; or what older versions of docker save
// and skopeo write, whose layers are compressed on the way. What is said of dir at [Build] goes here too.
//
// It fails with [ErrInvalid] for what is no such archive, with [ErrDigest] when a blob is not what its name
// says, and with [ErrTooLarge] past 100,000 entries.
func Import(ctx context.Context, r io.Reader, dir string, o *ImportOptions) (*Layout, error) {
	if o == nil {
		o = &ImportOptions{}
	}
	l, err := importArchive(ctx, r, dir, o)
	return l, wrap("import", dir, err)
}

func importArchive(ctx context.Context, r io.Reader, dir string, o *ImportOptions) (*Layout, error) {
	out, err := createLayout(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.close() }()
	im := &importing{ImportOptions: *o, out: out, small: map[string][]byte{}, layers: map[string]layer{}, links: map[string]string{}}
	if err := im.read(ctx, tar.NewReader(&cancelReader{ctx, r})); err != nil {
		return nil, err
	}
	root, err := im.root(ctx)
	if err != nil {
		return nil, err
	}
	root.Annotations = nil
	return finishLayout(ctx, out, dir, root)
}

// importing is one run of Import. An archive has its parts in any order, so what is small is kept until the
// end, and what is large is stored at once.
type importing struct {
	ImportOptions
	out    *store
	small  map[string][]byte
	kept   int64
	layers map[string]layer  // of docker save, by name
	links  map[string]string // of docker save, which stores a layer twice as a link
}

// maxKeptBytes is what the small files of an archive may have together.
const maxKeptBytes = 64 << 20

func (im *importing) read(ctx context.Context, tr *tar.Reader) error {
	for n := 0; ; n++ {
		h, err := tr.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fail(ErrInvalid, "archive: %w", err)
		case n >= maxEntries:
			return fail(ErrTooLarge, "archive has more entries than the cap of %d", maxEntries)
		}
		if err := im.entry(ctx, path.Clean(h.Name), h, tr); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return fail(ErrInvalid, "archive: %.200s is cut short: %w", h.Name, err)
			}
			return fmt.Errorf("%.200s: %w", h.Name, err)
		}
	}
}

func (im *importing) entry(ctx context.Context, name string, h *tar.Header, r io.Reader) error {
	switch {
	case h.Typeflag == tar.TypeSymlink && path.Ext(name) == ".tar":
		im.links[name] = path.Join(path.Dir(name), h.Linkname)
	case isSparse(h):
		return fail(ErrInvalid, "a file with holes")
	case h.Typeflag != tar.TypeReg:
	case path.Dir(name) == blobDir:
		want, err := parseDigest("sha256:" + path.Base(name))
		if err != nil {
			return fail(ErrInvalid, "%w", err)
		}
		d, err := im.out.spool(ctx, r, h.Size)
		if err != nil {
			return err
		}
		if d.Digest != want {
			return fail(ErrDigest, "its digest is %s", d.Digest)
		}
	case path.Ext(name) == ".tar":
		l, err := compressLayer(im.out, func(w io.Writer) error {
			_, err := io.Copy(w, &cancelReader{ctx, r})
			return err
		})
		if err != nil {
			return err
		}
		im.layers[name] = l
	case strings.HasSuffix(name, ".json"), name == layoutFile:
		if im.kept += h.Size; h.Size > maxConfigBytes || im.kept > maxKeptBytes {
			return fail(ErrTooLarge, "the archive's files beside the layers are larger than the cap of %d bytes", maxKeptBytes)
		}
		b, err := io.ReadAll(r)
		im.small[name] = b
		return err
	}
	return nil
}

// root is the image's descriptor, with the manifest in the store.
func (im *importing) root(ctx context.Context) (v1.Descriptor, error) {
	if raw, ok := im.small[indexFile]; ok {
		index := &v1.IndexManifest{}
		if err := json.Unmarshal(raw, index); err != nil {
			return v1.Descriptor{}, fail(ErrInvalid, "%s: %w", indexFile, err)
		}
		d, err := pick(index.Manifests, im.Name)
		if err != nil || len(im.Annotations) == 0 && im.Created.IsZero() {
			return d, err
		}
		return im.rewrite(ctx, d)
	}
	raw, ok := im.small["manifest.json"]
	if !ok {
		return v1.Descriptor{}, fail(ErrInvalid, "archive holds neither %s of an OCI layout nor manifest.json of docker save", indexFile)
	}
	var saved []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(raw, &saved); err != nil || len(saved) != 1 {
		return v1.Descriptor{}, errors.Join(err, fail(ErrInvalid, "manifest.json names %d images, want one", len(saved)))
	}
	return im.fromDocker(path.Clean(saved[0].Config), saved[0].Layers)
}

// fromDocker makes an OCI image of the parts of docker save.
func (im *importing) fromDocker(configName string, layerNames []string) (v1.Descriptor, error) {
	config := &v1.ConfigFile{}
	raw, ok := im.small[configName]
	if !ok {
		return v1.Descriptor{}, fail(ErrInvalid, "configuration %s is missing, or is no .json file", configName)
	}
	if err := json.Unmarshal(raw, config); err != nil {
		return v1.Descriptor{}, fail(ErrInvalid, "configuration %s: %w", configName, err)
	}
	manifest := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{}, Annotations: maps.Clone(im.Annotations),
	}
	if len(config.RootFS.DiffIDs) != len(layerNames) {
		return v1.Descriptor{}, fail(ErrInvalid, "configuration names %d layers, manifest.json %d", len(config.RootFS.DiffIDs), len(layerNames))
	}
	for i, name := range layerNames {
		name = path.Clean(name)
		if target, linked := im.links[name]; linked {
			name = target
		}
		l, ok := im.layers[name]
		if !ok {
			return v1.Descriptor{}, fail(ErrInvalid, "layer %s is missing, or is no .tar file", name)
		}
		if l.DiffID != config.RootFS.DiffIDs[i] {
			return v1.Descriptor{}, fail(ErrDigest, "layer %s is %s, the configuration says %s", name, l.DiffID, config.RootFS.DiffIDs[i])
		}
		manifest.Layers = append(manifest.Layers, l.Desc)
	}
	return im.put(config, types.OCIConfigJSON, manifest)
}

// rewrite makes of an image in the store one with what the options ask for.
func (im *importing) rewrite(ctx context.Context, d v1.Descriptor) (v1.Descriptor, error) {
	n, err := fetchNode(ctx, im.out, d)
	if err != nil || n.image == nil {
		return d, err
	}
	config, err := readConfig(ctx, im.out, n)
	if err != nil {
		return v1.Descriptor{}, err
	}
	manifest := *n.image.DeepCopy()
	manifest.MediaType = n.desc.MediaType
	if manifest.Annotations == nil {
		manifest.Annotations = map[string]string{}
	}
	maps.Copy(manifest.Annotations, im.Annotations)
	return im.put(config, manifest.Config.MediaType, manifest)
}

// put stores a configuration without the engine's notes, and the manifest on top of it.
func (im *importing) put(config *v1.ConfigFile, mediaType types.MediaType, manifest v1.Manifest) (v1.Descriptor, error) {
	im.clean(config)
	raw, err := marshal(config)
	if err != nil {
		return v1.Descriptor{}, err
	}
	if manifest.Config, err = im.out.put(raw, mediaType); err != nil {
		return v1.Descriptor{}, err
	}
	if raw, err = marshal(manifest); err != nil {
		return v1.Descriptor{}, err
	}
	return im.out.put(raw, manifest.MediaType)
}

// clean takes out what the engine notes about itself: the container it built in, its version, its host.
func (im *importing) clean(c *v1.ConfigFile) {
	c.Container, c.DockerVersion = "", "" //nolint:staticcheck // deprecated, which is why it goes
	c.Config.Image, c.Config.Hostname = "", ""
	if !im.Created.IsZero() {
		c.Created = v1.Time{Time: im.Created.UTC().Truncate(time.Second)}
		for i := range c.History {
			c.History[i].Created = c.Created
		}
	}
}
