package report

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/owenrumney/go-sarif/v2/sarif"
)

// FromSARIF makes a report of one built with go-sarif. o may be nil. Errors are those of [ReadSARIF].
func FromSARIF(ctx context.Context, in *sarif.Report, o *Options) (*Report, error) {
	data, err := json.Marshal(in)
	if err != nil {
		return nil, &Error{Op: "read", Subject: "go-sarif", Err: err}
	}
	return parseSARIF(ctx, data, o)
}

// SARIF returns the report as one of go-sarif. That type has no place for members it does not know; use
// [WriteSARIF] to keep them.
func (r *Report) SARIF(ctx context.Context) (*sarif.Report, error) {
	var b bytes.Buffer
	if err := WriteSARIF(ctx, &b, r); err != nil {
		return nil, err
	}
	out, err := sarif.FromBytes(b.Bytes())
	if err != nil {
		return nil, &Error{Op: "convert", Subject: "go-sarif", Err: err}
	}
	return out, nil
}
