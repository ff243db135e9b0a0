package main

import (
	"net/http/httptest"
	"testing"
)

func TestCounter(t *testing.T) {
	h := counter()
	for _, want := range []string{"P000001\n", "P000002\n"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/parcels", nil))
		if got := w.Body.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if w.Code != 200 {
		t.Error(w.Code)
	}
}
