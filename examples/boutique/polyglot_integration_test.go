//go:build integration

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
	"github.com/waybill-dev/waybill/gitops/gitopstest"
	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/imagetest"
	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

// And through the image stage, built by BuildKit from their own Dockerfiles, and the GitOps stage: one commit.
func TestPolyglot_images(t *testing.T) {
	bases := imagetest.NewServer(t, nil)
	pushBases(t, bases.Host(),
		"library/golang:1.26-alpine", "library/python:3.13-slim", "library/node:22-alpine", "library/eclipse-temurin:21-jre", "library/ruby:3.4-slim",
		"dotnet/sdk:10.0",
	)
	buildkit, bin := testbed.BuildKitdMirror(t, bases.Host(), "docker.io", "mcr.microsoft.com"), t.TempDir()
	require.NoError(t, os.Symlink(testbed.Require(t, testbed.Buildx).Path, filepath.Join(bin, "docker-buildx")))
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))

	source, policy := polyglot(t), polyglotPolicy(t)
	commitFirst(t, source)
	registry := imagetest.NewServer(t, &imagetest.Options{User: "ci", Password: "registry secret"})
	manifests := map[string]string{}
	files, err := os.ReadDir(filepath.Join(source, "deploy"))
	require.NoError(t, err)
	for _, f := range files {
		manifests[f.Name()] = strings.ReplaceAll(read(t, filepath.Join(source, "deploy", f.Name())), "registry.example.com/", registry.Host()+"/")
	}
	repo := gitopstest.NewServer(t, &gitopstest.Options{Users: map[string]string{"ci": "git secret"}}).Create("deploy.git", manifests)
	argo := argocdtest.NewServer(t, &argocdtest.Options{Source: repo.FS, Apps: []argocdtest.App{{Name: "boutique"}}})
	vault := vaulttest.NewServer(t, nil)
	_, err = vault.Put("secret/boutique", map[string]any{"registry-password": "registry secret", "git-token": "git secret"})
	require.NoError(t, err)

	out := filepath.Join(t.TempDir(), "out")
	for _, stage := range []string{"source", "image", "gitops"} {
		p, said := assembleWith(t, func(*config) { t.Setenv("VAULT_TOKEN", vault.RootToken) },
			"-stage", stage, "-out", out, "-source", source, "-policy", policy, "-builder", "buildx", "-buildkit", buildkit,
			"-vault", vault.URL, "-registry", registry.Host(), "-git", repo.URL(), "-argocd", argo.URL, "-prefix", "post")
		withoutVulns(p)
		err := p.run(t.Context())
		t.Log(said)
		require.NoError(t, err, stage)
		p.close(t.Context())
	}
	log, err := repo.Log("main")
	require.NoError(t, err)
	require.Len(t, log, 2)
	tree, _, err := repo.FS(t.Context(), "main")
	require.NoError(t, err)
	var after string
	for name := range manifests {
		b, err := fs.ReadFile(tree, name)
		require.NoError(t, err)
		after += string(b)
	}
	for _, s := range postOffice {
		assert.Contains(t, after, registry.Host()+"/post/"+s+":7@sha256:")
	}
}

// commitFirst makes a git repository of a source: between stages a commit says that it is the same.
func commitFirst(t *testing.T, source string) {
	t.Helper()
	require.NoError(t, git(t.Context(), source, "init", "-q", "-b", "main"))
	require.NoError(t, commitAll(t.Context(), source, "first"))
}

// pushBases pushes something under the names of the images that the Dockerfiles build on.
func pushBases(t *testing.T, registry string, names ...string) {
	t.Helper()
	client, err := image.New(nil)
	require.NoError(t, err)
	root := t.TempDir()
	write(t, filepath.Join(root, "base"), "something to build on\n")
	l, err := image.Build(t.Context(), image.Spec{Layers: []image.Source{image.Dir(root)}}, filepath.Join(t.TempDir(), "layout"), nil)
	require.NoError(t, err)
	for _, name := range names {
		_, err := client.Push(t.Context(), l, []string{registry + "/" + name}, nil)
		require.NoError(t, err)
	}
}
