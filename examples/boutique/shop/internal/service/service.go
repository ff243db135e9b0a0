// Package service is what the services of the shop have in common: a server with limits and a quiet end, JSON in
// and out, errors with a code, calls to the other services, configuration from the environment.
//
//	func main() { service.Main("cart", setup) }
//
// Every service answers GET /healthz and GET /version, takes its address from -listen or PORT, and finds a peer
// called cart at CART_ADDR, or at cart:8080 as Kubernetes names it. On SIGTERM it says it is not healthy, finishes
// what it has begun and ends with 0.
package service

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// The bounds of every service.
const (
	MaxBodyBytes   = 64 << 10
	requestTimeout = 10 * time.Second
	drainTimeout   = 10 * time.Second
)

// build is the number of the build, set by the linker; BUILD_ID overrides it.
var build = "dev"

// Setup makes a service's handler from its environment.
type Setup func(e *Env) http.Handler

// Main runs a service until it is told to end, and ends the process.
func Main(name string, setup Setup) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := Run(ctx, name, os.Args[1:], os.Getenv, os.Stderr, setup)
	stop()
	os.Exit(code)
}

// Run runs a service until ctx ends, or its work does. It returns 0 when all went well, 1 when the work failed, 2
// for flags or variables that make no sense, and 3 when the service cannot listen.
func Run(ctx context.Context, name string, args []string, getenv func(string) string, stderr io.Writer, setup Setup) int {
	e := NewEnv(getenv, slog.New(slog.NewJSONHandler(stderr, nil)).With("service", name))
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", ":"+e.Get("PORT", "8080"), "`address` to listen on")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "%s: no arguments are taken, and there is %q\n", name, flags.Args())
		return 2
	}
	handler := setup(e)
	if err := errors.Join(e.errs...); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 2
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", *listen)
	if err != nil {
		e.Log.Error("cannot listen", "error", err.Error())
		return 3
	}
	version := e.Get("BUILD_ID", build)
	e.Log.Info("listening", "addr", ln.Addr().String(), "build", version)
	defer e.transport.CloseIdleConnections()
	return e.serve(ctx, ln, name, version, handler)
}

// serve serves until ctx ends or the work is done, and then lets requests finish.
func (e *Env) serve(ctx context.Context, ln net.Listener, name, version string, handler http.Handler) int {
	var draining atomic.Bool
	server := &http.Server{
		Handler:           wrap(name, version, handler, e.Log, &draining),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout + 5*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(e.Log.Handler(), slog.LevelWarn),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served, worked := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	if e.Work != nil {
		go func() { worked <- e.Work(ctx, ln.Addr().String()) }()
	}

	code := 0
	select {
	case <-ctx.Done():
	case err := <-served:
		e.Log.Error("cannot serve", "error", err.Error())
		return 3
	case err := <-worked:
		e.Work = nil
		if err != nil && ctx.Err() == nil { // else it was told to end
			e.Log.Error("failed", "error", err.Error())
			code = 1
		}
	}
	draining.Store(true)
	e.Log.Info("draining")
	cancel()
	if e.Work != nil {
		<-worked // it was told to end; what it says of that is no news
	}
	end, done := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer done()
	if err := server.Shutdown(end); err != nil {
		e.Log.Warn("requests were cut off", "error", err.Error())
		server.Close()
	}
	return code
}

// wrap adds what every service answers, and the limits of a request.
func wrap(name, version string, handler http.Handler, log *slog.Logger, draining *atomic.Bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("GET /version", JSON(func(*http.Request) (any, error) {
		return map[string]string{"service": name, "build": version, "go": runtime.Version()}, nil
	}))
	logged := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		id := r.Header.Get(requestHeader)
		if !plainID(id) {
			id = rand.Text()
		}
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		r.Body = http.MaxBytesReader(rec, r.Body, MaxBodyBytes)
		mux.ServeHTTP(rec, r.WithContext(context.WithValue(ctx, requestKey{}, id)))
		attrs := []any{"method", r.Method, "path", r.URL.Path, "status", rec.status, "took", time.Since(start).String(), "request", id}
		if rec.err != nil {
			attrs = append(attrs, "error", rec.err.Error())
		}
		log.Info("request", attrs...)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.URL.Path != "/healthz" {
			logged.ServeHTTP(w, r)
			return
		}
		if draining.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, "draining")
			return
		}
		fmt.Fprintln(w, "ok")
	})
}

// requestHeader names a request on its way through the services.
const requestHeader = "X-Request-Id"

type requestKey struct{}

func plainID(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == ""
}

// recorder remembers how a request was answered, for the log.
type recorder struct {
	http.ResponseWriter
	status int
	err    error
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Note puts an error that the answer does not show, or not all of it, into the log line of the request.
func Note(w http.ResponseWriter, err error) {
	if r, ok := w.(*recorder); ok {
		r.err = errors.Join(r.err, err)
	}
}
