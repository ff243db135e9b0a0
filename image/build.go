package image

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// BuildOptions are the options of [Build]. The zero value builds without a cache.
type BuildOptions struct {
	// Client fetches Spec.Base; nil means one without logins.
	Client *Client

	// CacheDir keeps finished layers and the blobs of bases between builds. It may be shared by builds that
	// run at the same time and removed at any time. Empty means no cache.
	CacheDir string
}

// Build makes an image as an OCI layout in dir and returns it. No daemon is involved and nothing is written
// outside dir and the cache. dir is made when it is missing; a layout that is there already is replaced once
// the build has succeeded; any other directory that is not empty is refused with [ErrInvalid], and so is one,
// or a cache, inside of a [Dir] of the Spec, as the image would hold pieces of itself.
//
// The errors are [ErrInvalid] for a Spec that cannot be built, with everything that is wrong with it;
// [ErrNotFound] for a missing file, base or platform of the base; [ErrBuild] when a program does not
// compile; [ErrTooLarge] past a cap; and for a base those of [Client.Resolve].
func Build(ctx context.Context, s Spec, dir string, o *BuildOptions) (*Layout, error) {
	l, err := build(ctx, s, dir, o)
	return l, wrap("build", dir, err)
}

func build(ctx context.Context, s Spec, dir string, o *BuildOptions) (*Layout, error) {
	if o == nil {
		o = &BuildOptions{}
	}
	p, err := s.check()
	if err != nil {
		return nil, err
	}
	if err := p.checkApart(dir, o.CacheDir); err != nil {
		return nil, err
	}
	b := &builder{plan: p, layers: map[int]layer{}}
	if b.client = o.Client; b.client == nil {
		if b.client, err = New(nil); err != nil {
			return nil, err
		}
	}
	if b.out, err = createLayout(dir); err != nil {
		return nil, err
	}
	defer func() { _ = b.out.close() }()
	if b.cache, err = openLayerCache(o.CacheDir); err != nil {
		return nil, err
	}
	defer b.cache.close()
	if b.temp, err = os.MkdirTemp(dir, ".tmp-"); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(b.temp) }()

	root, err := b.build(ctx)
	if err != nil {
		return nil, err
	}
	return finishLayout(ctx, b.out, dir, root)
}

// builder is one run of Build.
type builder struct {
	*plan
	client *Client
	out    *store
	cache  *layerCache
	temp   string
	layers map[int]layer // by position in Spec.Layers, of the sources that are the same on all platforms
}

func (b *builder) build(ctx context.Context) (v1.Descriptor, error) {
	from, err := b.baseSource(ctx, b.client)
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer from.close()
	var images []v1.Descriptor
	for _, platform := range b.platforms {
		on, err := from.forPlatform(ctx, platform)
		if err != nil {
			return v1.Descriptor{}, err
		}
		d, err := b.image(ctx, platform, on)
		if err != nil {
			return v1.Descriptor{}, err
		}
		images = append(images, d)
	}
	if len(images) == 1 {
		images[0].Platform = nil
		return images[0], nil
	}
	var on *base
	if from != nil {
		on = &base{name: from.name, digest: from.root.desc.Digest.String()}
	}
	return b.putJSON(types.OCIImageIndex, v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: images, Annotations: b.annotations(on),
	})
}

// image builds the image of one platform.
func (b *builder) image(ctx context.Context, platform v1.Platform, on *base) (v1.Descriptor, error) {
	created := v1.Time{Time: b.created}
	config := &v1.ConfigFile{RootFS: v1.RootFS{Type: "layers"}}
	manifest := &v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Annotations: b.annotations(on)}
	if on != nil {
		config = on.config.DeepCopy()
		config.Container, config.DockerVersion, config.Author = "", "", "" //nolint:staticcheck // set by old builders, speaks of their machine
		layers, err := b.copyBase(ctx, on)
		if err != nil {
			return v1.Descriptor{}, err
		}
		manifest.Layers = layers
	}
	config.OS, config.Architecture, config.Variant, config.Created = platform.OS, platform.Architecture, platform.Variant, created
	for i, src := range b.Layers {
		l, err := b.layer(ctx, i, src, platform)
		if err != nil {
			return v1.Descriptor{}, err
		}
		manifest.Layers = append(manifest.Layers, l.Desc)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.DiffID)
		config.History = append(config.History, v1.History{Created: created, CreatedBy: "waybill"})
	}
	b.configure(&config.Config, on)
	if manifest.Layers == nil {
		manifest.Layers = []v1.Descriptor{} // "layers" is required, null is not an array
		config.RootFS.DiffIDs = []v1.Hash{}
	}
	var err error
	if manifest.Config, err = b.putJSON(types.OCIConfigJSON, config); err != nil {
		return v1.Descriptor{}, err
	}
	d, err := b.putJSON(types.OCIManifestSchema1, manifest)
	d.Platform = &platform
	return d, err
}

// copyBase brings the base's layers into the layout, through the cache.
func (b *builder) copyBase(ctx context.Context, on *base) ([]v1.Descriptor, error) {
	layers := slices.Clone(on.image.Layers)
	if err := checkTotal(layers); err != nil {
		return nil, err
	}
	for i, d := range layers {
		if layers[i].MediaType = ociLayerType(d.MediaType); layers[i].MediaType == "" {
			return nil, fail(ErrInvalid, "base layer %s has type %q, which an OCI image cannot have", d.Digest, d.MediaType)
		}
		if err := b.cache.copyThrough(ctx, b.out, on.from, d); err != nil {
			return nil, err
		}
	}
	return layers, nil
}

func (b *builder) layer(ctx context.Context, i int, src Source, platform v1.Platform) (layer, error) {
	if l, built := b.layers[i]; built {
		return l, nil
	}
	temp, err := os.MkdirTemp(b.temp, "layer-")
	if err != nil {
		return layer{}, err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	abs, err := filepath.Abs(temp) // the compiler may run in another directory
	if err != nil {
		return layer{}, err
	}
	files, err := collect(ctx, src, Target{Platform: platform.String(), TempDir: abs})
	if err != nil {
		return layer{}, err
	}
	l, err := b.cache.layer(ctx, b.out, files, b.created)
	if err == nil && sameOnAll(src) {
		b.layers[i] = l
	}
	return l, err
}

func (b *builder) putJSON(mediaType types.MediaType, v any) (v1.Descriptor, error) {
	raw, err := marshal(v)
	if err != nil {
		return v1.Descriptor{}, err
	}
	return b.out.put(raw, mediaType)
}
