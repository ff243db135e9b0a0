package image

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Copy brings what src points to, with everything below it, to the reference dst, in the same registry or
// another. Nothing is kept on disk; within a registry blobs are mounted. The tag guard and the results are
// those of [Client.Push]; the manifests stay the same byte for byte, and so does the digest.
func (c *Client) Copy(ctx context.Context, src, dst string, o *PushOptions) (*Pushed, error) {
	p, err := c.copy(ctx, src, dst, o)
	return p, wrap("copy", src+" to "+dst, err)
}

func (c *Client) copy(ctx context.Context, src, dst string, o *PushOptions) (*Pushed, error) {
	if o == nil {
		o = &PushOptions{}
	}
	from, err := parseReference(src)
	if err != nil {
		return nil, err
	}
	to, err := parseReference(dst)
	if err != nil {
		return nil, err
	}
	source := c.repository(from, "pull")
	root, err := source.get(ctx, from.identifier())
	if err != nil {
		return nil, err
	}
	if to.digest != "" && to.digest != root.desc.Digest.String() {
		return nil, fail(ErrInvalid, "reference %s names another digest than the source's %s", to, root.desc.Digest)
	}
	nodes, err := tree(ctx, source, root.desc)
	if err != nil {
		return nil, err
	}
	platforms, err := platformsOf(ctx, source, root)
	if err != nil {
		return nil, err
	}
	t := &transfer{client: c, from: source, nodes: nodes, mountFrom: []reference{from}, moveTag: o.MoveTag, progress: o.Progress}
	p, err := t.run(ctx, []reference{to})
	if err != nil {
		return nil, err
	}
	p.Platforms = platforms
	return p, nil
}

// PullOptions are the options of [Client.Pull].
type PullOptions struct {
	Platform string // "os/arch[/variant]": only this image of an index; empty takes all
}

// Pull fetches what ref points to into an OCI layout in dir, where it can be scanned, extracted, built upon or
// pushed elsewhere. Every byte is held against its digest. What is said of dir at [Build] goes here too, and
// the errors are those of [Client.Resolve].
func (c *Client) Pull(ctx context.Context, ref, dir string, o *PullOptions) (*Layout, error) {
	if o == nil {
		o = &PullOptions{}
	}
	l, err := c.pull(ctx, ref, dir, o)
	return l, wrap("pull", ref, err)
}

func (c *Client) pull(ctx context.Context, name, dir string, o *PullOptions) (*Layout, error) {
	ref, err := parseReference(name)
	if err != nil {
		return nil, err
	}
	repo := c.repository(ref, "pull")
	root, err := repo.get(ctx, ref.identifier())
	if err != nil {
		return nil, err
	}
	if o.Platform != "" {
		want, err := platformOf(o.Platform)
		if err != nil {
			return nil, err
		}
		if root, _, err = findPlatform(ctx, repo, root, want); err != nil {
			return nil, err
		}
	}
	nodes, err := tree(ctx, repo, root.desc)
	if err != nil {
		return nil, err
	}
	blobs := blobsOf(nodes)
	if err := checkTotal(blobs); err != nil {
		return nil, err
	}
	out, err := createLayout(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.close() }()
	for _, n := range nodes {
		if _, err := out.put(n.raw, n.desc.MediaType); err != nil {
			return nil, err
		}
	}
	err = parallel(ctx, len(blobs), func(ctx context.Context, i int) error {
		release, err := c.slot(ctx)
		if err != nil {
			return err
		}
		defer release()
		return out.copyFrom(ctx, repo, blobs[i])
	})
	if err != nil {
		return nil, err
	}
	desc := root.desc
	desc.Platform = nil
	return finishLayout(ctx, out, dir, desc)
}

// checkTotal refuses what nobody would have room for, before the first byte.
func checkTotal(blobs []v1.Descriptor) error {
	var total int64
	for _, d := range blobs {
		if total += min(d.Size, maxPullBytes); total >= maxPullBytes {
			return fail(ErrTooLarge, "blobs are larger than the cap of %d bytes", int64(maxPullBytes))
		}
	}
	return nil
}

// blobsOf are the configs and layers of all images, each once.
func blobsOf(nodes []*node) []v1.Descriptor {
	var blobs []v1.Descriptor
	seen := map[v1.Hash]bool{}
	for _, n := range nodes {
		for _, d := range n.blobs() {
			if !seen[d.Digest] {
				seen[d.Digest] = true
				blobs = append(blobs, d)
			}
		}
	}
	return blobs
}
