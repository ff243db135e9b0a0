package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
)

// ProxyServer is a Toxiproxy: it stands between client and server and spoils their connections.
type ProxyServer struct {
	api string
}

// Proxy is one forwarded port.
type Proxy struct {
	Addr string // connect here
	s    *ProxyServer
	name string
}

// StartToxiproxy starts a Toxiproxy that ends with the test.
func StartToxiproxy(tb TB) *ProxyServer {
	tb.Helper()
	tool := Require(tb, Toxiproxy)
	addr := FreeAddr(tb)
	host, port, _ := strings.Cut(addr, ":")
	StartProcess(tb, "toxiproxy", exec.Command(tool.Path, "-host", host, "-port", port), Answers("http://"+addr+"/version"))
	return &ProxyServer{api: "http://" + addr}
}

// Forward opens a port that leads to upstream.
func (s *ProxyServer) Forward(tb TB, name, upstream string) *Proxy {
	tb.Helper()
	p := &Proxy{Addr: FreeAddr(tb), s: s, name: name}
	s.must(tb, http.MethodPost, "/proxies", map[string]any{"name": name, "listen": p.Addr, "upstream": upstream, "enabled": true})
	return p
}

// Poison adds a toxic to the stream from the server ("downstream") or to it ("upstream").
func (p *Proxy) Poison(tb TB, kind, stream string, attributes map[string]any) {
	tb.Helper()
	p.s.must(tb, http.MethodPost, "/proxies/"+p.name+"/toxics", map[string]any{
		"name": kind + "_" + stream, "type": kind, "stream": stream, "toxicity": 1, "attributes": attributes,
	})
}

// Enable opens or closes the port.
func (p *Proxy) Enable(tb TB, on bool) {
	tb.Helper()
	p.s.must(tb, http.MethodPost, "/proxies/"+p.name, map[string]any{"enabled": on})
}

func (s *ProxyServer) must(tb TB, method, path string, in any) {
	tb.Helper()
	if err := s.call(tb.Context(), method, path, in); err != nil {
		tb.Fatalf("testbed: toxiproxy: %v", err)
	}
}

func (s *ProxyServer) call(ctx context.Context, method, path string, in any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.api+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return nil
}
