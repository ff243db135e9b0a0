package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Error is an answer that is none: {"error": {"code": "not_found", "message": "…"}}. Programs branch on the code,
// people read the message.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`

	cause error // for the log
}

// Fail makes an error.
func Fail(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	if e.cause != nil {
		return e.Code + ": " + e.Message + ": " + e.cause.Error()
	}
	return e.Code + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.cause }

// JSON makes a handler of a function that returns an answer or an error. What is not an [*Error] is logged and
// not shown.
func JSON(f func(r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := f(r)
		if err == nil && answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		status := http.StatusOK
		if err != nil {
			e := AsError(err)
			status, answer = e.Status, map[string]*Error{"error": e}
			Note(w, err)
		}
		b, err := json.Marshal(answer)
		if err != nil {
			Note(w, err)
			http.Error(w, `{"error":{"code":"internal","message":"no answer could be made"}}`, http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(append(b, '\n'))
	})
}

// AsError returns the [*Error] that people may see of an error.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return Fail(http.StatusGatewayTimeout, "timeout", "that took too long")
	}
	return Fail(http.StatusInternalServerError, "internal", "something went wrong")
}

// Read reads the body of a request. Fields that into does not have are refused, as whoever sent them meant
// something by them.
func Read(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("more than one value")
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return Fail(http.StatusRequestEntityTooLarge, "too_large", "more than %d bytes", MaxBodyBytes)
	}
	bad := Fail(http.StatusBadRequest, "bad_json", "the body is not what is asked for here")
	bad.cause = err
	return bad
}
