package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/notify/notifytest"
	"github.com/waybill-dev/waybill/notify/webhook"
)

type result struct {
	Target, Status, Reason, Error, Preview string
	Attempts                               int
}

// program builds the program and returns how to run it, with an environment of its own.
func program(t *testing.T) func(env []string, args ...string) (code int, results []result, stderr string) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "notify")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return func(env []string, args ...string) (int, []result, string) {
		cmd := exec.CommandContext(t.Context(), bin, args...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, append([]string{"PATH="}, env...)
		if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
			require.NoError(t, err)
		}
		var printed struct{ Results []result }
		if stdout.Len() > 0 {
			require.NoError(t, json.Unmarshal(stdout.Bytes(), &printed), stdout.String())
		}
		return cmd.ProcessState.ExitCode(), printed.Results, stderr.String()
	}
}

func TestNotify(t *testing.T) {
	run := program(t)
	smtp := notifytest.NewSMTPServer(t, &notifytest.SMTPOptions{Users: map[string]string{"ci": "s3cr3t"}, RequireTLS: true})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, smtp.CAPEM, 0o600))
	report := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(report, []byte("<p>no findings</p>"), 0o600))
	chat, card, hook := notifytest.NewSlackServer(t, nil), notifytest.NewTeamsServer(t, nil), notifytest.NewWebhookServer(t, nil)
	env := []string{"SMTP_PASSWORD=s3cr3t", "OPS_URL=" + chat.URL, "DEV_URL=" + card.URL, "AUDIT_URL=" + hook.URL, "AUDIT_KEY=the new key,the old key"}
	mail := "smtp://ci@" + smtp.Addr + "/?to=a@example.test,b+ops@example.test&from=ci@example.test"
	all := []string{"-to", mail, "-to", "slack:OPS", "-to", "teams:DEV", "-to", "webhook:AUDIT", "-ca", ca, "-allow-private"}
	message := []string{
		"-title", "checkout 1.4.2 deployed", "-summary", "All is well.", "-severity", "warning",
		"-field", "Digest=sha256:4f53", "-link", "Run=https://ci.example.test/run/42?a=b", "-attach", report,
	}

	code, results, stderr := run(env, append(all, message...)...)
	require.Equal(t, 0, code, stderr)
	require.Len(t, results, 4)
	for i, want := range []string{"accepted", "delivered", "accepted", "delivered"} {
		assert.Equal(t, want, results[i].Status, results[i].Target)
		assert.Equal(t, 1, results[i].Attempts)
		assert.NotContains(t, results[i].Target, "s3cr3t")
	}
	require.Len(t, smtp.Mails(), 1)
	assert.Equal(t, "checkout 1.4.2 deployed", smtp.Mails()[0].Subject())
	parts, err := smtp.Mails()[0].Parts()
	require.NoError(t, err)
	require.Len(t, parts, 3)
	assert.Equal(t, "report.html", parts[2].Name)
	assert.Equal(t, "<p>no findings</p>", string(parts[2].Data))
	require.Len(t, chat.Taken(), 1)
	require.Len(t, card.Taken(), 1)
	require.Len(t, hook.Taken(), 1)
	for _, key := range []string{"the new key", "the old key"} {
		v, err := webhook.NewVerifier([]func(context.Context) (string, error){func(context.Context) (string, error) { return key, nil }}, nil)
		require.NoError(t, err)
		_, err = v.Verify(t.Context(), hook.Taken()[0].Header, hook.Taken()[0].Body)
		assert.NoError(t, err, key)
	}

	t.Run("dry run", func(t *testing.T) {
		code, results, stderr := run(env, append(append(all, message...), "-dry-run")...)
		require.Equal(t, 0, code, stderr)
		require.Len(t, results, 4)
		for _, r := range results {
			assert.Equal(t, "dropped", r.Status)
			assert.Contains(t, r.Preview, "checkout 1.4.2 deployed")
		}
		assert.Len(t, smtp.Mails(), 1)
		assert.Len(t, chat.Taken(), 1)
	})
	t.Run("one of two fails", func(t *testing.T) {
		chat.Fail(notifytest.HTTPFault{Status: http.StatusForbidden, Body: "s3cr3t", Once: true})
		code, results, stderr := run(env, append(all, message...)...)
		assert.Equal(t, 1, code, stderr)
		require.Len(t, results, 4)
		assert.Equal(t, "failed", results[1].Status)
		assert.Contains(t, results[1].Error, "denied")
		assert.NotContains(t, results[1].Error, "s3cr3t")
		assert.Equal(t, "accepted", results[2].Status, "the others have it")
	})
	t.Run("internal addresses need a flag", func(t *testing.T) {
		code, results, _ := run(env, "-to", "webhook:AUDIT", "-title", "x")
		assert.Equal(t, 1, code)
		assert.Contains(t, results[0].Error, "internal address")
	})
}

func TestNotify_outbox(t *testing.T) {
	run := program(t)
	s := notifytest.NewSMTPServer(t, nil)
	box := filepath.Join(t.TempDir(), "box")
	args := []string{"-to", "smtp://" + s.Addr + "/?to=a@example.test&from=ci@example.test&tls=none", "-title", "deployed", "-key", "run-42", "-outbox", box}

	s.Fail(notifytest.SMTPFault{At: "MAIL", Reply: "554 5.7.1 not today"}) // a refusal for good
	code, results, stderr := run(nil, append(args, "-key", "run-41")...)
	assert.Equal(t, 1, code, stderr)
	assert.Equal(t, "failed", results[0].Status)
	code, _, _ = run(nil, append(args, "-key", "run-41")...)
	assert.Equal(t, 1, code, "given up, and still no success")
	s.Heal()

	for i, want := range []string{"accepted", "dropped", "dropped"} {
		code, results, stderr = run(nil, args...)
		assert.Equal(t, 0, code, stderr)
		require.Len(t, results, 1)
		assert.Equal(t, want, results[0].Status, i)
	}
	assert.Equal(t, "sent before", results[0].Reason)
	assert.Len(t, s.Mails(), 1, "one mail per run")
}

func TestNotify_usage(t *testing.T) {
	run := program(t)
	tests := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"nothing", nil, 2, "-to is missing"},
		{"no title", []string{"-to", "slack:X"}, 2, "-title is missing"},
		{"help", []string{"-h"}, 0, "-allow-private"},
		{"unknown target", []string{"-to", "https://hooks.test/s3cr3t", "-title", "x"}, 2, "it is a secret"},
		{"a URL for a name", []string{"-to", "slack:https://hooks.test/s3cr3t", "-title", "x"}, 2, "it is a secret"},
		{"a URL behind a name", []string{"-to", "webhook:X", "-to", "teams:X?sig=s3cr3t", "-title", "x"}, 2, "it is a secret"},
		{"no URL", []string{"-to", "slack:NOBODY", "-title", "x"}, 2, "NOBODY_URL is not set"},
		{"password in the target", []string{"-to", "smtp://u:s3cr3t@h/?to=a@b&from=c@d", "-title", "x"}, 2, "SMTP_PASSWORD"},
		{"no recipient", []string{"-to", "smtp://h/?from=c@d", "-title", "x"}, 2, "no recipient"},
		{"unknown parameter", []string{"-to", "smtp://h/?to=a@b&cc=b@b&from=c@d", "-title", "x"}, 2, "no cc="},
		{"tls twice", []string{"-to", "smtp://h/?to=a@b&from=c@d&tls=starttls&tls=none", "-title", "x"}, 2, "tls= is there twice"},
		{"semicolon", []string{"-to", "smtp://h/?to=a@b;b@b&from=c@d", "-title", "x"}, 2, "semicolon"},
		{"path", []string{"-to", "smtp://h/a@b?from=c@d", "-title", "x"}, 2, "/?to="},
		{"no key", []string{"-to", "webhook:KEYLESS", "-title", "x"}, 2, "no key in KEYLESS_KEY"},
		{"bad severity", []string{"-to", "slack:X", "-title", "x", "-severity", "bad"}, 2, "severity"},
		{"line break in the title", []string{"-to", "slack:X", "-title", "x\r\nBcc: y"}, 2, "Title"},
		{"bad link", []string{"-to", "slack:X", "-title", "x", "-link", "a=javascript:x"}, 2, "Links[0]"},
		{"missing file", []string{"-to", "slack:X", "-title", "x", "-attach", "no-such-file"}, 3, "no-such-file"},
		{"more words", []string{"-to", "slack:X", "-title", "x", "y"}, 2, "flags only"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, _, stderr := run([]string{"KEYLESS_URL=https://hooks.test/s3cr3t", "KEYLESS_KEY=,"}, tt.args...)
			assert.Equal(t, tt.code, code, stderr)
			assert.Contains(t, stderr, tt.says)
			assert.NotContains(t, stderr, "s3cr3t")
		})
	}
}
