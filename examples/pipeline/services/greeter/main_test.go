package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHello(t *testing.T) {
	clock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"time":"12:00PM"}`)
	}))
	defer clock.Close()
	w := httptest.NewRecorder()
	handler(clock.URL).ServeHTTP(w, httptest.NewRequest("GET", "/hello/Ada", nil))
	if got, want := w.Body.String(), "Hello \"Ada\", it is 12:00PM.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHello_withoutClock(t *testing.T) {
	clock := httptest.NewServer(http.NotFoundHandler())
	clock.Close()
	w := httptest.NewRecorder()
	handler(clock.URL).ServeHTTP(w, httptest.NewRequest("GET", "/hello/Ada", nil))
	if w.Code != http.StatusBadGateway {
		t.Errorf("got %d", w.Code)
	}
}
