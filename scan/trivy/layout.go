package trivy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/waybill-dev/waybill/scan/command"
)

const (
	maxIndexBytes = 4 << 20
	maxIndexDepth = 4
	maxImages     = 100
)

// descriptor is the part of an OCI descriptor that matters here.
type descriptor struct {
	MediaType string
	Digest    string
	Size      int64
	Platform  *struct{ OS, Architecture, Variant string }
	raw       json.RawMessage
}

func (d *descriptor) UnmarshalJSON(b []byte) error {
	type plain descriptor
	if err := json.Unmarshal(b, (*plain)(d)); err != nil {
		return err
	}
	d.raw = append(json.RawMessage(nil), b...)
	return nil
}

func (d *descriptor) isIndex() bool {
	return strings.Contains(d.MediaType, "image.index") || strings.Contains(d.MediaType, "manifest.list")
}

// isImage leaves out attestations, which build tools put beside images with an unknown platform.
func (d *descriptor) isImage() bool {
	return d.Platform == nil || d.Platform.OS != "unknown"
}

func (d *descriptor) name() string {
	if p := d.Platform; p != nil && p.OS != "" {
		return strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
	}
	return d.Digest
}

// layoutSubjects makes a view of the layout for each image in it: the same blobs, and an index with that image
// alone. Of a layout with several images, one per platform say, Trivy would scan the first and be silent about
// the rest; and it takes a colon or an @ in the path for the start of a tag.
func layoutSubjects(layout, tmp, ignore string) ([]subject, error) {
	images, err := images(layout, filepath.Join(layout, "index.json"), 0)
	if err != nil {
		return nil, err
	}
	if len(images) == 0 {
		return nil, errors.New("the layout holds no image")
	}
	var subs []subject
	for i, d := range images {
		view := fmt.Sprintf("layout-%d", i)
		if err := writeView(layout, filepath.Join(tmp, view), d); err != nil {
			return nil, err
		}
		sub := subject{args: []string{"image", "--input", view}, ignore: ignore}
		if len(images) > 1 {
			sub.category = d.name()
		}
		subs = append(subs, sub)
	}
	return subs, nil
}

// images lists the images of an index and of the indexes in it.
func images(layout, index string, depth int) ([]descriptor, error) {
	if depth > maxIndexDepth {
		return nil, fmt.Errorf("indexes nested deeper than the cap of %d", maxIndexDepth)
	}
	b, err := command.ReadFile(index, maxIndexBytes)
	if err != nil {
		return nil, err
	}
	manifests, err := parseIndex(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(index), err)
	}
	var all []descriptor
	for _, d := range manifests {
		switch {
		case d.isIndex():
			blob, err := blobPath(layout, d.Digest)
			if err != nil {
				return nil, err
			}
			more, err := images(layout, blob, depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		case d.isImage():
			all = append(all, d)
		}
		if len(all) > maxImages {
			return nil, fmt.Errorf("more images in the layout than the cap of %d", maxImages)
		}
	}
	return all, nil
}

func parseIndex(b []byte) ([]descriptor, error) {
	var doc struct{ Manifests []descriptor }
	err := json.Unmarshal(b, &doc)
	return doc.Manifests, err
}

func blobPath(layout, digest string) (string, error) {
	algorithm, hex, ok := strings.Cut(digest, ":")
	if !ok || !filepath.IsLocal(algorithm) || !filepath.IsLocal(hex) || strings.ContainsAny(algorithm+hex, `/\`) {
		return "", fmt.Errorf("%q is no digest", digest)
	}
	return filepath.Join(layout, "blobs", algorithm, hex), nil
}

func writeView(layout, view string, d descriptor) error {
	if err := os.Mkdir(view, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join(layout, "blobs"), filepath.Join(view, "blobs")); err != nil {
		return err
	}
	index, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []json.RawMessage{d.raw},
	})
	if err != nil {
		return err
	}
	for name, content := range map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": string(index)} {
		if err := os.WriteFile(filepath.Join(view, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
