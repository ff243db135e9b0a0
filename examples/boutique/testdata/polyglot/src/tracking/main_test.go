package main

import (
	"net/http/httptest"
	"testing"
)

func TestTracking(t *testing.T) {
	h := tracking()
	do := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code, w.Body.String()
	}
	if code, _ := do("GET", "/parcels/P1"); code != 404 {
		t.Error(code)
	}
	do("PUT", "/parcels/P1/harbour")
	if code, place := do("GET", "/parcels/P1"); code != 200 || place != "harbour\n" {
		t.Error(code, place)
	}
	if code, _ := do("GET", "/healthz"); code != 200 {
		t.Error(code)
	}
}
