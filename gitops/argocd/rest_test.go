package argocd_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/waybill-dev/waybill/gitops/argocd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNew_options(t *testing.T) {
	for name, tc := range map[string]struct {
		server string
		o      *argocd.Options
		says   []string // empty when it is fine
	}{
		"https":                   {"https://argocd.example.com", nil, nil},
		"root path":               {"https://example.com/argocd/", nil, nil},
		"loopback":                {"http://127.0.0.1:8080", nil, nil},
		"plain HTTP when allowed": {"http://argocd.example.com", &argocd.Options{AllowInsecureHTTP: true}, nil},
		"plain HTTP":              {"http://argocd.example.com", nil, []string{"AllowInsecureHTTP"}},
		"no scheme":               {"argocd.example.com", nil, []string{"not an http or https URL"}},
		"not a URL":               {"https://ex ample:x", nil, []string{"server: not a URL"}},
		"userinfo":                {"https://me:s3cret@example.com", nil, []string{"must not have user"}},
		"query":                   {"https://example.com?token=s3cret", nil, []string{"must not have user, query"}},
		"all at once": {"ftp://x", &argocd.Options{HTTPClient: &http.Client{Timeout: 1}, RequestTimeout: -1, Project: "A/B"}, []string{
			"not an http", "HTTPClient", "RequestTimeout", "Project",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := argocd.New(tc.server, tc.o)
			if tc.says == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, argocd.ErrInvalid)
			for _, says := range tc.says {
				require.ErrorContains(t, err, says)
			}
			assert.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func TestArguments(t *testing.T) {
	c, err := argocd.New("https://argocd.example.com", nil) // nothing is sent
	require.NoError(t, err)
	for _, app := range []string{"", "../x", "a/b/c", "a?b", "A", "a/", "/a", strings.Repeat("a", 300)} {
		_, err := c.Status(t.Context(), app)
		require.ErrorIs(t, err, argocd.ErrInvalid, app)
	}
	for name, do := range map[string]func() error{
		"info": func() error {
			_, err := c.Sync(t.Context(), "a", &argocd.SyncOptions{Infos: []argocd.Info{{Name: argocd.IDInfo}}})
			return err
		},
		"resource": func() error {
			_, err := c.Sync(t.Context(), "a", &argocd.SyncOptions{Resources: []argocd.Resource{{Name: "x"}}})
			return err
		},
		"revision": func() error {
			_, err := c.Wait(t.Context(), "a", argocd.Want{Revisions: []string{"--upload-pack=x"}}, nil)
			return err
		},
		"image": func() error {
			_, err := c.Wait(t.Context(), "a", argocd.Want{Images: []string{"a b"}}, nil)
			return err
		},
		"sync in Wait": func() error {
			_, err := c.Wait(t.Context(), "a", argocd.Want{}, &argocd.WaitOptions{Sync: &argocd.SyncOptions{}})
			return err
		},
		"operation in SyncAndWait": func() error {
			_, err := c.SyncAndWait(t.Context(), "a", argocd.Want{}, &argocd.WaitOptions{Operation: "x"})
			return err
		},
		"dry run in SyncAndWait": func() error {
			_, err := c.SyncAndWait(t.Context(), "a", argocd.Want{}, &argocd.WaitOptions{Sync: &argocd.SyncOptions{DryRun: true}})
			return err
		},
		"negative time": func() error {
			_, err := c.Wait(t.Context(), "a", argocd.Want{}, &argocd.WaitOptions{Timeout: -1, Poll: -1})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorIs(t, do(), argocd.ErrInvalid) })
	}
}

// What stands between a client and Argo CD answers too.
func TestReplies(t *testing.T) {
	token := "s3cret-token"
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		kind   error
		says   string
	}{
		"a login page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>log in</html>")
		}, argocd.ErrReply, "invalid character"},
		"an HTML refusal": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<html>", http.StatusForbidden)
		}, argocd.ErrDenied, "probably not from Argo CD"},
		"a redirect to another host": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://login.example.com/?state=s3cret-token", http.StatusFound)
		}, argocd.ErrUnavailable, "redirect refused"},
		"nothing of JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"metadata":`)
		}, argocd.ErrReply, "unexpected end"},
		"a reply without end": {func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for range 70 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, argocd.ErrReply, "larger than the cap of 67108864 bytes"},
		"another code": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"x","code":3,"message":"name is required"}`)
		}, argocd.ErrRefused, "name is required"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(tc.answer)
			defer srv.Close()
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			c, err := argocd.New(srv.URL, &argocd.Options{
				HTTPClient: &http.Client{Transport: transport},
				Token:      func(context.Context) (string, error) { return token, nil },
			})
			require.NoError(t, err)
			_, err = c.Status(t.Context(), "shop")
			require.ErrorIs(t, err, tc.kind)
			require.ErrorContains(t, err, tc.says)
			require.ErrorContains(t, err, `argocd: status "shop"`)
			assert.NotContains(t, err.Error(), token)
		})
	}
}

func TestToken(t *testing.T) {
	var seen []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Authorization") != "Bearer new" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"invalid session","code":16,"message":"invalid session: token is expired"}`)
			return
		}
		_, _ = io.WriteString(w, `{"metadata":{"name":"shop"}}`)
	}))
	defer srv.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	tokens := []string{"old", "new"}
	c, err := argocd.New(srv.URL, &argocd.Options{HTTPClient: &http.Client{Transport: transport}, Token: func(context.Context) (string, error) {
		if len(tokens) == 0 {
			return "", errors.New("the store is sealed")
		}
		token := tokens[0]
		tokens = tokens[1:]
		return token, nil
	}})
	require.NoError(t, err)
	a, err := c.Status(t.Context(), "shop")
	require.NoError(t, err)
	assert.Equal(t, "shop", a.Metadata.Name)
	assert.Equal(t, []string{"Bearer old", "Bearer new"}, seen)

	_, err = c.Status(t.Context(), "shop")
	require.ErrorIs(t, err, argocd.ErrDenied)
	require.ErrorContains(t, err, "the store is sealed")
}

// A server that accepts and says nothing.
func TestRequestTimeout(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c, err := argocd.New(srv.URL, &argocd.Options{HTTPClient: &http.Client{Transport: transport}, RequestTimeout: 20 * time.Millisecond})
	require.NoError(t, err)
	_, err = c.Status(t.Context(), "shop")
	require.ErrorIs(t, err, argocd.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// A message of a stream has a cap; the wait goes on by asking.
func TestWatch_hugeEvent(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(r.URL.Path, "/api/v1/stream") {
			_, _ = io.WriteString(w, `{"result":{"type":"ADDED","application":{"metadata":{"name":"`)
			chunk := []byte(strings.Repeat("x", 1<<20))
			for range 17 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
			return
		}
		_, _ = io.WriteString(w, `{"metadata":{"name":"shop","resourceVersion":"1"},"status":{"sync":{"status":"Synced","revision":"abc"},"health":{"status":"Healthy"}}}`)
	}))
	defer srv.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c, err := argocd.New(srv.URL, &argocd.Options{HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	d, err := c.Wait(t.Context(), "shop", argocd.Want{Revisions: []string{"abc"}}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"abc"}, d.Revisions)
	assert.Equal(t, int64(-1), d.HistoryID)
}

// Several sources have a revision each.
func TestWait_sources(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(r.URL.Path, "/api/v1/stream") {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, `{"metadata":{"name":"shop","resourceVersion":"1"},"spec":{"sources":[{"repoURL":"a"},{"repoURL":"b"}]},
			"status":{"sync":{"status":"Synced","revisions":["abc","1.2.3"]},"health":{"status":"Healthy"}}}`)
	}))
	defer srv.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c, err := argocd.New(srv.URL, &argocd.Options{HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	for _, tc := range []struct {
		want []string
		kind error
	}{
		{[]string{"abc", "1.2.3"}, nil},
		{[]string{"", "1.2.3"}, nil},
		{[]string{"abc"}, nil},
		{[]string{"1.2.3", "abc"}, argocd.ErrTimeout},
		{[]string{"abc", "1.2.3", "x"}, argocd.ErrInvalid},
	} {
		_, err := c.Wait(t.Context(), "shop", argocd.Want{Revisions: tc.want}, &argocd.WaitOptions{Timeout: time.Second})
		if tc.kind == nil {
			require.NoError(t, err, tc.want)
		} else {
			require.ErrorIs(t, err, tc.kind, tc.want)
		}
	}
}
