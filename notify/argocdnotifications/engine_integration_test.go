//go:build integration

package argocdnotifications_test

import (
	"bytes"
	"encoding/json"
	"net"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/notify/argocdnotifications"
	"github.com/waybill-dev/waybill/notify/notifytest"
)

type outcome struct {
	Triggered bool
	OncePer   string
	Error     string
}

// The controller's own engine reads the ConfigMap, decides and mails.
func TestEngine(t *testing.T) {
	engine := testbed.Require(t, testbed.NotificationsEngine)
	smtp := notifytest.NewSMTPServer(t, &notifytest.SMTPOptions{Users: map[string]string{"argocd": "s3cr3t: #x"}, RequireTLS: true})
	host, port, err := net.SplitHostPort(smtp.Addr)
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	raw, err := argocdnotifications.ConfigMap(argocdnotifications.Config{
		Host: host, Port: number, From: "argocd@example.test", Username: "argocd", PasswordKey: "email-password",
		InsecureSkipVerify: true, URL: "https://argocd.example.test",
	})
	require.NoError(t, err)
	var cm struct{ Data map[string]string }
	require.NoError(t, yaml.Unmarshal(raw, &cm))

	run := func(app map[string]any) outcome {
		in, err := json.Marshal(map[string]any{
			"configMap": cm.Data, "secret": map[string]string{"email-password": "s3cr3t: #x"},
			"trigger": argocdnotifications.Trigger, "recipient": "dev@example.test", "app": app,
		})
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), engine.Path)
		cmd.Stdin = bytes.NewReader(in)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, stderr.String())
		var outcomes []outcome
		require.NoError(t, json.Unmarshal(out, &outcomes))
		require.Len(t, outcomes, 1)
		assert.Empty(t, outcomes[0].Error)
		return outcomes[0]
	}
	app := func(phase, health string, result map[string]any) map[string]any {
		status := map[string]any{"health": map[string]any{"status": health}, "summary": map[string]any{"images": []string{"reg.test/checkout@sha256:4f53"}}}
		if phase != "" {
			state := map[string]any{"phase": phase, "operation": map[string]any{"info": []map[string]any{{"name": "waybill-run", "value": "run-42"}}}}
			if result != nil {
				state["syncResult"] = result
			}
			status["operationState"] = state
		}
		return map[string]any{
			"metadata": map[string]any{"name": "checkout", "namespace": "argocd"}, "spec": map[string]any{"project": "shop"}, "status": status,
		}
	}
	for name, tt := range map[string]struct {
		app     map[string]any
		mails   int
		oncePer string
	}{
		"never synced":         {app("", "Healthy", nil), 0, ""},
		"syncing":              {app("Running", "Healthy", map[string]any{"revision": "abc"}), 0, ""},
		"failed":               {app("Failed", "Healthy", map[string]any{"revision": "abc"}), 0, ""},
		"synced, degraded":     {app("Succeeded", "Degraded", map[string]any{"revision": "abc"}), 0, ""},
		"without a result":     {app("Succeeded", "Healthy", nil), 0, ""},
		"healthy":              {app("Succeeded", "Healthy", map[string]any{"revision": "abc123"}), 1, "abc123"},
		"healthy, two sources": {app("Succeeded", "Healthy", map[string]any{"revision": "", "revisions": []string{"abc", "def"}}), 1, "[abc def]"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(smtp.Mails())
			got := run(tt.app)
			assert.Equal(t, tt.mails == 1, got.Triggered)
			assert.Equal(t, tt.oncePer, got.OncePer, "what the controller remembers: once for each")
			mails := smtp.Mails()[before:]
			require.Len(t, mails, tt.mails)
			for _, m := range mails {
				assert.Equal(t, "argocd", m.User)
				assert.Equal(t, []string{"dev@example.test"}, m.To)
				assert.Contains(t, m.Subject(), "checkout is healthy at "+tt.oncePer)
				for _, line := range []string{
					"Application checkout (project shop) is synced and healthy.", "Revision: " + tt.oncePer, "waybill-run: run-42",
					"Image: reg.test/checkout@sha256:4f53", "https://argocd.example.test/applications/argocd/checkout",
				} {
					assert.Contains(t, m.Text(), line)
				}
			}
		})
	}
}
