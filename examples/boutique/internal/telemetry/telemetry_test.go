package telemetry_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/waybill-dev/waybill/examples/boutique/internal/telemetry"
)

// collector is a receiver of OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	traces  traces.ExportTraceServiceRequest
	metrics metrics.ExportMetricsServiceRequest
	raw     []byte
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw = append(c.raw, b...)
		switch r.URL.Path {
		case "/v1/traces":
			err = proto.UnmarshalOptions{Merge: true}.Unmarshal(b, &c.traces)
		case "/v1/metrics":
			err = proto.UnmarshalOptions{Merge: true}.Unmarshal(b, &c.metrics)
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_RESOURCE_ATTRIBUTES", "TRACEPARENT",
	} {
		t.Setenv(name, "")
	}
}

func attributes(list []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, kv := range list {
		all[kv.Key] = kv.Value.GetStringValue()
	}
	return all
}

func TestTelemetry(t *testing.T) {
	clean(t)
	c := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

	tel, err := telemetry.FromEnv(t.Context(), "boutique", "7")
	require.NoError(t, err)
	ctx := tel.Begin(t.Context(), "7", parent)
	assert.Contains(t, tel.Parent(ctx), "0af7651916cd43dd8448eb211c80319c", "the next stage belongs to the same trace")
	_, end := tel.Task(ctx, "tests", "7/tests", "test")
	end(telemetry.Failure)
	tel.End(ctx, telemetry.Failure)

	spans := map[string]*tracev1.Span{}
	for _, s := range c.traces.ResourceSpans[0].ScopeSpans[0].Spans {
		spans[s.Name] = s
	}
	require.Len(t, spans, 2)
	assert.Equal(t, map[string]string{
		"cicd.pipeline.name": "boutique", "cicd.pipeline.run.id": "7", "cicd.pipeline.action.name": "RUN", "cicd.pipeline.result": "failure", "error.type": "failure",
	}, attributes(spans["RUN boutique"].Attributes))
	assert.Equal(t, tracev1.Span_SPAN_KIND_SERVER, spans["RUN boutique"].Kind)
	assert.Equal(t, tracev1.Status_STATUS_CODE_ERROR, spans["RUN boutique"].Status.Code)
	assert.Equal(t, map[string]string{
		"cicd.pipeline.name": "boutique", "cicd.pipeline.task.name": "tests", "cicd.pipeline.task.run.id": "7/tests", "cicd.pipeline.task.type": "test",
		"cicd.pipeline.task.run.result": "failure", "error.type": "failure",
	}, attributes(spans["tests"].Attributes))
	assert.Equal(t, spans["RUN boutique"].SpanId, spans["tests"].ParentSpanId)
	assert.Equal(t, "boutique", attributes(c.traces.ResourceSpans[0].Resource.Attributes)["service.name"])

	units := map[string]string{}
	for _, m := range c.metrics.ResourceMetrics[0].ScopeMetrics[0].Metrics {
		units[m.Name] = m.Unit
		if m.Name == "cicd.pipeline.run.duration" {
			assert.Equal(t, map[string]string{
				"cicd.pipeline.name": "boutique", "cicd.pipeline.run.state": "executing", "cicd.pipeline.result": "failure",
			}, attributes(m.GetHistogram().DataPoints[0].Attributes))
		}
	}
	assert.Equal(t, map[string]string{"cicd.pipeline.run.duration": "s", "cicd.pipeline.run.active": "{run}", "cicd.pipeline.run.errors": "{error}"}, units)
}

func TestFromEnv_nothingAsked(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"nothing set":   {},
		"disabled":      {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
		"no exporter":   {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
		"other signals": {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			for key, value := range env {
				t.Setenv(key, value)
			}
			tel, err := telemetry.FromEnv(t.Context(), "boutique", "7")
			require.NoError(t, err)
			require.Nil(t, tel)
			ctx := tel.Begin(t.Context(), "7", "")
			_, end := tel.Task(ctx, "tests", "7/tests", "test")
			end(telemetry.Success)
			tel.End(ctx, telemetry.Success)
		})
	}
	clean(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	_, err := telemetry.FromEnv(t.Context(), "boutique", "7")
	assert.ErrorContains(t, err, "http/protobuf")
}

// A collector that takes connections and says nothing costs two seconds, once.
func TestEnd_silentCollector(t *testing.T) {
	clean(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())

	tel, err := telemetry.FromEnv(t.Context(), "boutique", "7")
	require.NoError(t, err)
	ctx := tel.Begin(t.Context(), "7", "")
	_, end := tel.Task(ctx, "tests", "7/tests", "")
	end(telemetry.Success)
	began := time.Now()
	tel.End(ctx, telemetry.Success)
	assert.Less(t, time.Since(began), telemetry.FlushTimeout+time.Second) // on a busy machine
}
