package imagetest

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxManifestBytes is the size from which on a manifest is refused.
const maxManifestBytes = 4 << 20

// repo is a repository. It is guarded by Server.mu.
type repo struct {
	blobs     map[string][]byte
	manifests map[string]manifest
	tags      map[string]string // to digests
}

type manifest struct {
	mediaType string
	raw       []byte
}

// session is an upload in progress.
type session struct {
	repo string
	data []byte
}

// apiError is an error of the distribution API.
type apiError struct {
	status int
	code   string
	text   string
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.code, e.text) }

func refuse(status int, code, format string, args ...any) error {
	return &apiError{status, code, fmt.Sprintf(format, args...)}
}

var (
	namePattern   = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*`
	route         = regexp.MustCompile(`^/v2/(` + namePattern + `)/(manifests|blobs|tags|referrers)/(.*)$`)
	tagPattern    = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	digestPattern = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)
)

// handle answers one request of the distribution API.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if r.URL.Path == "/v2/" || r.URL.Path == "/v2" {
		return reply(w, http.StatusOK, "application/json", []byte("{}"))
	}
	if r.URL.Path == "/v2/_catalog" {
		return s.catalog(w, r)
	}
	m := route.FindStringSubmatch(r.URL.Path)
	if m == nil {
		return refuse(http.StatusNotFound, "NAME_INVALID", "no such route")
	}
	if s.opts.ReadOnly && !reads(r.Method) {
		return refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "the registry is read-only")
	}
	name, kind, rest := m[1], m[2], m[3]
	switch {
	case kind == "manifests":
		return s.manifests(w, r, name, rest)
	case kind == "blobs" && rest == "uploads/":
		return s.startUpload(w, r, name)
	case kind == "blobs" && strings.HasPrefix(rest, "uploads/"):
		return s.continueUpload(w, r, name, strings.TrimPrefix(rest, "uploads/"))
	case kind == "blobs":
		return s.blob(w, r, name, rest)
	case kind == "tags" && rest == "list":
		return s.listTags(w, r, name)
	case kind == "referrers" && !s.opts.NoReferrers:
		return s.referrers(w, r, name, rest)
	}
	return refuse(http.StatusNotFound, "UNSUPPORTED", "no such route")
}

func reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }

func reply(w http.ResponseWriter, status int, contentType string, body []byte) error {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // net/http leaves it out for HEAD
	return nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// repo returns a repository, making it when it is about to be written.
func (s *Server) repo(name string, create bool) *repo {
	r := s.repos[name]
	if r == nil && create {
		r = &repo{blobs: map[string][]byte{}, manifests: map[string]manifest{}, tags: map[string]string{}}
		s.repos[name] = r
	}
	return r
}

func (s *Server) blob(w http.ResponseWriter, r *http.Request, name, digest string) error {
	if !digestPattern.MatchString(digest) {
		return refuse(http.StatusBadRequest, "DIGEST_INVALID", "malformed digest")
	}
	s.mu.Lock()
	var data []byte
	var has bool
	if repo := s.repo(name, false); repo != nil {
		if data, has = repo.blobs[digest]; has && r.Method == http.MethodDelete {
			delete(repo.blobs, digest)
		}
	}
	s.mu.Unlock()
	switch {
	case !has:
		return refuse(http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusAccepted)
	case reads(r.Method):
		w.Header().Set("Docker-Content-Digest", digest)
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	default:
		return refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "%s of a blob", r.Method)
	}
	return nil
}

func (s *Server) startUpload(w http.ResponseWriter, r *http.Request, name string) error {
	if r.Method != http.MethodPost {
		return refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "%s of uploads", r.Method)
	}
	q := r.URL.Query()
	if mount := q.Get("mount"); mount != "" && !s.opts.NoMount && s.mount(name, q.Get("from"), mount) {
		return created(w, "/v2/"+name+"/blobs/"+mount, mount)
	}
	if digest := q.Get("digest"); digest != "" {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		return s.finishUpload(w, name, digest, data)
	}
	var b [12]byte
	_, _ = rand.Read(b[:])
	id := hex.EncodeToString(b[:])
	s.mu.Lock()
	s.sessions[id] = &session{repo: name}
	s.mu.Unlock()
	return progress(w, http.StatusAccepted, name, id, 0)
}

func (s *Server) mount(name, from, digest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	source := s.repo(from, false)
	if source == nil {
		return false
	}
	data, has := source.blobs[digest]
	if has {
		s.repo(name, true).blobs[digest] = data
	}
	return has
}

// progress says where an upload is and how far.
func progress(w http.ResponseWriter, status int, name, id string, size int) error {
	w.Header().Set("Location", "/v2/"+name+"/blobs/uploads/"+id)
	w.Header().Set("Docker-Upload-Uuid", id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, size-1)))
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
	return nil
}

func created(w http.ResponseWriter, location, digest string) error {
	w.Header().Set("Location", location)
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (s *Server) continueUpload(w http.ResponseWriter, r *http.Request, name, id string) error {
	s.mu.Lock()
	up := s.sessions[id]
	s.mu.Unlock()
	if up == nil || up.repo != name {
		return noSuchUpload()
	}
	switch r.Method {
	case http.MethodGet:
		return progress(w, http.StatusNoContent, name, id, s.uploaded(id))
	case http.MethodPatch:
		if cr := r.Header.Get("Content-Range"); cr != "" && !strings.HasPrefix(cr, strconv.Itoa(s.uploaded(id))+"-") {
			return refuse(http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "bytes out of order")
		}
		if err := s.receive(id, r.Body); err != nil {
			return err
		}
		return progress(w, http.StatusAccepted, name, id, s.uploaded(id))
	case http.MethodPut:
		if err := s.receive(id, r.Body); err != nil {
			return err
		}
		data, err := s.take(id)
		if err != nil {
			return err
		}
		return s.finishUpload(w, name, r.URL.Query().Get("digest"), data)
	case http.MethodDelete:
		s.mu.Lock()
		delete(s.sessions, id)
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "%s of an upload", r.Method)
}

func noSuchUpload() error {
	return refuse(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "no such upload")
}

func (s *Server) uploaded(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if up := s.sessions[id]; up != nil {
		return len(up.data)
	}
	return 0
}

// receive appends to a session. What arrived before a connection broke stays, so that a client can go on. While
// the body was on its way another request may have ended the session.
func (s *Server) receive(id string, body io.Reader) error {
	data, err := io.ReadAll(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	up := s.sessions[id]
	if up != nil {
		up.data = append(up.data, data...)
	} else if err == nil {
		err = noSuchUpload()
	}
	return err
}

// take ends a session and returns what it got.
func (s *Server) take(id string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	up := s.sessions[id]
	if up == nil {
		return nil, noSuchUpload()
	}
	delete(s.sessions, id)
	return up.data, nil
}

// keep reads a body, into the session when the request is for one.
func (s *Server) keep(r *http.Request, body io.Reader) {
	if _, id, ok := strings.Cut(r.URL.Path, "/blobs/uploads/"); ok && !reads(r.Method) {
		_ = s.receive(id, body)
		return
	}
	_, _ = io.Copy(io.Discard, body)
}

func (s *Server) finishUpload(w http.ResponseWriter, name, digest string, data []byte) error {
	if !digestPattern.MatchString(digest) || digestOf(data) != digest {
		return refuse(http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content")
	}
	s.mu.Lock()
	s.repo(name, true).blobs[digest] = data
	s.mu.Unlock()
	return created(w, "/v2/"+name+"/blobs/"+digest, digest)
}

func (s *Server) manifests(w http.ResponseWriter, r *http.Request, name, ref string) error {
	if !tagPattern.MatchString(ref) && !digestPattern.MatchString(ref) {
		return refuse(http.StatusBadRequest, "TAG_INVALID", "malformed tag or digest")
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s.mu.Lock()
		digest, m, ok := s.find(name, ref)
		s.mu.Unlock()
		if !ok {
			return refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		}
		w.Header().Set("Docker-Content-Digest", digest)
		return reply(w, http.StatusOK, m.mediaType, m.raw)
	case http.MethodPut:
		raw, err := io.ReadAll(io.LimitReader(r.Body, maxManifestBytes+1))
		if err != nil {
			return err
		}
		return s.putManifest(w, name, ref, manifest{r.Header.Get("Content-Type"), raw})
	case http.MethodDelete:
		return s.deleteManifest(w, name, ref)
	}
	return refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "%s of a manifest", r.Method)
}

// find looks a manifest up by tag or digest; s.mu is held.
func (s *Server) find(name, ref string) (digest string, m manifest, ok bool) {
	repo := s.repo(name, false)
	if repo == nil {
		return "", m, false
	}
	if digest = ref; !digestPattern.MatchString(ref) {
		digest = repo.tags[ref]
	}
	m, ok = repo.manifests[digest]
	return digest, m, ok
}

// document is what the registry looks at in a manifest.
type document struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Config       *descriptor       `json:"config"`
	Layers       []descriptor      `json:"layers"`
	Manifests    []descriptor      `json:"manifests"`
	Subject      *descriptor       `json:"subject"`
	Annotations  map[string]string `json:"annotations"`
}

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

func (s *Server) putManifest(w http.ResponseWriter, name, ref string, m manifest) error {
	var doc document
	digest := digestOf(m.raw)
	switch {
	case len(m.raw) > maxManifestBytes:
		return refuse(http.StatusRequestEntityTooLarge, "SIZE_INVALID", "manifest larger than %d bytes", maxManifestBytes)
	case json.Unmarshal(m.raw, &doc) != nil:
		return refuse(http.StatusBadRequest, "MANIFEST_INVALID", "no JSON object")
	case doc.MediaType != "" && doc.MediaType != m.mediaType:
		return refuse(http.StatusBadRequest, "MANIFEST_INVALID", "sent as %s, says %s", m.mediaType, doc.MediaType)
	case digestPattern.MatchString(ref) && ref != digest:
		return refuse(http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.repo(name, true)
	if err := repo.complete(doc); err != nil {
		return err
	}
	if tagPattern.MatchString(ref) {
		if old, exists := repo.tags[ref]; exists && old != digest && s.opts.ImmutableTags {
			return refuse(http.StatusConflict, "DENIED", "tag %s is immutable", ref)
		}
		repo.tags[ref] = digest
	}
	repo.manifests[digest] = m
	if doc.Subject != nil && !s.opts.NoReferrers {
		w.Header().Set("OCI-Subject", doc.Subject.Digest)
	}
	return created(w, "/v2/"+name+"/manifests/"+digest, digest)
}

// complete refuses a manifest before what it points to.
func (r *repo) complete(doc document) error {
	blobs := slices.Clone(doc.Layers)
	if doc.Config != nil {
		blobs = append(blobs, *doc.Config)
	}
	for _, d := range blobs {
		data, has := r.blobs[d.Digest]
		if !has {
			return refuse(http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", "%s", d.Digest)
		}
		if int64(len(data)) != d.Size {
			return refuse(http.StatusBadRequest, "MANIFEST_INVALID", "%s has another size", d.Digest)
		}
	}
	for _, d := range doc.Manifests {
		if _, has := r.manifests[d.Digest]; !has {
			return refuse(http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", "%s", d.Digest)
		}
	}
	return nil
}

func (s *Server) deleteManifest(w http.ResponseWriter, name, ref string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	digest, _, ok := s.find(name, ref)
	if !ok {
		return refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
	}
	repo := s.repos[name]
	if tagPattern.MatchString(ref) {
		delete(repo.tags, ref)
	} else {
		delete(repo.manifests, digest)
		maps.DeleteFunc(repo.tags, func(_, d string) bool { return d == digest })
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *Server) listTags(w http.ResponseWriter, r *http.Request, name string) error {
	s.mu.Lock()
	repo := s.repo(name, false)
	var tags []string
	if repo != nil {
		tags = slices.Sorted(maps.Keys(repo.tags))
	}
	s.mu.Unlock()
	if repo == nil {
		return refuse(http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry")
	}
	return page(w, r, tags, func(names []string) any { return map[string]any{"name": name, "tags": names} })
}

func (s *Server) catalog(w http.ResponseWriter, r *http.Request) error {
	s.mu.Lock()
	names := slices.Sorted(maps.Keys(s.repos))
	s.mu.Unlock()
	return page(w, r, names, func(names []string) any { return map[string]any{"repositories": names} })
}

// page answers with a part of a sorted list, and a link to the next.
func page(w http.ResponseWriter, r *http.Request, all []string, body func([]string) any) error {
	q := r.URL.Query()
	if last := q.Get("last"); last != "" {
		i, found := slices.BinarySearch(all, last)
		if found {
			i++
		}
		all = all[i:]
	}
	if n, err := strconv.Atoi(q.Get("n")); err == nil && n > 0 && n < len(all) {
		all = all[:n]
		next := url.Values{"n": {strconv.Itoa(n)}, "last": {all[n-1]}}
		w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", r.URL.Path, next.Encode()))
	}
	raw, err := json.Marshal(body(append([]string{}, all...)))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, "application/json", raw)
}

func (s *Server) referrers(w http.ResponseWriter, r *http.Request, name, digest string) error {
	if !digestPattern.MatchString(digest) {
		return refuse(http.StatusBadRequest, "DIGEST_INVALID", "malformed digest")
	}
	found := []descriptor{}
	want := r.URL.Query().Get("artifactType")
	s.mu.Lock()
	if repo := s.repo(name, false); repo != nil {
		for d, m := range repo.manifests {
			var doc document
			if json.Unmarshal(m.raw, &doc) != nil || doc.Subject == nil || doc.Subject.Digest != digest {
				continue
			}
			artifactType := doc.ArtifactType
			if artifactType == "" && doc.Config != nil {
				artifactType = doc.Config.MediaType
			}
			if want == "" || artifactType == want {
				found = append(found, descriptor{m.mediaType, d, int64(len(m.raw)), artifactType, doc.Annotations})
			}
		}
	}
	s.mu.Unlock()
	slices.SortFunc(found, func(a, b descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	if want != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	const index = "application/vnd.oci.image.index.v1+json"
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": index, "manifests": found})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, index, raw)
}

// writeError answers with an error in the form of the distribution API.
func writeError(w http.ResponseWriter, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{http.StatusInternalServerError, "UNKNOWN", err.Error()}
	}
	raw, _ := json.Marshal(map[string]any{"errors": []map[string]string{{"code": e.code, "message": e.text}}})
	_ = reply(w, e.status, "application/json", raw)
}
