package argocd

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMissingImages(t *testing.T) {
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, tc := range []struct {
		want, live string
		runs       bool
	}{
		{"nginx", "docker.io/library/nginx:latest", true},
		{"nginx:1", "index.docker.io/library/nginx:1", true},
		{"docker.io/nginx:1", "nginx:1", true},
		{"bitnami/nginx:1", "docker.io/bitnami/nginx:1", true},
		{"nginx:1", "nginx:1.1", false},
		{"nginx:1", "example.com/nginx:1", false},
		{"localhost/nginx:1", "nginx:1", false},
		{"localhost:5000/a:1", "localhost:5000/a:1", true},
		{"localhost:5000/a", "localhost:5000/a:latest", true},
		{"example.com/a@" + digest, "example.com/a:1@" + digest, true},
		{"example.com/a:2@" + digest, "example.com/a@" + digest, true},
		{"example.com/a:1", "example.com/a:1@" + digest, true},
		{"example.com/a@" + digest, "example.com/a:1", false},
		{"example.com/a:1", "example.com/a@" + digest, false},
	} {
		missing := missingImages([]string{tc.want}, []string{"other:1", tc.live})
		assert.Equal(t, tc.runs, len(missing) == 0, "%s by %s", tc.want, tc.live)
	}
}

func TestContainerImages(t *testing.T) {
	assert.ElementsMatch(t, []string{"a:1", "b:2"}, containerImages(`{"kind":"CronJob","metadata":{"annotations":{"last":"{\"containers\":[{\"image\":\"old:1\"}]}"}},
		"spec":{"jobTemplate":{"spec":{"template":{"spec":{"initContainers":[{"image":"a:1"}],"containers":[{"image":"b:2"},{"name":"no"}]}}}}}}`))
	assert.Empty(t, containerImages("null"))
	assert.Empty(t, containerImages("{"))
}

func FuzzParseImage(f *testing.F) {
	for _, s := range []string{"", "nginx", "a/b:1", "localhost:5000/a@sha256:00", "a:", "a@", ":1", "@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseImage(s)
		if err != nil {
			return
		}
		require.NotEmpty(t, r.repository)
		assert.True(t, r.is(r))
	})
}
