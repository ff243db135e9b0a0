package imagetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/waybill-dev/waybill/image"
)

// Registry is what the suite runs on: the fake, or a real one.
type Registry struct {
	URL    string // "http://host:port", without a path
	Client *http.Client
	Repo   string // below which the suite writes, for instance "suite/run-1"
}

// Check is one promise that a registry keeps.
type Check struct {
	Name string
	Run  func(ctx context.Context, r Registry) error
}

// Checks is the suite: what this module relies on in a registry. The fake and real registries pass all of it.
func Checks() []Check {
	return []Check{
		{"answers at the root of the API", checkRoot},
		{"blob in one request after the session", checkBlob},
		{"blob in pieces, with the state asked in between", checkPieces},
		{"blob with another digest is refused", checkWrongDigest},
		{"blob in parts by range", checkRange},
		{"blobs of one repository are not another's", checkApart},
		{"mount from another repository", checkMount},
		{"manifest by tag and by digest, byte for byte", checkManifest},
		{"manifest before its blobs is refused", checkIncomplete},
		{"manifest with another digest is refused", checkWrongManifest},
		{"index of manifests", checkIndex},
		{"tag moves", checkTagMoves},
		{"unknown things are 404 with a code", checkUnknown},
		{"manifest deleted", checkDelete},
		{"client pushes, resolves, copies and pulls", checkClient},
		{"client guards tags", checkGuard},
		{"client attaches at the same time and loses nothing", checkAttach},
	}
}

// TestRegistry runs the suite, one subtest for each check.
func TestRegistry(t *testing.T, r Registry) {
	t.Helper()
	for i, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) {
			own := r
			own.Repo = fmt.Sprintf("%s/check%d", r.Repo, i)
			if err := c.Run(t.Context(), own); err != nil {
				t.Error(err)
			}
		})
	}
}

// answer is a response read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (r Registry) do(ctx context.Context, method, where string, header http.Header, body []byte) (*answer, error) {
	if strings.HasPrefix(where, "/") {
		where = r.URL + where
	}
	req, err := http.NewRequestWithContext(ctx, method, where, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	resp, err := r.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return &answer{resp.StatusCode, resp.Header, b}, err
}

// want makes a request and holds the status against what it should be.
func (r Registry) want(ctx context.Context, status int, method, where string, header http.Header, body []byte) (*answer, error) {
	a, err := r.do(ctx, method, where, header, body)
	if err == nil && a.status != status {
		err = fmt.Errorf("%s %s: status %d, want %d: %.200s", method, where, a.status, status, a.body)
	}
	return a, err
}

// code is the first error code of an answer.
func (a *answer) code() string {
	var e struct{ Errors []struct{ Code string } }
	if json.Unmarshal(a.body, &e) != nil || len(e.Errors) == 0 {
		return ""
	}
	return e.Errors[0].Code
}

func (r Registry) path(repo, rest string) string { return "/v2/" + r.Repo + repo + rest }

// start opens an upload session and returns where its bytes go.
func (r Registry) start(ctx context.Context, repo string) (string, error) {
	a, err := r.want(ctx, http.StatusAccepted, http.MethodPost, r.path(repo, "/blobs/uploads/"), nil, nil)
	if err != nil {
		return "", err
	}
	return r.location(a)
}

func (r Registry) location(a *answer) (string, error) {
	base, err := url.Parse(r.URL)
	if err != nil {
		return "", err
	}
	u, err := base.Parse(a.header.Get("Location"))
	if err != nil || a.header.Get("Location") == "" {
		return "", fmt.Errorf("unusable Location %q", a.header.Get("Location"))
	}
	return u.String(), nil
}

func withDigest(session, digest string) string {
	separator := "?"
	if strings.Contains(session, "?") {
		separator = "&"
	}
	return session + separator + "digest=" + url.QueryEscape(digest)
}

// put uploads a blob.
func (r Registry) put(ctx context.Context, repo string, b []byte) (digest string, err error) {
	session, err := r.start(ctx, repo)
	if err != nil {
		return "", err
	}
	digest = digestOf(b)
	a, err := r.want(ctx, http.StatusCreated, http.MethodPut, withDigest(session, digest), octets(), b)
	if err == nil && a.header.Get("Docker-Content-Digest") != digest {
		err = fmt.Errorf("stored %q, sent %s", a.header.Get("Docker-Content-Digest"), digest)
	}
	return digest, err
}

func octets() http.Header { return http.Header{"Content-Type": {"application/octet-stream"}} }

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
)

// artifact uploads a config and returns a manifest that needs it.
func (r Registry) artifact(ctx context.Context, repo, config string) ([]byte, error) {
	digest, err := r.put(ctx, repo, []byte(config))
	return manifestOf(digest, len(config)), err
}

func manifestOf(config string, size int) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2, "mediaType":%q, "config":{"mediaType":%q,"digest":%q,"size":%d}, "layers":[]}`, manifestType, configType, config, size)
}

func (r Registry) putManifest(ctx context.Context, status int, repo, ref, mediaType string, raw []byte) (*answer, error) {
	return r.want(ctx, status, http.MethodPut, r.path(repo, "/manifests/"+ref), http.Header{"Content-Type": {mediaType}}, raw)
}

func (r Registry) getManifest(ctx context.Context, status int, repo, ref string) (*answer, error) {
	return r.want(ctx, status, http.MethodGet, r.path(repo, "/manifests/"+ref), http.Header{"Accept": {manifestType + ", " + indexType}}, nil)
}

func checkRoot(ctx context.Context, r Registry) error {
	_, err := r.want(ctx, http.StatusOK, http.MethodGet, "/v2/", nil, nil)
	return err
}

func checkBlob(ctx context.Context, r Registry) error {
	content := []byte("one blob")
	digest, err := r.put(ctx, "", content)
	if err != nil {
		return err
	}
	a, err := r.want(ctx, http.StatusOK, http.MethodGet, r.path("", "/blobs/"+digest), nil, nil)
	if err == nil && !bytes.Equal(a.body, content) {
		err = fmt.Errorf("got %q back", a.body)
	}
	if err != nil {
		return err
	}
	a, err = r.want(ctx, http.StatusOK, http.MethodHead, r.path("", "/blobs/"+digest), nil, nil)
	if err == nil && (a.header.Get("Content-Length") != strconv.Itoa(len(content)) || a.header.Get("Docker-Content-Digest") != digest) {
		err = fmt.Errorf("HEAD says %q bytes of %q", a.header.Get("Content-Length"), a.header.Get("Docker-Content-Digest"))
	}
	return err
}

func checkPieces(ctx context.Context, r Registry) error {
	content := bytes.Repeat([]byte("0123456789"), 1000)
	session, err := r.start(ctx, "")
	if err != nil {
		return err
	}
	for at := 0; at < len(content); at += 4000 {
		end := min(at+4000, len(content))
		header := octets()
		header.Set("Content-Range", fmt.Sprintf("%d-%d", at, end-1))
		a, err := r.want(ctx, http.StatusAccepted, http.MethodPatch, session, header, content[at:end])
		if err != nil {
			return err
		}
		if session, err = r.location(a); err != nil {
			return err
		}
		a, err = r.want(ctx, http.StatusNoContent, http.MethodGet, session, nil, nil)
		if err != nil {
			return err
		}
		if got, want := a.header.Get("Range"), fmt.Sprintf("0-%d", end-1); got != want {
			return fmt.Errorf("state is %q, want %q", got, want)
		}
		if session, err = r.location(a); err != nil {
			return err
		}
	}
	_, err = r.want(ctx, http.StatusCreated, http.MethodPut, withDigest(session, digestOf(content)), octets(), nil)
	return err
}

func checkWrongDigest(ctx context.Context, r Registry) error {
	session, err := r.start(ctx, "")
	if err != nil {
		return err
	}
	other := digestOf([]byte("other"))
	a, err := r.want(ctx, http.StatusBadRequest, http.MethodPut, withDigest(session, other), octets(), []byte("content"))
	if err == nil && a.code() != "DIGEST_INVALID" {
		err = fmt.Errorf("code %q", a.code())
	}
	if err != nil {
		return err
	}
	_, err = r.want(ctx, http.StatusNotFound, http.MethodHead, r.path("", "/blobs/"+other), nil, nil)
	return err
}

func checkRange(ctx context.Context, r Registry) error {
	digest, err := r.put(ctx, "", []byte("0123456789"))
	if err != nil {
		return err
	}
	a, err := r.want(ctx, http.StatusPartialContent, http.MethodGet, r.path("", "/blobs/"+digest), http.Header{"Range": {"bytes=4-"}}, nil)
	if err == nil && (string(a.body) != "456789" || a.header.Get("Content-Range") != "bytes 4-9/10") {
		err = fmt.Errorf("asked from byte 4 on, got %q of %q", a.body, a.header.Get("Content-Range"))
	}
	return err
}

func checkApart(ctx context.Context, r Registry) error {
	digest, err := r.put(ctx, "/one", []byte("of one repository"))
	if err != nil {
		return err
	}
	_, err = r.want(ctx, http.StatusNotFound, http.MethodHead, r.path("/two", "/blobs/"+digest), nil, nil)
	return err
}

func checkMount(ctx context.Context, r Registry) error {
	digest, err := r.put(ctx, "/from", []byte("mounted"))
	if err != nil {
		return err
	}
	ask := func(digest string, status int) error {
		q := url.Values{"mount": {digest}, "from": {r.Repo + "/from"}}
		_, err := r.want(ctx, status, http.MethodPost, r.path("/to", "/blobs/uploads/?"+q.Encode()), nil, nil)
		return err
	}
	if err := ask(digest, http.StatusCreated); err != nil {
		return err
	}
	if _, err := r.want(ctx, http.StatusOK, http.MethodHead, r.path("/to", "/blobs/"+digest), nil, nil); err != nil {
		return err
	}
	return ask(digestOf([]byte("nowhere")), http.StatusAccepted)
}

func checkManifest(ctx context.Context, r Registry) error {
	raw, err := r.artifact(ctx, "", `{"n":1}`)
	if err != nil {
		return err
	}
	digest := digestOf(raw)
	a, err := r.putManifest(ctx, http.StatusCreated, "", "v1", manifestType, raw)
	if err == nil && a.header.Get("Docker-Content-Digest") != digest {
		err = fmt.Errorf("stored %q, sent %s", a.header.Get("Docker-Content-Digest"), digest)
	}
	if err != nil {
		return err
	}
	for _, ref := range []string{"v1", digest} {
		a, err := r.getManifest(ctx, http.StatusOK, "", ref)
		switch {
		case err != nil:
			return err
		case !bytes.Equal(a.body, raw):
			return fmt.Errorf("%s: other bytes came back", ref)
		case a.header.Get("Content-Type") != manifestType:
			return fmt.Errorf("%s: Content-Type %q", ref, a.header.Get("Content-Type"))
		}
		head, err := r.want(ctx, http.StatusOK, http.MethodHead, r.path("", "/manifests/"+ref), http.Header{"Accept": {manifestType}}, nil)
		if err == nil && (head.header.Get("Docker-Content-Digest") != digest || head.header.Get("Content-Length") != strconv.Itoa(len(raw))) {
			err = fmt.Errorf("HEAD %s says %q bytes of %q", ref, head.header.Get("Content-Length"), head.header.Get("Docker-Content-Digest"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkIncomplete(ctx context.Context, r Registry) error {
	raw := manifestOf(digestOf([]byte("never sent")), 10)
	a, err := r.do(ctx, http.MethodPut, r.path("", "/manifests/v1"), http.Header{"Content-Type": {manifestType}}, raw)
	if err != nil {
		return err
	}
	if a.code() != "MANIFEST_BLOB_UNKNOWN" || a.status < 400 {
		return fmt.Errorf("status %d, code %q", a.status, a.code())
	}
	_, err = r.getManifest(ctx, http.StatusNotFound, "", "v1")
	return err
}

func checkWrongManifest(ctx context.Context, r Registry) error {
	raw, err := r.artifact(ctx, "", `{"n":2}`)
	if err != nil {
		return err
	}
	a, err := r.putManifest(ctx, http.StatusBadRequest, "", digestOf([]byte("other")), manifestType, raw)
	if err == nil && a.code() != "DIGEST_INVALID" {
		err = fmt.Errorf("code %q", a.code())
	}
	return err
}

func checkIndex(ctx context.Context, r Registry) error {
	raw, err := r.artifact(ctx, "", `{"n":3}`)
	if err != nil {
		return err
	}
	if _, err := r.putManifest(ctx, http.StatusCreated, "", digestOf(raw), manifestType, raw); err != nil {
		return err
	}
	index := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, indexType, manifestType, digestOf(raw), len(raw))
	if _, err := r.putManifest(ctx, http.StatusCreated, "", "all", indexType, index); err != nil {
		return err
	}
	a, err := r.getManifest(ctx, http.StatusOK, "", "all")
	if err == nil && (!bytes.Equal(a.body, index) || a.header.Get("Content-Type") != indexType) {
		err = fmt.Errorf("came back as %q with other bytes or type", a.header.Get("Content-Type"))
	}
	return err
}

func checkTagMoves(ctx context.Context, r Registry) error {
	for _, config := range []string{`{"n":4}`, `{"n":5}`} {
		raw, err := r.artifact(ctx, "", config)
		if err != nil {
			return err
		}
		if _, err := r.putManifest(ctx, http.StatusCreated, "", "moving", manifestType, raw); err != nil {
			return err
		}
		a, err := r.getManifest(ctx, http.StatusOK, "", "moving")
		if err == nil && !bytes.Equal(a.body, raw) {
			err = errors.New("the tag does not point to what was put last")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkUnknown(ctx context.Context, r Registry) error {
	if _, err := r.put(ctx, "", []byte("so that the repository exists")); err != nil {
		return err
	}
	none := digestOf([]byte("none"))
	for path, code := range map[string]string{
		"/manifests/none":          "MANIFEST_UNKNOWN",
		"/manifests/" + none:       "MANIFEST_UNKNOWN",
		"/blobs/" + none:           "BLOB_UNKNOWN",
		"/blobs/uploads/" + "none": "",
	} {
		a, err := r.want(ctx, http.StatusNotFound, http.MethodGet, r.path("", path), nil, nil)
		if err == nil && code != "" && a.code() != code {
			err = fmt.Errorf("%s: code %q, want %s", path, a.code(), code)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkDelete(ctx context.Context, r Registry) error {
	raw, err := r.artifact(ctx, "", `{"n":7}`)
	if err != nil {
		return err
	}
	if _, err := r.putManifest(ctx, http.StatusCreated, "", "doomed", manifestType, raw); err != nil {
		return err
	}
	if _, err := r.want(ctx, http.StatusAccepted, http.MethodDelete, r.path("", "/manifests/"+digestOf(raw)), nil, nil); err != nil {
		return err
	}
	_, err = r.getManifest(ctx, http.StatusNotFound, "", "doomed")
	return err
}

// client makes a client of the module for the registry, and a small image.
func (r Registry) client(ctx context.Context, dir string, files image.Files) (*image.Client, *image.Layout, string, error) {
	c, err := image.New(&image.Options{HTTPClient: r.Client, AllowInsecureHTTP: true})
	if err != nil {
		return nil, nil, "", err
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, nil, "", err
	}
	l, err := image.Build(ctx, image.Spec{Layers: []image.Source{files}, Platforms: []string{"linux/amd64", "linux/arm64"}}, dir, nil)
	return c, l, u.Host + "/" + r.Repo, err
}

func checkClient(ctx context.Context, r Registry) error {
	dir, err := os.MkdirTemp("", "suite-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c, l, repo, err := r.client(ctx, filepath.Join(dir, "built"), image.Files{"a": []byte("client")})
	if err != nil {
		return err
	}
	p, err := c.Push(ctx, l, []string{repo + "/one:1", repo + "/two:1"}, nil)
	if err != nil {
		return err
	}
	resolved, err := c.Resolve(ctx, repo+"/two:1")
	if err != nil {
		return err
	}
	copied, err := c.Copy(ctx, repo+"/one:1", repo+"/three:1", nil)
	if err != nil {
		return err
	}
	pulled, err := c.Pull(ctx, copied.Ref, filepath.Join(dir, "pulled"), nil)
	if err != nil {
		return err
	}
	for _, d := range []string{p.Digest, resolved.Digest, copied.Digest, pulled.Digest()} {
		if d != l.Digest() {
			return fmt.Errorf("digests differ: %q, built %s", []string{p.Digest, resolved.Digest, copied.Digest, pulled.Digest()}, l.Digest())
		}
	}
	for _, b := range copied.Blobs {
		if b.Status == image.BlobUploaded {
			return fmt.Errorf("blob %s was sent though the registry had it", b.Digest)
		}
	}
	again, err := c.Push(ctx, l, []string{repo + "/one:1"}, nil)
	if err == nil && again.Refs[0].Status != image.RefUnchanged {
		err = fmt.Errorf("the second push says %q", again.Refs[0].Status)
	}
	return err
}

func checkGuard(ctx context.Context, r Registry) error {
	dir, err := os.MkdirTemp("", "suite-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c, one, repo, err := r.client(ctx, filepath.Join(dir, "1"), image.Files{"a": []byte("guard 1")})
	if err != nil {
		return err
	}
	_, two, _, err := r.client(ctx, filepath.Join(dir, "2"), image.Files{"a": []byte("guard 2")})
	if err != nil {
		return err
	}
	if _, err := c.Push(ctx, one, []string{repo + ":1"}, nil); err != nil {
		return err
	}
	if _, err := c.Push(ctx, two, []string{repo + ":1"}, nil); !errors.Is(err, image.ErrTagExists) {
		return fmt.Errorf("a push over another image gave %w", err)
	}
	p, err := c.Push(ctx, two, []string{repo + ":1"}, &image.PushOptions{MoveTag: true})
	if err == nil && p.Refs[0].Previous != one.Digest() {
		err = fmt.Errorf("moved from %q, want %s", p.Refs[0].Previous, one.Digest())
	}
	return err
}

func checkAttach(ctx context.Context, r Registry) error {
	dir, err := os.MkdirTemp("", "suite-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c, l, repo, err := r.client(ctx, filepath.Join(dir, "1"), image.Files{"a": []byte("attach")})
	if err != nil {
		return err
	}
	p, err := c.Push(ctx, l, []string{repo + ":1"}, nil)
	if err != nil {
		return err
	}
	const n = 6
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, errs[i] = c.Attach(ctx, p.Ref, "application/vnd.example.report", strings.NewReader(fmt.Sprint("report ", i)))
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	found, err := c.Referrers(ctx, p.Ref, "application/vnd.example.report")
	if err != nil {
		return err
	}
	if len(found) != n {
		return fmt.Errorf("%d artifacts attached, %d listed", n, len(found))
	}
	var content bytes.Buffer
	if err := c.Fetch(ctx, found[0].Ref, &content); err != nil || !strings.HasPrefix(content.String(), "report ") {
		return fmt.Errorf("an artifact came back as %q: %w", content.String(), err)
	}
	return nil
}
