package image

import (
	"context"
	"encoding/json"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// base is the image to build on, for one platform.
type base struct {
	name   string // reference with digest, or "" for a layout
	digest string // of the platform's manifest
	image  *v1.Manifest
	config *v1.ConfigFile
	from   content
}

// baseSource is where bases come from: the root manifest, and the content below it.
type baseSource struct {
	name string
	root *node
	from content
}

func (p *plan) baseSource(ctx context.Context, c *Client) (*baseSource, error) {
	switch {
	case p.BaseLayout != nil:
		s, err := openStore(p.BaseLayout.dir)
		if err != nil {
			return nil, err
		}
		root, err := fetchNode(ctx, s, p.BaseLayout.root)
		return &baseSource{root: root, from: s}, err
	case p.Base != "":
		ref, err := parseReference(p.Base)
		if err != nil {
			return nil, err
		}
		repo := c.repository(ref, "pull")
		root, err := repo.get(ctx, ref.identifier())
		return &baseSource{name: p.Base, root: root, from: repo}, err
	}
	return nil, nil //nolint:nilnil // built on nothing
}

func (s *baseSource) close() {
	if s == nil {
		return
	}
	if st, ok := s.from.(*store); ok {
		_ = st.close()
	}
}

// forPlatform finds the platform's image; nil when there is no base.
func (s *baseSource) forPlatform(ctx context.Context, want v1.Platform) (*base, error) {
	if s == nil {
		return nil, nil //nolint:nilnil // built on nothing
	}
	image, config, err := findPlatform(ctx, s.from, s.root, want)
	if err != nil {
		return nil, err
	}
	return &base{name: s.name, digest: image.desc.Digest.String(), image: image.image, config: config, from: s.from}, nil
}

// findPlatform returns the image below root that runs on want, with its configuration.
func findPlatform(ctx context.Context, from content, root *node, want v1.Platform) (*node, *v1.ConfigFile, error) {
	if root.image != nil {
		config, err := readConfig(ctx, from, root)
		if err != nil {
			return nil, nil, err
		}
		if have := platformOfConfig(config); !matches(have, want) {
			return nil, nil, fail(ErrNotFound, "the image is for %s, not for %s", have, want)
		}
		return root, config, nil
	}
	var found []string
	for _, d := range root.children() {
		if d.Platform == nil || isAttestation(d) {
			continue
		}
		if !matches(*d.Platform, want) {
			found = append(found, d.Platform.String())
			continue
		}
		n, err := fetchNode(ctx, from, d)
		if err != nil {
			return nil, nil, err
		}
		if n.image == nil {
			return nil, nil, fail(ErrInvalid, "index entry %s for %s is no image", d.Digest, d.Platform)
		}
		config, err := readConfig(ctx, from, n)
		return n, config, err
	}
	return nil, nil, fail(ErrNotFound, "no image for %s, only for %v", want, found)
}

// readConfig reads an image's configuration and holds it against the manifest.
func readConfig(ctx context.Context, from content, n *node) (*v1.ConfigFile, error) {
	if !n.image.Config.MediaType.IsConfig() {
		return nil, fail(ErrInvalid, "%s is no container image: its config has type %q", n.desc.Digest, n.image.Config.MediaType)
	}
	raw, err := readSmall(ctx, from, n.image.Config, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	config := &v1.ConfigFile{}
	if err := json.Unmarshal(raw, config); err != nil {
		return nil, fail(ErrInvalid, "config %s: %w", n.image.Config.Digest, err)
	}
	if len(config.RootFS.DiffIDs) != len(n.image.Layers) {
		return nil, fail(ErrInvalid, "config %s names %d layers, its manifest %d", n.image.Config.Digest, len(config.RootFS.DiffIDs), len(n.image.Layers))
	}
	return config, nil
}

func platformOfConfig(c *v1.ConfigFile) v1.Platform {
	return v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}
}

// ociLayerType is the OCI name of a layer's media type, or "" when it has none and cannot be part of an OCI
// image (a foreign layer, whose bytes the registry does not hold).
func ociLayerType(m types.MediaType) types.MediaType {
	switch m {
	case types.DockerLayer, types.OCILayer:
		return types.OCILayer
	case types.DockerUncompressedLayer, types.OCIUncompressedLayer:
		return types.OCIUncompressedLayer
	case types.OCILayerZStd:
		return types.OCILayerZStd
	}
	return ""
}
