package main

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Who types Ctrl-C while nothing comes on standard input is heard.
func TestRun_interruptedStdin(t *testing.T) {
	silent, end := io.Pipe()
	defer end.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	assert.Equal(t, 3, run(ctx, []string{"-"}, silent, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "standard input: context canceled")
}
