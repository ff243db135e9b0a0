package golden

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestFirstDifference(t *testing.T) {
	tests := []struct {
		want, got string
		line      int
	}{
		{"a\nb\n", "a\nc\n", 2},
		{"a\n", "a\nb\n", 2},
		{"a\r\n", "a\n", 1},
		{"a\n", "a", 1},
		{"same", "same", 0},
	}
	for _, tt := range tests {
		line, _, _ := firstDifference([]byte(tt.want), []byte(tt.got))
		assert.Equal(t, tt.line, line, "%q %q", tt.want, tt.got)
	}
}
