package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/notify"
)

const (
	headerID        = "Webhook-Id"
	headerTime      = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"

	maxSignatures = 10 // looked at; each costs an HMAC
)

// Verifier checks the signatures of incoming posts. It is safe for use by several goroutines.
type Verifier struct {
	keys []func(context.Context) (string, error)
	o    VerifierOptions
}

// VerifierOptions of [NewVerifier].
type VerifierOptions struct {
	Tolerance time.Duration // how far the timestamp may be from now, either way; 0 means 5 min
	MaxBytes  int64         // of a body that Request reads; 0 means 1 MiB
}

// Delivery is a post whose signature is right. A sender repeats itself when an answer got lost: remember ID for
// the tolerance at least, and act on the first only.
type Delivery struct {
	ID   string
	Time time.Time
	Body []byte
}

// NewVerifier returns a Verifier that takes what any of keys has signed; see [Options.Keys] for their form. They are
// called for each post. o may be nil.
func NewVerifier(keys []func(context.Context) (string, error), o *VerifierOptions) (*Verifier, error) {
	v := &Verifier{keys: keys}
	if o != nil {
		v.o = *o
	}
	var errs []error
	if len(keys) == 0 {
		errs = append(errs, errors.New("keys: there are none"))
	}
	for i, key := range keys {
		if key == nil {
			errs = append(errs, fmt.Errorf("keys[%d]: is nil", i))
		}
	}
	if v.o.Tolerance < 0 || v.o.MaxBytes < 0 {
		errs = append(errs, errors.New("Options: a negative bound"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &notify.Error{Op: "new", Target: "webhook verifier", Kind: notify.ErrInvalid, Err: err}
	}
	if v.o.Tolerance == 0 {
		v.o.Tolerance = 5 * time.Minute
	}
	if v.o.MaxBytes == 0 {
		v.o.MaxBytes = 1 << 20
	}
	return v, nil
}

// Request reads the body of r and checks its signature. Answer 401 when it fails.
func (v *Verifier) Request(r *http.Request) (*Delivery, error) {
	body, err := httpx.ReadAll(r.Body, v.o.MaxBytes, "the request's body")
	if errors.As(err, new(*httpx.TooLargeError)) {
		return nil, &notify.Error{Op: "verify", Target: "webhook", Kind: notify.ErrTooLarge, Err: err}
	}
	if err != nil {
		return nil, &notify.Error{Op: "verify", Target: "webhook", Kind: notify.ErrUnavailable, Err: err}
	}
	return v.Verify(r.Context(), r.Header, body)
}

// Verify checks the signature of a body that was read already.
func (v *Verifier) Verify(ctx context.Context, header http.Header, body []byte) (*Delivery, error) {
	deny := func(format string, args ...any) error {
		return &notify.Error{Op: "verify", Target: "webhook", Kind: notify.ErrDenied, Err: fmt.Errorf(format, args...)}
	}
	id, stamp, signatures := header.Get(headerID), header.Get(headerTime), header.Get(headerSignature)
	if id == "" || stamp == "" || signatures == "" {
		return nil, deny("it is not signed")
	}
	if strings.Contains(id, ".") { // it would let bytes move between the id, the timestamp and the body
		return nil, deny("its id contains a dot")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || stamp != strconv.FormatInt(seconds, 10) {
		return nil, deny("its timestamp is no number of seconds")
	}
	at := time.Unix(seconds, 0)
	if off := time.Since(at).Abs(); off > v.o.Tolerance {
		return nil, deny("its timestamp is %s off, more than the %s allowed", off.Round(time.Second), v.o.Tolerance)
	}
	given := strings.Fields(signatures)
	for _, get := range v.keys {
		text, err := get(ctx)
		if err != nil {
			return nil, &notify.Error{Op: "get key for", Target: "webhook verifier", Kind: notify.ErrUnavailable, Err: err}
		}
		key, err := parseKey(text)
		if err != nil {
			return nil, &notify.Error{Op: "verify", Target: "webhook", Kind: notify.ErrInvalid, Err: err}
		}
		want := sign(key, id, stamp, body)
		for _, s := range given[:min(len(given), maxSignatures)] {
			if hmac.Equal([]byte(s), []byte(want)) {
				return &Delivery{ID: id, Time: at, Body: body}, nil
			}
		}
	}
	return nil, deny("none of the keys has signed it")
}

func timestamp(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// sign returns "v1," and the base64 of the HMAC-SHA256 of "id.timestamp.body".
func sign(key []byte, id, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%s.%s.", id, timestamp)
	h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// parseKey never repeats the key.
func parseKey(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, "whsec_")
	if !ok {
		encoded = ""
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err != nil:
		return nil, errors.New(`the key begins with "whsec_" and goes on with what is no base64`)
	case text == "" || ok && len(key) == 0:
		return nil, errors.New("the key is empty")
	case !ok:
		return []byte(text), nil
	}
	return key, nil
}
