package argocdgrpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-dev/waybill/internal/httpx"
)

// webConn is a connection that speaks gRPC-web: each call is one POST whose body and reply are frames of a
// flag byte, four bytes of length, and a message. The last frame holds the trailers.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
type webConn struct {
	base string
	http *http.Client
	own  *http.Transport // nil when the client is the caller's
}

const (
	frameHeader = 5
	trailerFlag = 0x80
)

func newWebConn(u *url.URL, o *Options) *webConn {
	c := &webConn{base: strings.TrimSuffix(u.String(), "/")}
	base := o.HTTPClient
	if base == nil {
		c.own = httpx.Transport()
		c.own.TLSClientConfig = o.TLS
		base = &http.Client{Transport: c.own}
	}
	c.http = httpx.Client(base)
	return c
}

func (c *webConn) close() error {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
	return nil
}

// marshaler and unmarshaler are what Argo CD's messages are.
type (
	marshaler   interface{ Marshal() ([]byte, error) }
	unmarshaler interface{ Unmarshal(b []byte) error }
)

// Invoke does a unary call.
func (c *webConn) Invoke(ctx context.Context, method string, args, reply any, _ ...grpc.CallOption) error {
	s, err := c.call(ctx, method, args)
	if err != nil {
		return err
	}
	defer s.body.Close()
	if err := s.RecvMsg(reply); err != nil {
		if errors.Is(err, io.EOF) {
			return status.Error(codes.Internal, "no message in the reply")
		}
		return err
	}
	if err := s.next(nil); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// NewStream returns a stream on which one message is sent and many are received.
func (c *webConn) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return &webStream{ctx: ctx, conn: c, method: method}, nil
}

func (c *webConn) call(ctx context.Context, method string, args any) (*webStream, error) {
	m, ok := args.(marshaler)
	if !ok {
		return nil, status.Errorf(codes.Internal, "%T is not a message", args)
	}
	b, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))) //nolint:gosec // our own requests are small
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+method, bytes.NewReader(append(frame, b...)))
	if err != nil {
		return nil, httpx.RedactError(err)
	}
	req.Header.Set("Content-Type", "application/grpc-web+proto")
	req.Header.Set("Accept", "application/grpc-web+proto")
	if md, ok := metadata.FromOutgoingContext(ctx); ok {
		for key, values := range md {
			for _, v := range values {
				req.Header.Add(key, v)
			}
		}
	}
	resp, err := c.http.Do(req) //nolint:bodyclose // the stream closes it
	if err != nil {
		return nil, status.Error(codes.Unavailable, httpx.RedactError(err).Error())
	}
	if err := headerStatus(resp); err != nil {
		httpx.Drain(resp.Body)
		return nil, err
	}
	return &webStream{ctx: ctx, conn: c, method: method, body: resp.Body}, nil
}

// headerStatus returns the error that a reply carries in its headers, which is where it stands when there are
// no messages.
func headerStatus(resp *http.Response) error {
	switch {
	case resp.Header.Get("Grpc-Status") != "" && resp.Header.Get("Grpc-Status") != "0":
		return statusOf(resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message"))
	case resp.StatusCode == http.StatusUnauthorized:
		return status.Error(codes.Unauthenticated, resp.Status)
	case resp.StatusCode == http.StatusForbidden:
		return status.Error(codes.PermissionDenied, resp.Status)
	case resp.StatusCode == http.StatusOK && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/grpc-web"):
		return nil
	case httpx.RetryableStatus(resp.StatusCode):
		return status.Error(codes.Unavailable, resp.Status)
	}
	return status.Errorf(codes.Unimplemented, "%s with a reply of type %q, so probably not gRPC-web", resp.Status, resp.Header.Get("Content-Type"))
}

func statusOf(code, message string) error {
	n, err := strconv.ParseUint(code, 10, 32)
	if err != nil {
		return status.Errorf(codes.Unknown, "status %q", code)
	}
	if n == 0 {
		return io.EOF
	}
	if text, err := url.PathUnescape(message); err == nil { // percent-encoded by the protocol
		message = text
	}
	return status.Error(codes.Code(n), message)
}

// webStream is a [grpc.ClientStream].
type webStream struct {
	ctx    context.Context //nolint:containedctx // the interface has a method that returns it
	conn   *webConn
	method string
	body   io.ReadCloser
}

func (s *webStream) Header() (metadata.MD, error) { return metadata.MD{}, nil }
func (s *webStream) Trailer() metadata.MD         { return nil }
func (s *webStream) CloseSend() error             { return nil }
func (s *webStream) Context() context.Context     { return s.ctx }

// SendMsg sends the one message, and with it the request.
func (s *webStream) SendMsg(m any) error {
	if s.body != nil {
		return status.Error(codes.Internal, "gRPC-web sends one message")
	}
	started, err := s.conn.call(s.ctx, s.method, m)
	if err != nil {
		return err
	}
	s.body = started.body
	context.AfterFunc(s.ctx, func() { _ = s.body.Close() })
	return nil
}

// RecvMsg reads the next message. The end of the stream is io.EOF, or the status of the trailers.
func (s *webStream) RecvMsg(m any) error {
	to, ok := m.(unmarshaler)
	if !ok {
		return status.Errorf(codes.Internal, "%T is not a message", m)
	}
	return s.next(to)
}

// next reads a frame. Where none is expected, to is nil.
func (s *webStream) next(to unmarshaler) error {
	var header [frameHeader]byte
	if _, err := io.ReadFull(s.body, header[:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // a stream ends with its trailers
		}
		return status.Error(codes.Unavailable, httpx.RedactError(err).Error())
	}
	length := binary.BigEndian.Uint32(header[1:])
	if length > maxMessage {
		return status.Errorf(codes.ResourceExhausted, "a message of %d bytes is larger than the cap of %d", length, maxMessage)
	}
	b, err := io.ReadAll(io.LimitReader(s.body, int64(length))) // grows with what really comes
	if err == nil && len(b) < int(length) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return status.Error(codes.Unavailable, httpx.RedactError(err).Error())
	}
	if header[0]&trailerFlag != 0 {
		return trailers(b)
	}
	if to == nil {
		return status.Error(codes.Internal, "a second message in the reply")
	}
	if err := to.Unmarshal(b); err != nil {
		return status.Error(codes.Internal, fmt.Sprintf("message: %v", err))
	}
	return nil
}

// trailers returns the status that the trailers, written as HTTP/1 headers, hold.
func trailers(b []byte) error {
	var code, message string
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)) {
		case "Grpc-Status":
			code = strings.TrimSpace(value)
		case "Grpc-Message":
			message = strings.TrimSpace(value)
		}
	}
	return statusOf(code, message)
}
