package argocdtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
)

func source(_ context.Context, revision string) (fs.FS, string, error) {
	if revision != "HEAD" {
		return nil, "", errors.New("unable to resolve")
	}
	return fstest.MapFS{
		"app/all.yaml":  {Data: []byte("# head\n---\nkind: Deployment\napiVersion: apps/v1\nmetadata:\n    labels:\n        name: no\n    name: \"web\"\nspec:\n    replicas: 2\n    template:\n        spec:\n            containers:\n            - image: 'example.com/web:1' # here\n              name: web\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: \n  name: conf\ndata:\n  image: example.com/not:1\n  text: |\n    image: example.com/not:2\n")},
		"app/job.json":  {Data: []byte(`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"migrate","namespace":"db"},"spec":{"template":{"spec":{"containers":[{"image":"example.com/migrate:3"}]}}}}`)},
		"app/notes.txt": {Data: []byte("kind: Nothing")},
	}, "0123456789012345678901234567890123456789", nil
}

func call(t *testing.T, s *argocdtest.Server, method, path, contentType, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/api/v1"+path, bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

// The statuses and texts are those of Argo CD 2.14.21 and 3.3.9.
func TestReplies(t *testing.T) {
	s := argocdtest.NewServer(t, &argocdtest.Options{Source: source, Apps: []argocdtest.App{{Name: "web", Path: "app"}, {Name: "auto", Path: "app", AutoSync: true}}})
	for name, tc := range map[string]struct {
		method, path, contentType, body string
		status                          int
		text                            string
	}{
		"unknown without project": {"GET", "/applications/nope", "", "", 403, `"permission denied"`},
		"unknown":                 {"GET", "/applications/nope?project=default", "", "", 404, `applications.argoproj.io \"nope\" not found`},
		"wrong project":           {"GET", "/applications/web?project=other", "", "", 404, "not found"},
		"no content type":         {"POST", "/applications/web/sync", "", "{}", 415, "Invalid content type"},
		"unknown branch":          {"POST", "/applications/web/sync", "application/json", `{"revision":"nosuch"}`, 400, "unable to resolve 'nosuch' to a commit SHA"},
		"auto-sync elsewhere":     {"POST", "/applications/auto/sync", "application/json", `{"revision":"0123456789012345678901234567890123456780"}`, 400, "auto-sync currently set to HEAD"},
		"nothing to terminate":    {"DELETE", "/applications/web/operation?project=default", "application/json", "", 400, "No operation is in progress"},
		"unknown history":         {"POST", "/applications/web/rollback", "application/json", `{"id":9}`, 400, "application argocd/web does not have deployment with id 9"},
		"rollback with auto-sync": {"POST", "/applications/auto/rollback", "application/json", `{"id":0}`, 400, "rollback cannot be initiated when auto-sync is enabled"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := call(t, s, tc.method, tc.path, tc.contentType, tc.body)
			assert.Equal(t, tc.status, status, body)
			assert.Contains(t, body, tc.text)
		})
	}
}

func TestManifests(t *testing.T) {
	s := argocdtest.NewServer(t, &argocdtest.Options{Source: source, Apps: []argocdtest.App{{Name: "web", Path: "app"}}})
	_, body := call(t, s, "GET", "/applications/web?refresh=normal&project=default", "", "")
	var app struct {
		Status struct {
			Sync      struct{ Status, Revision string }
			Resources []struct{ Kind, Name, Namespace, Status string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &app))
	assert.Equal(t, "OutOfSync", app.Status.Sync.Status)
	assert.Len(t, app.Status.Resources, 3)

	status, _ := call(t, s, "POST", "/applications/web/sync", "application/json", "{}")
	require.Equal(t, 200, status)
	require.Eventually(t, func() bool { return len(s.Live("web")) == 3 }, 10*time.Second, 2*time.Millisecond)
	live := s.Live("web")
	assert.Equal(t, []string{"example.com/web:1"}, live[1].Images)
	assert.Equal(t, "web", live[1].Name)
	assert.Empty(t, live[0].Images, "a ConfigMap runs nothing")
	require.Eventually(t, func() bool { return s.Application("web").Status.OperationState.Phase.Completed() }, 10*time.Second, 2*time.Millisecond)
	var messages []string
	for _, r := range s.Application("web").Status.OperationState.SyncResult.Resources {
		messages = append(messages, r.Message)
	}
	assert.ElementsMatch(t, []string{"configmap/conf created", "deployment.apps/web created", "job.batch/migrate created"}, messages)
	assert.Equal(t, "db", live[2].Namespace)
	assert.Equal(t, []string{"example.com/migrate:3"}, live[2].Images)
}

func TestStart_incomplete(t *testing.T) {
	_, err := argocdtest.Start(&argocdtest.Options{Source: source, Apps: []argocdtest.App{{}}})
	assert.ErrorContains(t, err, "needs a name")
}
