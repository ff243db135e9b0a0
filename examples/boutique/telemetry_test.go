package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/examples/boutique/internal/telemetry"
)

// What a run tells a collector are names and results: no secret, and nothing of what was found.
func TestTelemetry_noSecret(t *testing.T) {
	var mu sync.Mutex
	var got []byte
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, b...)
	}))
	t.Cleanup(collector.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)

	d := inputsOf(t, "cart")
	token := "ghp_" + "x7Kq2mVb9RtYw3ZpLs8NdFh4GjCa6UeQ1oTi"
	write(t, filepath.Join(d.source(), "cart", "settings.go"), "package main\n\nconst token = \""+token+"\"\n")
	require.NoError(t, commitAll(t.Context(), d.source(), "settings"))
	p, said := assemble(t, "-inputs", string(d))
	withoutVulns(p)
	var err error
	p.trace, err = telemetry.FromEnv(t.Context(), "boutique", "7")
	require.NoError(t, err)
	require.ErrorIs(t, p.run(t.Context()), errStopped, said)

	assert.Regexp(t, `^00-[0-9a-f]{32}-`, validate(t, p).Trace)
	for _, name := range []string{"RUN boutique", "gitleaks", "source-gate", "cicd.pipeline.result", "cicd.pipeline.run.duration", "failure"} {
		assert.Contains(t, string(got), name)
	}
	for _, s := range []string{token, "github-pat", p.out, p.source, p.config.registry} {
		assert.NotContains(t, string(got), s)
	}
	for key, password := range p.standIns.passwords {
		assert.NotContains(t, string(got), password, key)
	}
}

// A collector that is away changes nothing.
func TestTelemetry_deadCollector(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	d := inputsOf(t, "cart")
	p, said := assemble(t, "-inputs", string(d), "-stage", "source")
	withoutVulns(p)
	var err error
	p.trace, err = telemetry.FromEnv(t.Context(), "boutique", "7")
	require.NoError(t, err)
	require.NoError(t, p.run(t.Context()), said)
	assert.Equal(t, passed, validate(t, p).Outcome)
}
