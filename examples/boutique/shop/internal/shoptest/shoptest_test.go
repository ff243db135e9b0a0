package shoptest

import (
	"net/http"
	"testing"
)

func TestCall(t *testing.T) {
	h := Says(map[string]int{"a": 1})
	Equal(t, Answer[map[string]int](t, h, "POST", "/", map[string]string{"b": "c"}), map[string]int{"a": 1})
	status, answer := Call(t, Down(), "GET", "/", nil)
	Equal(t, status, http.StatusInternalServerError)
	Equal(t, answer, "")
}

func TestPeer(t *testing.T) {
	var out map[string]int
	if err := Peer(t, "peer", Says(map[string]int{"a": 1})).Get(t.Context(), "/", &out); err != nil {
		t.Fatal(err)
	}
	Equal(t, out["a"], 1)
	if err := Peer(t, "peer", Down()).Get(t.Context(), "/", &out); err == nil {
		t.Error("a service that is down answers")
	}
}
