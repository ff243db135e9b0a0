// Package telemetry traces and measures a run by OpenTelemetry's conventions for CI/CD, over OTLP/HTTP, when the
// standard variables ask for it: OTEL_EXPORTER_OTLP_ENDPOINT or those for one signal, OTEL_SDK_DISABLED,
// OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER ("otlp" or "none"), and all that the exporters read themselves.
//
// Attributes hold names from the program and the build's number, never a message or an error's text. What a
// collector does or does not do never reaches the caller but for [Telemetry.End] taking up to two seconds.
package telemetry

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.39.0"
	"go.opentelemetry.io/otel/semconv/v1.39.0/cicdconv"
	"go.opentelemetry.io/otel/trace"
)

// FlushTimeout is how long [Telemetry.End] waits for the collector.
const FlushTimeout = 2 * time.Second

// Result is how a run or a task ended, in the words of the conventions.
type Result string

// The results.
const (
	Success      Result = "success"
	Failure      Result = "failure" // the answer is no
	Error        Result = "error"   // something broke
	Cancellation Result = "cancellation"
	Skip         Result = "skip"
)

// Telemetry is a run that is traced and measured. The nil Telemetry is one that is not.
type Telemetry struct {
	pipeline string
	traces   *sdktrace.TracerProvider
	metrics  *sdkmetric.MeterProvider
	tracer   trace.Tracer
	run      trace.Span
	began    time.Time

	duration cicdconv.PipelineRunDuration
	active   cicdconv.PipelineRunActive
	errors   cicdconv.PipelineRunErrors
}

// FromEnv returns what the environment asks for: nil when that is nothing. The error is about variables that
// cannot be followed.
func FromEnv(ctx context.Context, pipeline, version string) (*Telemetry, error) {
	endpoint := func(signal string) bool {
		exporter := os.Getenv("OTEL_" + signal + "_EXPORTER")
		return (exporter == "" || exporter == "otlp") &&
			(os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != "")
	}
	withTraces, withMetrics := endpoint("TRACES"), endpoint("METRICS")
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || !withTraces && !withMetrics {
		return nil, nil //nolint:nilnil // the nil Telemetry is a working one
	}
	if protocol := os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		return nil, errors.New("OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is spoken here")
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {})) // a collector that is away is not the run's business

	res, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName(pipeline), semconv.ServiceVersion(version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	t := &Telemetry{pipeline: pipeline}
	var spans []sdktrace.TracerProviderOption
	if withTraces {
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}))
		if err != nil {
			return nil, err
		}
		spans = append(spans, sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	}
	t.traces = sdktrace.NewTracerProvider(spans...)
	t.tracer = t.traces.Tracer("github.com/waybill-dev/waybill/examples/boutique")
	var readers []sdkmetric.Option
	if withMetrics {
		exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}))
		if err != nil {
			return nil, err
		}
		readers = append(readers, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)), sdkmetric.WithResource(res))
	}
	t.metrics = sdkmetric.NewMeterProvider(readers...)
	meter := t.metrics.Meter("github.com/waybill-dev/waybill/examples/boutique")
	var errs [3]error
	t.duration, errs[0] = cicdconv.NewPipelineRunDuration(meter, metric.WithExplicitBucketBoundaries(1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600))
	t.active, errs[1] = cicdconv.NewPipelineRunActive(meter)
	t.errors, errs[2] = cicdconv.NewPipelineRunErrors(meter)
	return t, errors.Join(errs[:]...)
}

// Begin begins the run. parent is what [Telemetry.Parent] gave in another process, or empty.
func (t *Telemetry) Begin(ctx context.Context, id, parent string) context.Context {
	if t == nil {
		return ctx
	}
	if parent == "" {
		parent = os.Getenv("TRACEPARENT")
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
	t.began = time.Now()
	ctx, t.run = t.tracer.Start(ctx, "RUN "+t.pipeline, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		semconv.CICDPipelineName(t.pipeline), semconv.CICDPipelineRunID(id), semconv.CICDPipelineActionNameRun))
	t.active.Add(ctx, 1, t.pipeline, cicdconv.PipelineRunStateExecuting)
	return ctx
}

// Parent names the run's trace for the next process.
func (t *Telemetry) Parent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// Task begins a step of the run. Its kind is "build", "test", "deploy" or empty. The function ends it.
func (t *Telemetry) Task(ctx context.Context, name, id, kind string) (context.Context, func(Result)) {
	if t == nil {
		return ctx, func(Result) {}
	}
	attributes := []attribute.KeyValue{semconv.CICDPipelineName(t.pipeline), semconv.CICDPipelineTaskName(name), semconv.CICDPipelineTaskRunID(id)}
	if kind != "" {
		attributes = append(attributes, semconv.CICDPipelineTaskTypeKey.String(kind))
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithAttributes(attributes...))
	return ctx, func(r Result) {
		span.SetAttributes(semconv.CICDPipelineTaskRunResultKey.String(string(r)))
		mark(span, r)
		span.End()
	}
}

// End ends the run and hands over what was gathered, in at most [FlushTimeout].
func (t *Telemetry) End(ctx context.Context, r Result) {
	if t == nil {
		return
	}
	t.run.SetAttributes(semconv.CICDPipelineResultKey.String(string(r)))
	mark(t.run, r)
	t.run.End()
	state := cicdconv.PipelineRunStateExecuting
	t.active.Add(ctx, -1, t.pipeline, state)
	t.duration.Record(ctx, time.Since(t.began).Seconds(), t.pipeline, state, t.duration.AttrPipelineResult(cicdconv.PipelineResultAttr(r)))
	if r == Error || r == Failure {
		t.errors.Add(ctx, 1, t.pipeline, cicdconv.ErrorTypeAttr(r))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), FlushTimeout)
	defer cancel()
	var flushing sync.WaitGroup // each signal has the whole time
	flushing.Go(func() { _ = t.traces.Shutdown(ctx) })
	flushing.Go(func() { _ = t.metrics.Shutdown(ctx) })
	flushing.Wait()
}

// mark makes failures visible to tools that know no conventions.
func mark(span trace.Span, r Result) {
	if r == Failure || r == Error {
		span.SetStatus(codes.Error, "")
		span.SetAttributes(semconv.ErrorTypeKey.String(string(r)))
	}
}
