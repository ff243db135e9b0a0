package report

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
)

const sarifSchemaURI = "https://json.schemastore.org/sarif-2.1.0.json"

// WriteSARIF writes a source as one SARIF 2.1.0 log, run by run, as it reads it: the memory needed does not
// grow with the number of findings. What was read from SARIF is written with all it had, also what this
// package does not know; white space goes, references are renumbered where runs were joined, paths are
// written relative to the root where that is known, and each result gets its level, its suppressions and its
// [Identity]. The same source gives the same bytes.
//
// Errors are those of the source and of w; then the output is not whole.
func WriteSARIF(ctx context.Context, w io.Writer, s Source) error {
	out := &sarifWriter{w: bufio.NewWriterSize(w, 256<<10), source: s}
	out.log(ctx)
	if err := out.w.Flush(); err != nil && out.err == nil {
		out.err = err
	}
	if _, ok := errors.AsType[*Error](out.err); ok || out.err == nil {
		return out.err
	}
	return &Error{Op: "write", Subject: "SARIF", Err: out.err}
}

// sarifWriter keeps the first error and does nothing after it.
type sarifWriter struct {
	w      *bufio.Writer
	source Source
	buf    []byte
	err    error
}

func (o *sarifWriter) raw(s string) {
	if o.err == nil {
		_, o.err = o.w.WriteString(s)
	}
}

func (o *sarifWriter) bytes(b []byte) {
	if o.err == nil {
		_, o.err = o.w.Write(b)
	}
}

func (o *sarifWriter) log(ctx context.Context) {
	o.raw(`{"$schema":"` + sarifSchemaURI + `","version":"2.1.0","runs":[`)
	head := o.source.Head()
	for i := range head.Runs {
		if i > 0 {
			o.raw(",")
		}
		o.run(ctx, i, &head.Runs[i])
	}
	o.raw("]")
	// Members of the log beside the runs: properties, and what other versions of the world put there.
	seen := map[string]bool{"$schema": true, "version": true}
	var docs []*document
	for _, run := range head.Runs {
		for _, r := range slices.Concat(run.sarif, run.old) {
			if !slices.Contains(docs, r.doc) {
				docs = append(docs, r.doc)
			}
		}
	}
	for _, d := range docs {
		for _, m := range d.members {
			if seen[m.name] {
				continue
			}
			seen[m.name] = true
			o.member(d, m)
		}
	}
	o.raw("}\n")
}

// member copies a member of a document.
func (o *sarifWriter) member(d *document, m span) {
	if o.err != nil {
		return
	}
	v, err := d.raw(m)
	if err != nil {
		o.err = err
		return
	}
	o.raw(",")
	o.bytes(append(rawjson.AppendString(o.buf[:0], m.name), ':'))
	o.bytes(appendValue(nil, v))
}

// runOut is a run that is being written: how each run it comes from is renumbered, and where rules are.
type runOut struct {
	head   *Run
	runs   []*sarifRun // what it comes from, old ones last
	from   map[*sarifRun]*rewriter
	ruleAt map[string]int
}

func (o *sarifWriter) run(ctx context.Context, i int, head *Run) {
	r := &runOut{head: head, from: map[*sarifRun]*rewriter{}, ruleAt: map[string]int{}}
	r.runs = slices.Concat(head.sarif, head.old)
	o.raw("{")
	switch {
	case len(r.runs) == 0:
		o.header(r)
	case len(r.runs) == 1 && head.rules == nil && head.limits == nil && len(head.Rules) == len(r.runs[0].head.Rules):
		o.copyHeader(ctx, r, r.runs[0])
	default:
		o.joinHeaders(ctx, r)
	}
	o.results(ctx, i, r)
	o.raw("}")
}

func (o *sarifWriter) results(ctx context.Context, i int, r *runOut) {
	// A run without results must not come out as one that found nothing.
	absent := len(r.runs) > 0 && !slices.ContainsFunc(r.runs, func(s *sarifRun) bool { return len(s.results) > 0 })
	first := true
	for f, err := range ofRun(ctx, o.source, i, needAll) {
		if err != nil {
			if o.err == nil {
				o.err = err
			}
			return
		}
		if first {
			o.raw(`,"results":[`)
		} else {
			o.raw(",")
		}
		first = false
		o.buf = r.result(o.buf[:0], &f)
		o.bytes(o.buf)
		if o.err != nil {
			return
		}
	}
	if !first {
		o.raw("]")
	} else if !absent {
		o.raw(`,"results":[]`)
	}
}

// copyHeader writes a run that comes from one run of a document as that has it.
func (o *sarifWriter) copyHeader(ctx context.Context, r *runOut, run *sarifRun) {
	w := &rewriter{run: run, norm: newNormalizer(run.doc.opts)}
	r.from[run] = w
	for i, rule := range run.components[0].rules {
		if _, ok := r.ruleAt[rule.ID]; !ok {
			r.ruleAt[rule.ID] = i
		}
	}
	if run.tool.name == "" {
		o.raw(`"tool":{"driver":{"name":"unknown"}}`)
	} else {
		v, err := run.doc.raw(run.tool)
		if err != nil {
			o.err = err
			return
		}
		o.raw(`"tool":`)
		o.bytes(appendValue(nil, v))
	}
	var bags [][]byte
	seen := map[string]bool{}
	for _, m := range run.members {
		switch {
		case seen[m.name]:
		case m.name == "properties":
			bags = o.bags(run, m, bags)
		case m.name == "automationDetails":
			o.details(r.head, run, m)
		case m.list:
			o.raw(`,"` + m.name + `":[`)
			first := true
			o.elements(ctx, w, m, &first, nil)
			o.raw("]")
		default:
			o.member(run.doc, m)
		}
		seen[m.name] = true
	}
	if !seen["automationDetails"] {
		o.bytes(appendDetails(nil, r.head.Category, nil))
	}
	o.bytes(appendRunProperties(nil, r.head, bags, run.seen))
}

// details copies the automationDetails of a run, but the caller may have given it another category.
func (o *sarifWriter) details(head *Run, run *sarifRun, m span) {
	if head.Category == run.head.Category {
		o.member(run.doc, m)
		return
	}
	v, err := run.doc.raw(m)
	if err != nil && o.err == nil {
		o.err = err
	}
	o.bytes(appendDetails(nil, head.Category, v))
}

func (o *sarifWriter) bags(run *sarifRun, m span, bags [][]byte) [][]byte {
	v, err := run.doc.raw(m)
	if err != nil && o.err == nil {
		o.err = err
	}
	return append(bags, v)
}

// elements copies the elements of a list of a run, one by one, those for which keep is nil or true.
func (o *sarifWriter) elements(ctx context.Context, w *rewriter, m span, first *bool, keep func(i int, v []byte) bool) {
	if o.err != nil {
		return
	}
	t := sarifTypes()["run"].members[m.name]
	dec := w.run.doc.decoder(ctx, m.from, m.to)
	i := 0
	_, err := array(dec, func() error {
		v, err := dec.ReadValue()
		if err != nil {
			return err
		}
		i++
		if keep != nil && !keep(i-1, v) {
			return nil
		}
		v = withoutUserinfo(v)
		if w.run.secrets() {
			v = hider{}.value(nil, v, m.name)
		}
		if !*first {
			o.raw(",")
		}
		*first = false
		o.buf = o.buf[:0]
		if t != nil && t.object != nil {
			o.buf = w.object(o.buf, v, t.object)
		} else {
			o.buf = appendValue(o.buf, v)
		}
		o.bytes(o.buf)
		return o.err
	})
	if err != nil && o.err == nil {
		o.err = w.run.doc.fail("read", m.from, err)
	}
}
