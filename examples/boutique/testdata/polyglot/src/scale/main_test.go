package main

import (
	"net/http/httptest"
	"testing"
)

func TestScale(t *testing.T) {
	for path, want := range map[string]int{"/class/10": 200, "/class/2000": 200, "/class/2001": 200, "/class/0": 400, "/class/40000": 400, "/class/x": 400, "/healthz": 200} {
		w := httptest.NewRecorder()
		scale().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
