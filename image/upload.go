package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/waybill-dev/waybill/internal/retry"
)

// BlobStatus says how a blob came to be in a repository.
type BlobStatus string

// How a blob came to be in a repository.
const (
	BlobUploaded BlobStatus = "uploaded" // its bytes were sent
	BlobMounted  BlobStatus = "mounted"  // the registry took it over from another of its repositories
	BlobPresent  BlobStatus = "present"  // it was there
)

// ensureBlob brings one blob into the repository, in the cheapest way there is.
func (r *repository) ensureBlob(ctx context.Context, from content, d v1.Descriptor, mountFrom []string, moved func(int64)) (BlobStatus, error) {
	// Others that push the same blob to this registry wait, and then mount it or find it.
	unlock, err := r.client.lock(ctx, knownBlob{r.host.endpoint, d.Digest})
	if err != nil {
		return "", err
	}
	defer unlock()
	known := r.whoHas(d.Digest)
	if slices.Contains(known, r.ref.repo) {
		return BlobPresent, nil
	}
	release, err := r.client.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	status := BlobPresent
	if has, err := r.hasBlob(ctx, d); err != nil {
		return "", err
	} else if !has {
		if status, err = r.upload(ctx, from, d, append(known, mountFrom...), moved); err != nil {
			return "", err
		}
	}
	r.remember(d.Digest)
	return status, nil
}

// upload mounts the blob, or sends it.
func (r *repository) upload(ctx context.Context, from content, d v1.Descriptor, mountFrom []string, moved func(int64)) (BlobStatus, error) {
	var session *url.URL
	for _, other := range mountFrom {
		if other == r.ref.repo {
			continue
		}
		location, err := r.start(ctx, d.Digest, other)
		if err != nil && ctx.Err() != nil {
			return "", err
		}
		if err == nil && location == nil {
			return BlobMounted, nil
		}
		session = location // a refused mount is an upload begun, or nothing
		break
	}
	u := &upload{repo: r, from: from, desc: d, moved: moved, session: session}
	return BlobUploaded, retry.Do(ctx, r.client.retry, u.try)
}

// start opens an upload session; with a mountFrom it asks to mount instead, and returns nil when that worked.
func (r *repository) start(ctx context.Context, d v1.Hash, mountFrom string) (*url.URL, error) {
	req := request{
		method: http.MethodPost,
		path:   "/v2/" + r.ref.repo + "/blobs/uploads/",
		scopes: []string{r.scope},
		ok:     []int{http.StatusAccepted},
	}
	if mountFrom != "" {
		req.path += "?" + url.Values{"mount": {d.String()}, "from": {mountFrom}}.Encode()
		req.scopes = append(req.scopes, scopeOf(mountFrom, "pull"))
		req.ok = append(req.ok, http.StatusCreated)
	}
	resp, err := r.host.send(ctx, req)
	if err != nil {
		return nil, err
	}
	if resp.status == http.StatusCreated {
		return nil, nil //nolint:nilnil // mounted, there is no session
	}
	return r.host.hop(ctx, resp.url, resp.header.Get("Location"))
}

// upload sends one blob, over several attempts.
type upload struct {
	repo    *repository
	from    content
	desc    v1.Descriptor
	moved   func(int64)
	session *url.URL // where the next bytes go; nil before the first attempt and when a session is lost
	sent    int64    // bytes the registry has, as it says itself
	broken  bool     // the attempt before this one broke off
	bodies  int      // how many bodies were begun in the session
}

// try is one attempt: in the session of the last one when the registry still has it, and from the byte it
// has got to; else from the start.
func (u *upload) try(ctx context.Context, _ int) error {
	if u.broken && u.session != nil {
		u.resume(ctx)
	}
	if u.session == nil {
		location, err := u.repo.start(ctx, u.desc.Digest, "")
		if err != nil {
			return err
		}
		u.session, u.sent, u.bodies = location, 0, 0
	}
	u.broken = true
	if u.sent > 0 {
		if err := u.patch(ctx); err != nil {
			return u.again(err)
		}
	}
	return u.again(u.put(ctx))
}

// again says whether an attempt may be repeated. A session that the registry does not know any more, or that
// got bytes in a way we did not mean, is given up for a new one. The latter shows only in the digest when a
// body was sent twice, after a 401, and the session kept the first.
func (u *upload) again(err error) error {
	if err == nil {
		return nil
	}
	refused, ok := errors.AsType[*RegistryError](err)
	lost := ok && slices.Contains([]int{http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable}, refused.Status)
	if lost || ok && refused.Code == "DIGEST_INVALID" && u.bodies > 1 {
		u.session = nil
		return retry.Again(err)
	}
	return err
}

// resume asks how far the session has got. Anything but a clear answer loses the session.
func (u *upload) resume(ctx context.Context) {
	session := u.session
	u.session, u.sent = nil, 0
	resp, err := u.repo.host.once(ctx, request{
		method: http.MethodGet, url: session, scopes: []string{u.repo.scope}, ok: []int{http.StatusNoContent},
	})
	if err != nil {
		return
	}
	first, last, ok := strings.Cut(resp.header.Get("Range"), "-")
	end, err := strconv.ParseInt(last, 10, 64)
	if !ok || first != "0" || err != nil || end <= 0 || end+1 > u.desc.Size {
		return // "0-0" means nothing or one byte; both are cheap to send again
	}
	location, err := u.repo.host.hop(ctx, resp.url, resp.header.Get("Location"))
	if err != nil {
		return
	}
	u.session, u.sent = location, end+1
}

// patch sends the rest of a blob that is there in part.
func (u *upload) patch(ctx context.Context) error {
	rest := u.desc.Size - u.sent
	if rest == 0 {
		return nil
	}
	resp, err := u.repo.host.once(ctx, request{
		method: http.MethodPatch,
		url:    u.session,
		header: http.Header{
			"Content-Type":  {"application/octet-stream"},
			"Content-Range": {fmt.Sprintf("%d-%d", u.sent, u.desc.Size-1)},
		},
		scopes: []string{u.repo.scope},
		body:   u.body(ctx),
		size:   rest,
		moved:  u.report,
		ok:     []int{http.StatusAccepted},
	})
	if err != nil {
		return err
	}
	location, err := u.repo.host.hop(ctx, resp.url, resp.header.Get("Location"))
	if err != nil {
		return err
	}
	u.session, u.sent = location, u.desc.Size
	return nil
}

// put ends the upload: with all the bytes, or none when patch has sent them.
func (u *upload) put(ctx context.Context) error {
	target := *u.session
	query := target.Query()
	query.Set("digest", u.desc.Digest.String())
	target.RawQuery = query.Encode()
	resp, err := u.repo.host.once(ctx, request{
		method: http.MethodPut,
		url:    &target,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
		scopes: []string{u.repo.scope},
		body:   u.body(ctx),
		size:   u.desc.Size - u.sent,
		moved:  u.report,
		ok:     []int{http.StatusCreated},

		patience: verification(u.desc.Size),
	})
	if err != nil {
		return err
	}
	if got := resp.header.Get("Docker-Content-Digest"); got != "" && got != u.desc.Digest.String() {
		return fail(ErrDigest, "sent blob %s, the registry stored %.80q", u.desc.Digest, got)
	}
	u.report(u.desc.Size - u.sent)
	return nil
}

// verification is how long a registry may need to hold a blob against its digest, at a slow 10 MB each second.
func verification(size int64) time.Duration {
	return min(time.Duration(size/10_000_000)*time.Second, 5*time.Minute)
}

func (u *upload) body(ctx context.Context) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		u.bodies++
		return u.from.blob(ctx, u.desc, u.sent)
	}
}

// report says how far the blob has got when n bytes of a body have gone.
func (u *upload) report(n int64) {
	if u.moved != nil {
		u.moved(u.sent + n)
	}
}

// putManifest sends a manifest byte for byte, under a tag or its digest.
func (r *repository) putManifest(ctx context.Context, n *node, identifier string) (*reply, error) {
	resp, err := r.host.send(ctx, request{
		method: http.MethodPut,
		path:   "/v2/" + r.ref.repo + "/manifests/" + identifier,
		header: http.Header{"Content-Type": {string(n.desc.MediaType)}},
		scopes: []string{r.scope},
		body:   func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(n.raw))), nil },
		size:   int64(len(n.raw)),
		ok:     []int{http.StatusCreated, http.StatusOK, http.StatusAccepted},
	})
	if err != nil {
		return nil, err
	}
	if got := resp.header.Get("Docker-Content-Digest"); got != "" && got != n.desc.Digest.String() {
		return nil, fail(ErrDigest, "sent manifest %s, the registry stored %.80q", n.desc.Digest, got)
	}
	return resp, nil
}
