// Package shoptest is what the tests of the services have in common.
package shoptest

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/examples/boutique/shop/internal/service"
)

// Equal fails the test when got is not want.
func Equal(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Call sends a request with a body, JSON unless it is a string already, and returns the answer.
func Call(t *testing.T, h http.Handler, method, path string, body any) (status int, answer string) {
	t.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(text)))
	return w.Code, strings.TrimSpace(w.Body.String())
}

// Answer is [Call] for what must be answered with 200, and returns it read.
func Answer[T any](t *testing.T, h http.Handler, method, path string, body any) (out T) {
	t.Helper()
	status, answer := Call(t, h, method, path, body)
	if status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, answer)
	}
	return out
}

// Refused fails the test unless the request is refused with this status and code.
func Refused(t *testing.T, h http.Handler, method, path string, body any, status int, code string) {
	t.Helper()
	got, answer := Call(t, h, method, path, body)
	if got != status || !strings.Contains(answer, `"code":"`+code+`"`) {
		t.Errorf("%s %s: got %d %s, want %d %s", method, path, got, answer, status, code)
	}
}

// Env is an environment of these variables.
func Env(vars map[string]string) *service.Env {
	return service.NewEnv(func(key string) string { return vars[key] }, slog.New(slog.DiscardHandler))
}

// Peer is a client of a service that is played by h, over a connection of its own.
func Peer(t *testing.T, name string, h http.Handler) *service.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return service.NewClient(name, s.URL, s.Client().Transport)
}

// Says is a handler that answers everything with the same JSON.
func Says(answer any) http.Handler {
	return service.JSON(func(r *http.Request) (any, error) {
		_, err := io.Copy(io.Discard, r.Body)
		return answer, err
	})
}

// Down is a handler of a service that is broken.
func Down() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
}
