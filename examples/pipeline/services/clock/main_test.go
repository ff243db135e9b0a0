package main

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestNow(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	w := httptest.NewRecorder()
	handler(func() time.Time { return noon }).ServeHTTP(w, httptest.NewRequest("GET", "/now", nil))
	if got, want := strings.TrimSpace(w.Body.String()), `{"time":"12:00PM"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHealthz(t *testing.T) {
	w := httptest.NewRecorder()
	handler(time.Now).ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if w.Code != 200 {
		t.Errorf("got %d", w.Code)
	}
}
