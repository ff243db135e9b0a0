//go:build integration

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
)

// What is built without a daemon and what BuildKit builds of the Dockerfile is the same program, run in the same
// way.
func TestBuild_bothWays(t *testing.T) {
	source := filepath.Join(t.TempDir(), "shop")
	require.NoError(t, extract(source))
	buildkit, bin := testbed.BuildKitd(t), t.TempDir()
	require.NoError(t, os.Symlink(testbed.Require(t, testbed.Buildx).Path, filepath.Join(bin, "docker-buildx")))
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	p := &pipeline{config: &config{source: source, buildkit: buildkit}, record: &record{Commit: "c0ffee", Build: "7"}}
	build := func(builder string) (config, root string) {
		t.Helper()
		p.builder = builder
		l, err := p.buildOne(t.Context(), service{name: "cart", dir: "cart"}, filepath.Join(t.TempDir(), "layout"))
		require.NoError(t, err)
		c, err := l.Config(t.Context(), "")
		require.NoError(t, err)
		b, err := json.MarshalIndent(c.Config, "", " ")
		require.NoError(t, err)
		root = filepath.Join(t.TempDir(), "root")
		require.NoError(t, l.Extract(t.Context(), root, nil))
		return string(b), root
	}
	goConfig, goRoot := build("go")
	kitConfig, kitRoot := build("buildx")
	assert.Equal(t, goConfig, kitConfig)
	assert.Equal(t, contents(t, goRoot), contents(t, kitRoot))
	for _, want := range []string{"65532:65532", "PORT=8080", "boutique cart", "8080/tcp", `"/cart"`, "c0ffee"} {
		assert.Contains(t, goConfig, want)
	}
}
