package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdgrpc/argocdgrpctest"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
)

const commit = "6dcb09b5b57875f334f61aebed695e2e4193db5e"

func server(t *testing.T, health argocd.HealthCode) *argocdgrpctest.Server {
	t.Helper()
	return argocdgrpctest.NewServer(t, &argocdtest.Options{
		Token: "t0p", Apps: []argocdtest.App{{Name: "shop"}, {Name: "cart"}},
		Source: func(context.Context, string) (fs.FS, string, error) {
			return fstest.MapFS{"shop.yaml": {Data: []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop\nspec:\n  template:\n    spec:\n      containers:\n        - name: shop\n          image: example.com/shop:42\n")}}, commit, nil
		},
		Health: func(string, argocdtest.Resource) []argocdtest.Step {
			return []argocdtest.Step{{Health: health, Message: "so the test wants"}}
		},
	})
}

func deploy(t *testing.T, token string, args ...string) (status int, lines []map[string]any, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, func(string) string { return token }, &out, &errs)
	for dec := json.NewDecoder(&out); dec.More(); {
		var line map[string]any
		require.NoError(t, dec.Decode(&line))
		lines = append(lines, line)
	}
	return status, lines, errs.String()
}

func TestDeploy(t *testing.T) {
	for _, protocol := range []string{"rest", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			s := server(t, argocd.Healthy)
			args := []string{"-server", s.URL, "-app", "shop", "-app", "cart", "-revision", commit, "-image", "example.com/shop:42"}
			if protocol == "grpc" {
				args = append(args, "-grpc")
			}
			status, lines, stderr := deploy(t, "t0p", args...)
			assert.Equal(t, 0, status, stderr)
			require.Len(t, lines, 2)
			for _, line := range lines {
				assert.Equal(t, commit, line["revision"])
				assert.Equal(t, "Synced", line["sync"])
				assert.Equal(t, "Healthy", line["health"])
				assert.Contains(t, line["seconds"], "total")
			}
		})
	}
}

func TestDeploy_notHealthy(t *testing.T) {
	s := server(t, argocd.Progressing)
	status, lines, stderr := deploy(t, "t0p", "-server", s.URL, "-app", "shop", "-timeout", "500ms")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "timed out")
	require.Len(t, lines, 1)
	report, _ := lines[0]["report"].(map[string]any)
	assert.Equal(t, "Progressing", report["health"])
	assert.NotEmpty(t, report["resources"])
}

func TestDeploy_codes(t *testing.T) {
	s := server(t, argocd.Healthy)
	for name, tc := range map[string]struct {
		token string
		args  []string
		code  int
		says  string
	}{
		"wrong token":   {"no", []string{"-server", s.URL, "-app", "shop"}, 3, "denied"},
		"no such app":   {"t0p", []string{"-server", s.URL, "-app", "nope"}, 3, "not found"},
		"no app":        {"t0p", []string{"-server", s.URL}, 2, "-app is required"},
		"no server":     {"t0p", []string{"-app", "shop"}, 2, "-server is required"},
		"plain HTTP":    {"t0p", []string{"-server", "http://argocd.example.com", "-app", "shop"}, 2, "plain HTTP"},
		"bad app":       {"t0p", []string{"-server", s.URL, "-app", "../shop"}, 2, "not"},
		"two revisions": {"t0p", []string{"-server", s.URL, "-app", "shop", "-revision", "a", "-revision", "b"}, 2, "once"},
		"help":          {"t0p", []string{"-h"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := deploy(t, tc.token, tc.args...)
			assert.Equal(t, tc.code, code, stderr)
			assert.Contains(t, stderr, tc.says)
			assert.NotContains(t, stderr, "t0p")
		})
	}
}

func TestDeploy_unreachable(t *testing.T) {
	s := server(t, argocd.Healthy)
	s.Close()
	code, _, stderr := deploy(t, "t0p", "-server", s.URL, "-app", "shop", "-timeout", "500ms")
	assert.Equal(t, 3, code, stderr)
}

func TestDeploy_outputFull(t *testing.T) {
	s := server(t, argocd.Healthy)
	var stderr bytes.Buffer
	read, write := io.Pipe()
	require.NoError(t, read.Close())
	code := run(t.Context(), []string{"-server", s.URL, "-app", "shop"}, func(string) string { return "t0p" }, write, &stderr)
	assert.Equal(t, 3, code, stderr.String())
}
