package sonarqube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/report"
	format "github.com/waybill-dev/waybill/report/format/sonarqube"
	"github.com/waybill-dev/waybill/scan"
)

const (
	pageSize    = 500
	searchCap   = 10_000 // results the server hands out per search
	filesAtOnce = 50     // file keys in one search, for the length of the URL
)

// answer is a page of issues or hotspots, its entries as they came: package report/format/sonarqube reads them.
type answer struct {
	Paging     struct{ Total int }
	Issues     []json.RawMessage
	Hotspots   []json.RawMessage
	Components []json.RawMessage
	Rules      []json.RawMessage
	Facets     []struct {
		Property string
		Values   []struct {
			Val   string
			Count int
		}
	}
}

// facet returns the values of a facet that occur, and how many issues they add up to.
func (a *answer) facet(property string) (values []string, sum int) {
	for _, f := range a.Facets {
		if f.Property != property {
			continue
		}
		for _, v := range f.Values {
			if v.Count > 0 {
				values = append(values, v.Val)
				sum += v.Count
			}
		}
	}
	return values, sum
}

// collection gathers pages, each entry once.
type collection struct {
	issues, hotspots, components, rules map[string]json.RawMessage
}

func (col *collection) add(a *answer) error {
	for _, part := range []struct {
		to   map[string]json.RawMessage
		from []json.RawMessage
	}{{col.issues, a.Issues}, {col.hotspots, a.Hotspots}, {col.components, a.Components}, {col.rules, a.Rules}} {
		for _, raw := range part.from {
			var id struct{ Key string }
			if err := json.Unmarshal(raw, &id); err != nil || id.Key == "" {
				return errors.New("an entry without a key")
			}
			part.to[id.Key] = raw
		}
	}
	return nil
}

// findings collects all open issues and the hotspots to review, and makes a report of them.
func (c *client) findings(ctx context.Context, t scan.Target) (*report.Report, error) {
	col := &collection{map[string]json.RawMessage{}, map[string]json.RawMessage{}, map[string]json.RawMessage{}, map[string]json.RawMessage{}}
	if err := c.issues(ctx, col); err != nil {
		return nil, err
	}
	if !c.o.SkipHotspots {
		if err := c.hotspots(ctx, col); err != nil {
			return nil, err
		}
	}
	doc, err := json.Marshal(map[string]any{
		"paging": map[string]int{"pageIndex": 1, "pageSize": len(col.issues) + len(col.hotspots), "total": len(col.issues) + len(col.hotspots)},
		"issues": sorted(col.issues), "hotspots": sorted(col.hotspots), "components": sorted(col.components), "rules": sorted(col.rules),
	})
	if err != nil {
		return nil, err
	}
	r, err := format.Read(ctx, bytes.NewReader(doc), &report.Options{Root: t.Path, MaxBytes: 4 << 30})
	if err != nil {
		return nil, c.fail(issueSearch, scan.ErrOutput, err)
	}
	return r, nil
}

func sorted(m map[string]json.RawMessage) []json.RawMessage {
	out := []json.RawMessage{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}

const issueSearch = "api/issues/search"

func (c *client) issues(ctx context.Context, col *collection) error {
	q := c.query("resolved", "false", "additionalFields", "rules", c.renamed("componentKeys", "components"), c.o.ProjectKey)
	if c.o.NewCodeOnly {
		q.Set("inNewCodePeriod", "true")
	}
	want, err := c.slice(ctx, col, q, []string{"types", "severities", "rules"})
	if err != nil {
		return err
	}
	// While issues come and go the sum is off by some: the analysis is not what was asked about any more.
	if len(col.issues) != want {
		return c.fail(issueSearch, scan.ErrOutput, fmt.Errorf("the server counts %d issues, and handed out %d", want, len(col.issues)))
	}
	return nil
}

// slice collects all issues that q selects and returns how many there are. When they are too many for one
// search it cuts them by the first of dims, a facet that is also a filter, and cuts the pieces by the rest.
// A facet lists its most frequent values only, so it can be used when its counts add up.
func (c *client) slice(ctx context.Context, col *collection, q url.Values, dims []string) (int, error) {
	first, err := c.page(ctx, q, 1, dims)
	if err != nil {
		return 0, err
	}
	total := first.Paging.Total
	if total > c.o.MaxIssues {
		return 0, c.fail(issueSearch, scan.ErrTooLarge, fmt.Errorf("%d issues, more than the cap of %d (MaxIssues)", total, c.o.MaxIssues))
	}
	if total < searchCap {
		return total, c.pages(ctx, col, q, first)
	}
	got, err := c.cut(ctx, col, q, first, dims)
	// SonarQube Cloud says 10,000 when there are more.
	if err == nil && got != total && (got < total || total > searchCap) {
		err = c.fail(issueSearch, scan.ErrOutput, fmt.Errorf("the server counts %d issues, and its slices add up to %d (issues that belong to no file?)", total, got))
	}
	return got, err
}

// cut collects the issues of a search that are too many for it.
func (c *client) cut(ctx context.Context, col *collection, q url.Values, first *answer, dims []string) (int, error) {
	total := first.Paging.Total
	for i, dim := range dims {
		values, sum := first.facet(dim)
		if len(values) < 2 || sum < total {
			continue
		}
		got := 0
		for _, v := range values {
			part := maps.Clone(q)
			part.Set(dim, v)
			n, err := c.slice(ctx, col, part, dims[i+1:])
			if err != nil {
				return 0, err
			}
			got += n
		}
		return got, nil
	}
	return c.sliceByFile(ctx, col, q)
}

// sliceByFile cuts by files, listed by the server. It misses issues of the project itself, which no search can single out.
func (c *client) sliceByFile(ctx context.Context, col *collection, q url.Values) (int, error) {
	param := c.renamed("componentKeys", "components")
	if q.Get(param) != c.o.ProjectKey {
		return 0, c.fail(issueSearch, scan.ErrTooLarge, fmt.Errorf("%d or more issues in one file by one rule", searchCap))
	}
	files, err := c.files(ctx)
	if err != nil {
		return 0, err
	}
	got := 0
	var cut func(files []string) error
	cut = func(files []string) error {
		part := maps.Clone(q)
		part.Set(param, strings.Join(files, ","))
		first, err := c.page(ctx, part, 1, nil)
		if err != nil {
			return err
		}
		if first.Paging.Total < searchCap {
			got += first.Paging.Total
			return c.pages(ctx, col, part, first)
		}
		if len(files) == 1 {
			return c.fail(issueSearch, scan.ErrTooLarge, fmt.Errorf("%d or more issues in one file by one rule", searchCap))
		}
		return errors.Join(cut(files[:len(files)/2]), cut(files[len(files)/2:]))
	}
	for batch := range slices.Chunk(files, filesAtOnce) {
		if err := cut(batch); err != nil {
			return 0, err
		}
	}
	return got, nil
}

func (c *client) files(ctx context.Context) ([]string, error) {
	const path = "api/components/tree"
	var keys []string
	for p := 1; ; p++ {
		var doc struct {
			Paging     struct{ Total int }
			Components []struct{ Key string }
		}
		q := c.query("component", c.o.ProjectKey, "qualifiers", "FIL,UTS", "ps", strconv.Itoa(pageSize), "p", strconv.Itoa(p))
		if err := c.call(ctx, path, q, &doc); err != nil {
			return nil, err
		}
		if doc.Paging.Total > searchCap {
			return nil, c.fail(path, scan.ErrTooLarge, fmt.Errorf("%d files, more than the server lists (%d)", doc.Paging.Total, searchCap))
		}
		for _, f := range doc.Components {
			keys = append(keys, f.Key)
		}
		if len(keys) >= doc.Paging.Total {
			return keys, nil
		}
		if len(doc.Components) == 0 {
			return nil, c.fail(path, scan.ErrOutput, fmt.Errorf("the server counts %d files, and lists %d", doc.Paging.Total, len(keys)))
		}
	}
}

// page asks for one page of issues.
func (c *client) page(ctx context.Context, q url.Values, p int, facets []string) (*answer, error) {
	q = maps.Clone(q)
	q.Set("ps", strconv.Itoa(pageSize))
	q.Set("p", strconv.Itoa(p))
	if len(facets) > 0 {
		q.Set("facets", strings.Join(facets, ","))
	}
	var a answer
	return &a, c.call(ctx, issueSearch, q, &a)
}

// pages collects a search of which the first page is there.
func (c *client) pages(ctx context.Context, col *collection, q url.Values, first *answer) error {
	a := first
	for p := 1; ; p++ {
		if err := col.add(a); err != nil {
			return c.fail(issueSearch, scan.ErrOutput, err)
		}
		if p*pageSize >= first.Paging.Total {
			return nil
		}
		var err error
		if a, err = c.page(ctx, q, p+1, nil); err != nil {
			return err
		}
	}
}

// hotspots collects the security hotspots nobody has reviewed yet.
func (c *client) hotspots(ctx context.Context, col *collection) error {
	const path = "api/hotspots/search"
	for p := 1; ; p++ {
		q := c.query(c.renamed("projectKey", "project"), c.o.ProjectKey, "status", "TO_REVIEW", "ps", strconv.Itoa(pageSize), "p", strconv.Itoa(p))
		if c.o.NewCodeOnly {
			q.Set("inNewCodePeriod", "true")
		}
		var a answer
		if err := c.call(ctx, path, q, &a); err != nil {
			return err
		}
		if limit := min(searchCap, c.o.MaxIssues); a.Paging.Total > limit {
			return c.fail(path, scan.ErrTooLarge, fmt.Errorf("%d hotspots, more than the cap of %d", a.Paging.Total, limit))
		}
		if err := col.add(&a); err != nil {
			return c.fail(path, scan.ErrOutput, err)
		}
		if p*pageSize >= a.Paging.Total {
			if len(col.hotspots) != a.Paging.Total {
				return c.fail(path, scan.ErrOutput, fmt.Errorf("the server counts %d hotspots, and handed out %d", a.Paging.Total, len(col.hotspots)))
			}
			return nil
		}
	}
}
