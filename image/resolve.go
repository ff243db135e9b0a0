package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/internal/retry"
)

// Resolved is what a reference points to.
type Resolved struct {
	Ref       string   // the reference with its digest: "host/repo:tag@sha256:…"
	Digest    string   // "sha256:…"
	MediaType string   // of the manifest or index
	Platforms []string // "os/arch[/variant]" of each image
}

// Resolve asks what a reference points to. The manifest is fetched and held against its digest.
//
// It fails with [ErrNotFound], [ErrDenied], [ErrUnavailable], with [ErrDigest] when the registry sends other
// bytes than the digest says, with [ErrRegistry] when it sends what is no manifest, with [ErrTooLarge] past a cap,
// and with [ErrInvalid] for a malformed reference.
func (c *Client) Resolve(ctx context.Context, ref string) (*Resolved, error) {
	r, err := c.resolve(ctx, ref)
	return r, wrap("resolve", ref, err)
}

func (c *Client) resolve(ctx context.Context, s string) (*Resolved, error) {
	ref, err := parseReference(s)
	if err != nil {
		return nil, err
	}
	repo := c.repository(ref, "pull")
	root, err := repo.get(ctx, ref.identifier())
	if err != nil {
		return nil, err
	}
	platforms, err := platformsOf(ctx, repo, root)
	if err != nil {
		return nil, err
	}
	digest := root.desc.Digest.String()
	return &Resolved{Ref: ref.pinned(digest), Digest: digest, MediaType: string(root.desc.MediaType), Platforms: platforms}, nil
}

// platformsOf lists the platforms below a manifest: from the index, or the configuration of a single image.
func platformsOf(ctx context.Context, from content, root *node) ([]string, error) {
	if root.image != nil {
		if !root.image.Config.MediaType.IsConfig() {
			return nil, nil // an artifact runs nowhere
		}
		config, err := readConfig(ctx, from, root)
		if err != nil {
			return nil, err
		}
		return []string{platformOfConfig(config).String()}, nil
	}
	var platforms []string
	for _, d := range root.children() {
		if d.Platform != nil && !isAttestation(d) {
			platforms = append(platforms, d.Platform.String())
		}
	}
	return platforms, nil
}

// Exists reports whether a reference points to something. It is false, without an error, when the registry
// says that it does not know it.
func (c *Client) Exists(ctx context.Context, ref string) (bool, error) {
	r, err := parseReference(ref)
	if err == nil {
		_, err = c.repository(r, "pull").head(ctx, r.identifier())
	}
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, wrap("exists", ref, err)
}

// acceptManifests is what we can read.
var acceptManifests = strings.Join([]string{
	string(types.OCIImageIndex), string(types.OCIManifestSchema1),
	string(types.DockerManifestList), string(types.DockerManifestSchema2),
}, ", ")

func (r *repository) manifestRequest(method, identifier string) request {
	return request{
		method: method,
		path:   "/v2/" + r.ref.repo + "/manifests/" + identifier,
		header: http.Header{"Accept": {acceptManifests}},
		scopes: []string{r.scope},
		ok:     []int{http.StatusOK},
	}
}

// head asks for the digest of a manifest without fetching it.
func (r *repository) head(ctx context.Context, identifier string) (v1.Hash, error) {
	resp, err := r.host.send(ctx, r.manifestRequest(http.MethodHead, identifier))
	if err != nil {
		return v1.Hash{}, err
	}
	digest, err := parseDigest(resp.header.Get("Docker-Content-Digest"))
	if err != nil {
		// The header is not mandatory. Without it only the bytes can say.
		n, err := r.get(ctx, identifier)
		if err != nil {
			return v1.Hash{}, err
		}
		return n.desc.Digest, nil
	}
	if want, err := parseDigest(identifier); err == nil && want != digest {
		return v1.Hash{}, fail(ErrDigest, "asked for manifest %s, the registry names %s", want, digest)
	}
	return digest, nil
}

// get fetches a manifest by tag or digest and verifies it.
func (r *repository) get(ctx context.Context, identifier string) (*node, error) {
	got, err := r.fetch(ctx, r.manifestRequest(http.MethodGet, identifier), maxManifestBytes)
	if err != nil {
		return nil, err
	}
	desc := v1.Descriptor{MediaType: types.MediaType(got.mediaType), Digest: hashOf(got.body)}
	if want, err := parseDigest(identifier); err == nil {
		desc.Digest = want
	} else if want, err := parseDigest(got.header.Get("Docker-Content-Digest")); err == nil {
		desc.Digest = want
	}
	n, err := parseNode(desc, got.body)
	if errors.Is(err, ErrInvalid) { // the caller's input is not what is wrong
		return nil, fail(ErrRegistry, "%s", err.Error())
	}
	return n, err
}

// manifest implements content.
func (r *repository) manifest(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	n, err := r.get(ctx, d.Digest.String())
	if err != nil {
		return nil, err
	}
	return n.raw, nil
}

// fetched is a small answer with its body.
type fetched struct {
	reply
	body      []byte
	mediaType string
}

// fetch reads a small answer whole, again from the start when it breaks off.
func (r *repository) fetch(ctx context.Context, req request, limit int64) (*fetched, error) {
	var got *fetched
	err := retry.Do(ctx, r.client.retry, func(ctx context.Context, _ int) error {
		resp, err := r.host.open(ctx, req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		u := resp.Request.URL
		body, err := httpx.ReadAll(resp.Body, limit, "reply of "+req.method+" "+httpx.RedactURL(u))
		if _, ok := errors.AsType[*httpx.TooLargeError](err); ok {
			return fail(ErrTooLarge, "%w", err)
		}
		if err != nil {
			return r.host.failure(ctx, req.method, u, err)
		}
		mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if err != nil {
			return fail(ErrRegistry, "reply of %s %s has no usable Content-Type", req.method, httpx.RedactURL(u))
		}
		got = &fetched{reply{status: resp.StatusCode, header: resp.Header, url: u}, body, mediaType}
		return nil
	})
	return got, err
}

func (r *repository) blobPath(d v1.Hash) string { return "/v2/" + r.ref.repo + "/blobs/" + d.String() }

// hasBlob asks for a blob.
func (r *repository) hasBlob(ctx context.Context, d v1.Descriptor) (bool, error) {
	resp, err := r.host.send(ctx, request{
		method: http.MethodHead, path: r.blobPath(d.Digest), scopes: []string{r.scope}, ok: []int{http.StatusOK, http.StatusNotFound},
	})
	if err != nil {
		return false, err
	}
	if resp.status == http.StatusNotFound {
		return false, nil
	}
	if resp.size >= 0 && resp.size != d.Size {
		return false, fail(ErrDigest, "the registry has blob %s with %d bytes, it should have %d", d.Digest, resp.size, d.Size)
	}
	return true, nil
}

// blob implements content: it opens a blob at an offset, and goes on from where a connection broke.
func (r *repository) blob(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
	b := &remoteBlob{ctx: ctx, repo: r, desc: d, at: offset}
	if err := b.reopen(); err != nil {
		return nil, err
	}
	return b, nil
}

// remoteBlob reads a blob of a registry. It does not verify; who reads to the end does.
type remoteBlob struct {
	ctx    context.Context //nolint:containedctx // of the call that reads it
	repo   *repository
	desc   v1.Descriptor
	body   io.ReadCloser
	at     int64
	broken int
}

func (b *remoteBlob) reopen() error {
	req := request{method: http.MethodGet, path: b.repo.blobPath(b.desc.Digest), scopes: []string{b.repo.scope}, ok: []int{http.StatusOK}}
	if b.at > 0 {
		req.header = http.Header{"Range": {fmt.Sprintf("bytes=%d-", b.at)}}
		req.ok = append(req.ok, http.StatusPartialContent)
	}
	var resp *http.Response
	err := retry.Do(b.ctx, b.repo.client.retry, func(ctx context.Context, _ int) (err error) {
		resp, err = b.repo.host.open(ctx, req) //nolint:bodyclose // Close and the next reopen close it
		return err
	})
	if err != nil {
		return err
	}
	b.body = resp.Body
	switch {
	case resp.StatusCode == http.StatusOK: // the whole blob, whether asked for or not
		_, err = io.CopyN(io.Discard, resp.Body, b.at)
	case !strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(b.at, 10)+"-"):
		err = fail(ErrRegistry, "asked for blob %s from byte %d on, got %.80q", b.desc.Digest, b.at, resp.Header.Get("Content-Range"))
	}
	if err != nil {
		_ = b.body.Close()
	}
	return err
}

func (b *remoteBlob) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.at += int64(n)
	switch {
	case err == nil:
		return n, nil
	case b.at >= b.desc.Size:
		return n, io.EOF // however it ended: all bytes are there
	case n > 0:
		return n, nil // the next read meets the error again
	}
	if b.broken++; b.broken >= b.repo.client.opts.Attempts || b.ctx.Err() != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, fail(ErrUnavailable, "blob %s broke off at byte %d of %d: %w", b.desc.Digest, b.at, b.desc.Size, err)
	}
	_ = b.body.Close()
	if err := retry.Sleep(b.ctx, b.repo.client.retry.Pause(b.broken)); err != nil {
		return 0, err
	}
	return 0, b.reopen()
}

func (b *remoteBlob) Close() error { return b.body.Close() }
