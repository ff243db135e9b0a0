package image

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/waybill-dev/waybill/internal/retry"
)

const (
	maxArtifactBytes = 1 << 30
	maxReferrers     = 10_000
	maxPages         = 100
	mediaTypeEmpty   = "application/vnd.oci.empty.v1+json"
)

// Referrer is an artifact attached to an image.
type Referrer struct {
	Ref          string // "host/repo@sha256:…"; give it to [Client.Fetch]
	Digest       string // of the artifact's manifest
	ArtifactType string
	Annotations  map[string]string
}

// Attach stores what r yields, at most 1 GiB, as an artifact that refers to an image, and returns the
// artifact's reference. Subject is the image's reference; a tag is resolved first. The artifact type is the
// media type of the content, such as "application/vnd.cyclonedx+json" or "application/sarif+json". The same
// content attached again is the same artifact and changes nothing.
//
// Registries that lack the referrers API keep the list of artifacts in a tag made of the subject's digest,
// which can only be read and written as a whole. Attaches to one subject through one client therefore wait
// for each other, and each looks afterwards whether its entry is still there and adds it again when another
// process has overwritten it. As registries have no conditional write, two processes that write at the same moment
// can still lose one; attach from one process.
//
// The errors are those of [Client.Push].
func (c *Client) Attach(ctx context.Context, subject, artifactType string, r io.Reader) (string, error) {
	ref, err := c.attach(ctx, subject, artifactType, r)
	return ref, wrap("attach", subject, err)
}

func (c *Client) attach(ctx context.Context, subject, artifactType string, r io.Reader) (string, error) {
	if kind, sub, ok := strings.Cut(artifactType, "/"); !ok || kind == "" || sub == "" || strings.ContainsAny(artifactType, " \t\r\n;,") {
		return "", fail(ErrInvalid, "artifact type %q is no media type", artifactType)
	}
	ref, err := parseReference(subject)
	if err != nil {
		return "", err
	}
	repo := c.repository(ref, "pull,push")
	image, err := repo.get(ctx, ref.identifier())
	if err != nil {
		return "", err
	}
	n, err := repo.putArtifact(ctx, image.desc, artifactType, r)
	if err != nil {
		return "", err
	}
	ref.tag = ""
	return ref.pinned(n.desc.Digest.String()), nil
}

// putArtifact uploads the content and its manifest, and sees to it that the subject's referrers list it.
func (r *repository) putArtifact(ctx context.Context, subject v1.Descriptor, artifactType string, content io.Reader) (*node, error) {
	dir, err := os.MkdirTemp("", "attach-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := createStore(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.close() }()
	blob, err := s.spool(ctx, content, maxArtifactBytes)
	if err != nil {
		return nil, err
	}
	blob.MediaType = types.MediaType(artifactType)
	config, err := s.put([]byte("{}"), mediaTypeEmpty)
	if err != nil {
		return nil, err
	}
	raw, err := marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: artifactType, Config: config,
		Layers:  []v1.Descriptor{blob},
		Subject: &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	})
	if err != nil {
		return nil, err
	}
	n, err := parseNode(v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: hashOf(raw)}, raw)
	if err != nil {
		return nil, err
	}
	blobs := []v1.Descriptor{config, blob}
	send := func() (*reply, error) {
		for _, d := range blobs {
			if _, err := r.ensureBlob(ctx, s, d, nil, nil); err != nil {
				return nil, err
			}
		}
		return r.putManifest(ctx, n, n.desc.Digest.String())
	}
	reply, err := send()
	if missesBlobs(err) {
		r.forget(blobs)
		reply, err = send()
	}
	if err != nil {
		return nil, err
	}
	if reply.header.Get("OCI-Subject") == subject.Digest.String() {
		return n, nil // the registry keeps the list
	}
	n.desc.ArtifactType = artifactType
	return n, r.listReferrer(ctx, subject.Digest, n.desc)
}

// spool writes a stream to the store, at most limit bytes.
func (s *store) spool(ctx context.Context, r io.Reader, limit int64) (v1.Descriptor, error) {
	w, err := s.create()
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer w.discard()
	if _, err := io.Copy(w, io.LimitReader(&cancelReader{ctx, r}, limit+1)); err != nil {
		return v1.Descriptor{}, err
	}
	if w.size > limit {
		return v1.Descriptor{}, fail(ErrTooLarge, "content is larger than the cap of %d bytes", limit)
	}
	return v1.Descriptor{Digest: w.digest(), Size: w.size}, w.commit()
}

// referrersTag is where the list is when there is no referrers API.
func referrersTag(subject v1.Hash) string { return subject.Algorithm + "-" + subject.Hex }

type referrersLock struct {
	endpoint, repo string
	subject        v1.Hash
}

// listReferrer adds an entry to the list in the tag, until it stays there.
func (r *repository) listReferrer(ctx context.Context, subject v1.Hash, entry v1.Descriptor) error {
	unlock, err := r.client.lock(ctx, referrersLock{r.host.endpoint, r.ref.repo, subject})
	if err != nil {
		return err
	}
	defer unlock()
	return retry.Do(ctx, r.client.retry, func(ctx context.Context, _ int) error {
		index, err := r.referrersIndex(ctx, subject)
		if err != nil || lists(index, entry) {
			return err
		}
		index.Manifests = append(index.Manifests, entry)
		raw, err := marshal(index)
		if err != nil {
			return err
		}
		n, err := parseNode(v1.Descriptor{MediaType: types.OCIImageIndex, Digest: hashOf(raw)}, raw)
		if err != nil {
			return err
		}
		if _, err := r.putManifest(ctx, n, referrersTag(subject)); err != nil {
			return err
		}
		if index, err = r.referrersIndex(ctx, subject); err == nil && !lists(index, entry) {
			err = retry.Again(fail(ErrUnavailable, "the list of referrers of %s was overwritten by another process", subject))
		}
		return err
	})
}

func lists(index *v1.IndexManifest, entry v1.Descriptor) bool {
	return slices.ContainsFunc(index.Manifests, func(d v1.Descriptor) bool { return d.Digest == entry.Digest })
}

// referrersIndex reads the list in the tag; an empty one when there is none.
func (r *repository) referrersIndex(ctx context.Context, subject v1.Hash) (*v1.IndexManifest, error) {
	n, err := r.get(ctx, referrersTag(subject))
	switch {
	case errors.Is(err, ErrNotFound):
		return &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}, nil
	case err != nil:
		return nil, err
	case n.index == nil:
		return nil, fail(ErrRegistry, "tag %s holds no index", referrersTag(subject))
	}
	return n.index, nil
}

// Referrers lists what is attached to an image, of one artifact type or, when that is empty, of all. The
// errors are those of [Client.Resolve]; [ErrTooLarge] past 10,000 entries or 100 pages.
func (c *Client) Referrers(ctx context.Context, subject, artifactType string) ([]Referrer, error) {
	found, err := c.referrers(ctx, subject, artifactType)
	return found, wrap("referrers", subject, err)
}

func (c *Client) referrers(ctx context.Context, subject, artifactType string) ([]Referrer, error) {
	ref, err := parseReference(subject)
	if err != nil {
		return nil, err
	}
	repo := c.repository(ref, "pull")
	digest, err := repo.head(ctx, ref.identifier())
	if err != nil {
		return nil, err
	}
	list, err := repo.listReferrers(ctx, digest, artifactType)
	if errors.Is(err, ErrNotFound) {
		var index *v1.IndexManifest
		if index, err = repo.referrersIndex(ctx, digest); err == nil {
			list = index.Manifests
		}
	}
	if err != nil {
		return nil, err
	}
	found := []Referrer{}
	for _, d := range list {
		if artifactType != "" && d.ArtifactType != artifactType {
			continue // filtering is optional for registries
		}
		if _, err := parseDigest(d.Digest.String()); err != nil {
			return nil, fail(ErrRegistry, "referrers: %w", err)
		}
		here := reference{host: ref.host, repo: ref.repo}
		found = append(found, Referrer{
			Ref: here.pinned(d.Digest.String()), Digest: d.Digest.String(), ArtifactType: d.ArtifactType, Annotations: maps.Clone(d.Annotations),
		})
	}
	slices.SortFunc(found, func(a, b Referrer) int {
		return cmp.Or(cmp.Compare(a.ArtifactType, b.ArtifactType), cmp.Compare(a.Digest, b.Digest))
	})
	return found, nil
}

// listReferrers asks the referrers API, page by page.
func (r *repository) listReferrers(ctx context.Context, subject v1.Hash, artifactType string) ([]v1.Descriptor, error) {
	req := request{
		method: http.MethodGet,
		path:   "/v2/" + r.ref.repo + "/referrers/" + subject.String(),
		header: http.Header{"Accept": {string(types.OCIImageIndex)}},
		scopes: []string{r.scope},
		ok:     []int{http.StatusOK},
	}
	if artifactType != "" {
		req.path += "?" + url.Values{"artifactType": {artifactType}}.Encode()
	}
	var all []v1.Descriptor
	for range maxPages {
		got, err := r.fetch(ctx, req, maxManifestBytes)
		if err != nil {
			return nil, err
		}
		var index v1.IndexManifest
		if types.MediaType(got.mediaType) != types.OCIImageIndex || json.Unmarshal(got.body, &index) != nil {
			return nil, fail(ErrRegistry, "the reply to a referrers request is no index but %q", got.mediaType)
		}
		if all = append(all, index.Manifests...); len(all) > maxReferrers {
			return nil, fail(ErrTooLarge, "more referrers than the cap of %d", maxReferrers)
		}
		next := nextPage(got.header)
		if next == "" {
			return all, nil
		}
		if req.url, err = r.host.hop(ctx, got.url, next); err != nil {
			return nil, err
		}
	}
	return nil, fail(ErrTooLarge, "more pages of referrers than the cap of %d", maxPages)
}

// nextPage is the target of the Link header with rel=next.
func nextPage(h http.Header) string {
	for _, link := range h.Values("Link") {
		target, params, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
		if ok && strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
			return target
		}
	}
	return ""
}

// Fetch writes the content of an attached artifact to w. When it fails, what was written is not to be
// trusted. The errors are those of [Client.Resolve], and [ErrInvalid] for what is no artifact of one blob.
func (c *Client) Fetch(ctx context.Context, ref string, w io.Writer) error {
	return wrap("fetch", ref, c.fetch(ctx, ref, w))
}

func (c *Client) fetch(ctx context.Context, name string, w io.Writer) error {
	ref, err := parseReference(name)
	if err != nil {
		return err
	}
	repo := c.repository(ref, "pull")
	n, err := repo.get(ctx, ref.identifier())
	if err != nil {
		return err
	}
	if n.image == nil || len(n.image.Layers) != 1 || n.image.Config.MediaType.IsConfig() {
		return fail(ErrInvalid, "no artifact of one blob")
	}
	d := n.image.Layers[0]
	if d.Size > maxArtifactBytes {
		return fail(ErrTooLarge, "artifact of %d bytes, the cap is %d", d.Size, maxArtifactBytes)
	}
	r, err := repo.blob(ctx, d, 0)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	return verifyStream(ctx, io.TeeReader(r, w), d)
}
