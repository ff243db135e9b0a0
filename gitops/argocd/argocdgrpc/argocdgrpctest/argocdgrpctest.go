// Package argocdgrpctest puts gRPC and gRPC-web in front of the fake Argo CD of the package argocdtest, on one
// port with its REST API, as the real server does. The argocd command works against it: app list, get, sync,
// wait, history, rollback and terminate-op.
//
// The front only translates: each call becomes a REST request to the fake, so that scripted faults, recorded
// requests and tokens are the fake's.
//
// # Errors
//
// [Start] returns the errors of argocdtest.Start. Calls that the front does not know are answered with the
// code Unimplemented.
package argocdgrpctest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	"github.com/argoproj/argo-cd/v2/pkg/apiclient/cluster"
	"github.com/argoproj/argo-cd/v2/pkg/apiclient/project"
	"github.com/argoproj/argo-cd/v2/pkg/apiclient/settings"
	"github.com/argoproj/argo-cd/v2/pkg/apiclient/version"
	"github.com/improbable-eng/grpc-web/go/grpcweb"
	"google.golang.org/grpc"

	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
)

// Server is a running fake with its front.
type Server struct {
	*argocdtest.Server

	URL  string // of all three protocols: http://127.0.0.1:PORT
	Addr string // 127.0.0.1:PORT, which is how the argocd command wants it

	http  *http.Server
	tasks sync.WaitGroup
}

// NewServer starts a fake and its front, which end with the test. The Listener of the options, if any, is the
// fake's own; the front is on a free port.
func NewServer(tb argocdtest.TB, o *argocdtest.Options) *Server {
	tb.Helper()
	s, err := Start(o)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Start starts a fake and its front, which the caller closes.
func Start(o *argocdtest.Options) (*Server, error) {
	fake, err := argocdtest.Start(o)
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fake.Close()
		return nil, fmt.Errorf("argocdgrpctest: %w", err)
	}
	calls := grpc.NewServer()
	b := &backend{url: fake.URL, http: &http.Client{Transport: &http.Transport{}}}
	application.RegisterApplicationServiceServer(calls, &applications{backend: b})
	version.RegisterVersionServiceServer(calls, &versions{})
	settings.RegisterSettingsServiceServer(calls, &preferences{})
	project.RegisterProjectServiceServer(calls, &projects{})
	cluster.RegisterClusterServiceServer(calls, &clusters{})
	web, rest := grpcweb.WrapServer(calls), fake.Handler()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch kind := r.Header.Get("Content-Type"); {
		case strings.HasPrefix(kind, "application/grpc-web"):
			web.ServeHTTP(w, r)
		case strings.HasPrefix(kind, "application/grpc"):
			calls.ServeHTTP(w, r)
		default:
			rest.ServeHTTP(w, r)
		}
	})
	s := &Server{
		Server: fake, URL: "http://" + l.Addr().String(), Addr: l.Addr().String(),
		http: &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, Protocols: new(http.Protocols)},
	}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetUnencryptedHTTP2(true)
	s.http.RegisterOnShutdown(b.http.CloseIdleConnections)
	s.tasks.Go(func() { _ = s.http.Serve(l) })
	return s, nil
}

// Close ends the front and the fake, and waits for both.
func (s *Server) Close() {
	s.Server.Close() // ends the streams that the front relays
	_ = s.http.Close()
	s.tasks.Wait()
}
