package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// logged collects what a service logs, and says where it listens, and when it drains.
type logged struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	addr  chan string
	drain chan struct{}
}

func newLog() *logged { return &logged{addr: make(chan string, 1), drain: make(chan struct{}, 1)} }

func (l *logged) Write(b []byte) (int, error) {
	var entry struct{ Msg, Addr string }
	_ = json.Unmarshal(b, &entry) // usage is plain text
	switch entry.Msg {
	case "listening":
		l.addr <- entry.Addr
	case "draining":
		l.drain <- struct{}{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// running is a service of this process.
type running struct {
	url  string
	log  *logged
	stop func() int // tells it to end, and returns with what code it did
}

func start(t *testing.T, env map[string]string, setup Setup) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log, code := newLog(), make(chan int, 1)
	go func() {
		code <- Run(ctx, "cart", []string{"-listen", "127.0.0.1:0"}, func(k string) string { return env[k] }, log, setup)
	}()
	stop := sync.OnceValue(func() int {
		cancel()
		return <-code
	})
	t.Cleanup(func() { stop() })
	select {
	case addr := <-log.addr:
		return &running{"http://" + addr, log, stop}
	case c := <-code:
		t.Fatalf("ended with %d: %s", c, log)
		return nil
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

func nothing(*Env) http.Handler { return http.NotFoundHandler() }

func TestRun_answers(t *testing.T) {
	s := start(t, map[string]string{"BUILD_ID": "42"}, nothing)
	if status, body := get(t, s.url+"/healthz"); status != 200 || body != "ok" {
		t.Error(status, body)
	}
	if status, body := get(t, s.url+"/version"); status != 200 || !strings.Contains(body, `"build":"42"`) || !strings.Contains(body, `"service":"cart"`) {
		t.Error(status, body)
	}
	if status, _ := get(t, s.url+"/elsewhere?secret=1"); status != 404 {
		t.Error(status)
	}
	if code := s.stop(); code != 0 {
		t.Error(code)
	}
	if log := s.log.String(); strings.Contains(log, "secret") || !strings.Contains(log, `"path":"/elsewhere","status":404`) || strings.Contains(log, "/healthz") {
		t.Error(log)
	}
}

// A request that has begun is finished, new ones are turned away, and the health says so.
func TestRun_drains(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	s := start(t, nil, func(*Env) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(begun)
			<-release
			fmt.Fprint(w, "done")
		})
	})
	answer := make(chan string)
	go func() {
		resp, err := http.Get(s.url)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	<-begun
	code := make(chan int)
	go func() { code <- s.stop() }()
	<-s.log.drain
	close(release)
	if got := <-answer; got != "done" {
		t.Error(got)
	}
	if c := <-code; c != 0 {
		t.Error(c)
	}
}

func TestRun_work(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{{nil, 0}, {errors.New("broken"), 1}} {
		log := newLog()
		code := Run(t.Context(), "load", []string{"-listen", "127.0.0.1:0"}, func(string) string { return "" }, log, func(e *Env) http.Handler {
			e.Work = func(_ context.Context, addr string) error {
				if status, _ := get(t, "http://"+addr+"/healthz"); status != 200 {
					t.Error(status)
				}
				return c.err
			}
			return http.NotFoundHandler()
		})
		if code != c.code {
			t.Errorf("%v: ended with %d", c.err, code)
		}
	}
}

// Work that is told to end is waited for.
func TestRun_workEndsWithTheService(t *testing.T) {
	ended := false
	s := start(t, nil, func(e *Env) http.Handler {
		e.Work = func(ctx context.Context, _ string) error {
			<-ctx.Done()
			ended = true
			return ctx.Err()
		}
		return http.NotFoundHandler()
	})
	if code := s.stop(); code != 0 || !ended {
		t.Error(code, ended)
	}
}

func TestRun_usage(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		code int
		says string
	}{
		"help":           {[]string{"-h"}, nil, 0, "-listen"},
		"unknown flag":   {[]string{"-x"}, nil, 2, "-x"},
		"argument":       {[]string{"x"}, nil, 2, "no arguments"},
		"peer":           {nil, map[string]string{"MAIL_ADDR": "http://u:p@mail/x"}, 2, "MAIL_ADDR is not host:port"},
		"number":         {nil, map[string]string{"N": "-1"}, 2, `N="-1" is not a number from 0 to 9`},
		"yes or no":      {nil, map[string]string{"B": "perhaps"}, 2, `B="perhaps" is neither`},
		"address":        {[]string{"-listen", "127.0.0.1:x"}, nil, 3, "cannot listen"},
		"address by env": {nil, map[string]string{"PORT": "x"}, 3, "cannot listen"},
	} {
		var log bytes.Buffer
		code := Run(t.Context(), "cart", c.args, func(k string) string { return c.env[k] }, &log, func(e *Env) http.Handler {
			e.Peer("mail")
			e.Int("N", 5, 9)
			e.Bool("B")
			return http.NotFoundHandler()
		})
		if code != c.code || !strings.Contains(log.String(), c.says) {
			t.Errorf("%s: %d, %s", name, code, log.String())
		}
	}
}

func TestEnv_Addr(t *testing.T) {
	vars := map[string]string{"A_ADDR": "127.0.0.1:99", "B_ADDR": "https://b.example.com/"}
	e := NewEnv(func(key string) string { return vars[key] }, slog.New(slog.DiscardHandler))
	for name, want := range map[string]string{"a": "http://127.0.0.1:99", "b": "https://b.example.com", "c": "http://c:8080"} {
		if got := e.Addr(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// A request is followed through the services by its name, unless the name is no name.
func TestRequestID(t *testing.T) {
	var got string
	peer := start(t, nil, func(*Env) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Get(requestHeader)
			fmt.Fprint(w, "{}")
		})
	})
	s := start(t, nil, func(*Env) http.Handler {
		client := NewClient("peer", peer.url, nil)
		return JSON(func(r *http.Request) (any, error) {
			var out struct{}
			return out, client.Get(r.Context(), "/", &out)
		})
	})
	for given, kept := range map[string]bool{"abc-1": true, "a b": false, strings.Repeat("x", 65): false, "": false} {
		req, _ := http.NewRequest(http.MethodGet, s.url, nil)
		req.Header.Set(requestHeader, given)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got == "" || (got == given) != kept {
			t.Errorf("%q became %q", given, got)
		}
	}
	s.stop()
	peer.stop()
	if !strings.Contains(s.log.String(), `"request":"abc-1"`) || !strings.Contains(peer.log.String(), `"request":"abc-1"`) {
		t.Error("the name is not in both logs")
	}
}

func TestJSON(t *testing.T) {
	for _, c := range []struct {
		answer any
		err    error
		status int
		body   string
	}{
		{map[string]int{"a": 1}, nil, 200, `{"a":1}`},
		{nil, nil, 204, ``},
		{nil, Fail(404, "not_found", "no %s", "thing"), 404, `{"error":{"code":"not_found","message":"no thing"}}`},
		{nil, errors.New("password is hunter2"), 500, `{"error":{"code":"internal","message":"something went wrong"}}`},
		{nil, fmt.Errorf("x: %w", context.DeadlineExceeded), 504, `{"error":{"code":"timeout","message":"that took too long"}}`},
		{func() {}, nil, 500, `{"error":{"code":"internal","message":"no answer could be made"}}`},
	} {
		w := httptest.NewRecorder()
		JSON(func(*http.Request) (any, error) { return c.answer, c.err }).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if body := strings.TrimSpace(w.Body.String()); w.Code != c.status || body != c.body {
			t.Errorf("%v, %v: %d %s", c.answer, c.err, w.Code, body)
		}
	}
}

func TestRead(t *testing.T) {
	s := start(t, nil, func(*Env) http.Handler {
		return JSON(func(r *http.Request) (any, error) {
			var in struct{ A int }
			return in, Read(r, &in)
		})
	})
	for body, want := range map[string]int{
		`{"a": 1}`:          200,
		` {"a": 1} ` + "\n": 200,
		``:                  400,
		`{"a": 1}{}`:        400,
		`{"b": 1}`:          400,
		`{"a": "` + strings.Repeat("x", MaxBodyBytes) + `"}`: 413,
	} {
		resp, err := http.Post(s.url, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%.20q: got %d, want %d", body, resp.StatusCode, want)
		}
	}
}

func TestClient_errors(t *testing.T) {
	for name, c := range map[string]struct {
		peer   http.HandlerFunc
		status int
		code   string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":{"code":"card_expired","message":"m"}}`, http.StatusPaymentRequired)
		}, 402, "card_expired"},
		"broken": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":{"code":"internal","message":"m"}}`, http.StatusInternalServerError)
		}, 502, "unavailable"},
		"no JSON":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, 502, "unavailable"},
		"other 404": {http.NotFound, 502, "unavailable"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.example.com", http.StatusFound)
		}, 502, "unavailable"},
		"too long": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxAnswerBytes+1)) }, 502, "unavailable"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			fmt.Fprint(w, "{}")
		}, 502, "unavailable"},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 502, "unavailable"},
	} {
		s := httptest.NewServer(c.peer)
		var out map[string]any
		err := NewClient("peer", s.URL, nil).Get(t.Context(), "/", &out)
		s.Close()
		if e, ok := errors.AsType[*Error](err); !ok || e.Status != c.status || e.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClient_nobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := NewClient("peer", "http://"+l.Addr().String(), nil)
	if err := c.Post(t.Context(), "/", map[string]int{}, nil); AsError(err).Code != "unavailable" || !strings.Contains(err.Error(), "the peer service does not answer") {
		t.Error(err)
	}
	if err := c.Post(t.Context(), "/", func() {}, nil); err == nil {
		t.Error("a function was sent")
	}
	if err := c.Do(t.Context(), "NO METHOD", "/", nil, nil); err == nil {
		t.Error("a method with a space was sent")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Get(ctx, "/", nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
