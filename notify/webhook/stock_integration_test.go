//go:build integration

package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/webhook"
)

// standardWebhooks runs a script with the specification's own library for Python.
func standardWebhooks(t *testing.T) func(script string, in any) ([]byte, error) {
	t.Helper()
	python := testbed.Debian(t, "python3-pip", "/usr/bin/python3")
	dir := t.TempDir()
	install := exec.CommandContext(t.Context(), python, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check", "--target", dir, "standardwebhooks==1.1.0")
	out, err := install.CombinedOutput()
	require.NoError(t, err, string(out))
	// Of the package only the module that signs and verifies is wanted; its __init__ asks for an HTTP client.
	module := filepath.Join(dir, "standardwebhooks", "webhooks.py")
	require.FileExists(t, module)
	return func(script string, in any) ([]byte, error) {
		raw, err := json.Marshal(in)
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), python, "-c", "import sys, json, runpy; m = runpy.run_path(sys.argv[1]); Webhook = m['Webhook']; i = json.load(sys.stdin)\n"+script, module)
		cmd.Env = append(os.Environ(), "PYTHONPATH="+dir)
		cmd.Stdin = bytes.NewReader(raw)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		t.Log(stderr.String())
		return out, err
	}
}

func TestStockLibrary(t *testing.T) {
	run := standardWebhooks(t)
	p := posted(t, webhook.Options{Keys: []keyFunc{key(newKey), key("whsec_b2xkIGtleSBvbGQga2V5IG9sZCBrZXk=")}}, notify.Message{Title: "Grüße"})
	headers := map[string]string{}
	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		headers[http.CanonicalHeaderKey(name)] = p.Header.Get(name)
	}
	const verify = "Webhook(i['key']).verify(i['body'].encode(), {k.lower(): v for k, v in i['headers'].items()}); print('ok')"
	for _, k := range []string{newKey, "whsec_b2xkIGtleSBvbGQga2V5IG9sZCBrZXk="} {
		out, err := run(verify, map[string]any{"key": k, "body": string(p.Body), "headers": headers})
		require.NoError(t, err)
		assert.Equal(t, "ok\n", string(out))
	}
	_, err := run(verify, map[string]any{"key": newKey, "body": string(p.Body) + " ", "headers": headers})
	require.Error(t, err, "it does look at the body")

	// And the other way around.
	out, err := run("import datetime; now = datetime.datetime.now(tz=datetime.timezone.utc); print(int(now.timestamp())); print(Webhook(i['key']).sign('msg_1', now, i['body']))",
		map[string]any{"key": newKey, "body": `{"type":"x"}`})
	require.NoError(t, err)
	lines := bytes.Fields(out)
	require.Len(t, lines, 2)
	_, err = strconv.ParseInt(string(lines[0]), 10, 64)
	require.NoError(t, err)
	h := http.Header{"Webhook-Id": {"msg_1"}, "Webhook-Timestamp": {string(lines[0])}, "Webhook-Signature": {string(lines[1])}}
	_, err = verifier(t, key(newKey)).Verify(context.Background(), h, []byte(`{"type":"x"}`))
	require.NoError(t, err)
}
