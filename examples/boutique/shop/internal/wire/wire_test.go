package wire

import "testing"

func TestOrder_Short(t *testing.T) {
	for id, want := range map[string]string{"ABCDEFGHIJ": "ABCDEFGH", "ABC": "ABC", "": ""} {
		if got := (Order{ID: id}).Short(); got != want {
			t.Errorf("%q: got %q, want %q", id, got, want)
		}
	}
}
