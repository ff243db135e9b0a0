package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

const fromOpenVEX = "openvex"

// ParseOpenVEX reads an OpenVEX document (versions 0.0 and 0.2) as suppressions. A statement "not_affected",
// which needs a justification or an impact statement, and "fixed" accept the vulnerability in the products it
// names; "affected" and "under_investigation" take back what an earlier statement said. A product that is an
// image, or anything else that is no package, accepts for its subcomponents, or for all packages in it, only
// when the run's Target names it: by its digest, or without one by the whole identifier.
//
// Errors: ErrEmpty, ErrSyntax, ErrUnknownFormat (no OpenVEX), ErrInvalid (a statement that the specification
// does not allow, or a product or subcomponent that has neither @id nor package URL: it would mean everything).
func ParseOpenVEX(data []byte) (*Suppressions, error) {
	type product struct {
		ID            string `json:"@id"`
		Identifiers   struct{ PURL string }
		Subcomponents []struct {
			ID          string `json:"@id"`
			Identifiers struct{ PURL string }
		}
	}
	var doc struct {
		Context    string `json:"@context"`
		Author     string
		Timestamp  string
		Statements []struct {
			Vulnerability   vexVulnerability
			Timestamp       string
			Products        []json.RawMessage
			Subcomponents   []string
			Status          string
			Justification   string
			ImpactStatement string `json:"impact_statement"`
		}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, &Error{Op: "parse", Subject: "OpenVEX", Kind: ErrEmpty}
	}
	err := json.Unmarshal(data, &doc)
	wrong := (*json.UnmarshalTypeError)(nil)
	if (err == nil || errors.As(err, &wrong)) && !strings.Contains(doc.Context, "openvex") {
		return nil, &Error{Op: "parse", Subject: "OpenVEX", Kind: ErrUnknownFormat, Err: errors.New("@context does not name OpenVEX")}
	}
	if err != nil {
		return nil, &Error{Op: "parse", Subject: "OpenVEX", Kind: ErrSyntax, Err: inWords(err)}
	}
	list := &Suppressions{}
	var errs []error
	times := map[int]time.Time{}
	for i, s := range doc.Statements {
		bad := func(text string) { errs = append(errs, fmt.Errorf("statements[%d]: %s", i, text)) }
		blocked := false
		switch s.Status {
		case "not_affected":
			if s.Justification == "" && s.ImpactStatement == "" {
				bad("not_affected needs a justification or an impact_statement")
			}
		case "fixed":
		case "affected", "under_investigation":
			blocked = true
		default:
			bad(fmt.Sprintf("status %.30q is none of OpenVEX", s.Status))
		}
		if len(s.Vulnerability.names) == 0 {
			bad("vulnerability is missing")
		}
		reason := strings.Trim(strings.Join([]string{s.Status, s.Justification, s.ImpactStatement}, ": "), ": ")
		entry := SuppressionEntry{Reason: strings.ReplaceAll(reason, ": : ", ": "), By: doc.Author, from: fromOpenVEX, blocked: blocked}
		var targets []SuppressionEntry
		for _, raw := range s.Products {
			var p product
			if raw[0] == '"' { // version 0.0
				_ = json.Unmarshal(raw, &p.ID)
				for _, sub := range s.Subcomponents {
					p.Subcomponents = append(p.Subcomponents, struct {
						ID          string `json:"@id"`
						Identifiers struct{ PURL string }
					}{ID: sub})
				}
			} else if err := json.Unmarshal(raw, &p); err != nil {
				bad("product: " + err.Error())
				continue
			}
			e := entry
			id := cmp.Or(p.Identifiers.PURL, p.ID)
			if id == "" {
				bad("product without @id and package URL")
				continue
			}
			isImage := strings.HasPrefix(id, "pkg:oci/") || strings.HasPrefix(id, "pkg:docker/") || !strings.HasPrefix(id, "pkg:")
			if isImage {
				e.target = imageDigest(id)
			} else {
				e.Package = id
			}
			if len(p.Subcomponents) == 0 {
				targets = append(targets, e)
			}
			for _, sub := range p.Subcomponents {
				e.Package = cmp.Or(sub.Identifiers.PURL, sub.ID)
				if e.Package == "" {
					bad("subcomponent without @id and package URL")
				}
				targets = append(targets, e)
			}
		}
		when, err := time.Parse(time.RFC3339, cmp.Or(s.Timestamp, doc.Timestamp))
		if err != nil {
			when = time.Time{}
		}
		for _, e := range targets {
			for _, name := range s.Vulnerability.names {
				e.Rule = name
				times[len(list.Entries)] = when
				list.Entries = append(list.Entries, e)
			}
		}
	}
	if len(errs) > 0 {
		return nil, &Error{Op: "parse", Subject: "OpenVEX", Kind: ErrInvalid, Err: errors.Join(errs...)}
	}
	// A later statement wins, and of the same time the later in the document.
	order := make([]int, len(list.Entries))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return times[a].Compare(times[b]) })
	sorted := make([]SuppressionEntry, len(order))
	for i, at := range order {
		sorted[i] = list.Entries[at]
	}
	list.Entries = sorted
	return list, nil
}

// vexVulnerability is an object, or in version 0.0 a string.
type vexVulnerability struct{ names []string }

func (v *vexVulnerability) UnmarshalJSON(data []byte) error {
	var name string
	if json.Unmarshal(data, &name) == nil {
		v.names = []string{name}
		return nil
	}
	var o struct {
		ID      string `json:"@id"`
		Name    string
		Aliases []string
	}
	if err := json.Unmarshal(data, &o); err != nil {
		return err
	}
	for _, n := range append([]string{o.Name}, o.Aliases...) {
		if n != "" {
			v.names = append(v.names, n)
		}
	}
	return nil
}

// imageDigest returns the digest in the identifier of an image; of one without a digest the whole, which no
// target contains unless it was scanned by that name.
func imageDigest(id string) string {
	if u, err := url.PathUnescape(id); err == nil {
		id = u
	}
	if i := strings.Index(id, "sha256:"); i >= 0 {
		digest, _, _ := strings.Cut(id[i:], "?")
		return digest
	}
	return id
}
