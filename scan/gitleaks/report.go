package gitleaks

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"

	engine "github.com/zricethezav/gitleaks/v8/report"

	"github.com/waybill-dev/waybill/report"
	format "github.com/waybill-dev/waybill/report/format/gitleaks"
	"github.com/waybill-dev/waybill/scan"
)

// report makes a report of what the engine found, the way a report file of the command would be read: one
// place decides how a finding of gitleaks is understood, and masks the secret.
func (s *Scanner) report(ctx context.Context, t scan.Target, root string, found []engine.Finding) (*report.Report, error) {
	slices.SortFunc(found, func(a, b engine.Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.StartLine, b.StartLine), cmp.Compare(a.StartColumn, b.StartColumn),
			cmp.Compare(a.RuleID, b.RuleID), cmp.Compare(a.Commit, b.Commit), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	if found == nil {
		found = []engine.Finding{}
	}
	b, err := json.Marshal(found)
	if err != nil {
		return nil, err
	}
	// A report of a cancelled scan is still worth having.
	r, err := format.Read(context.WithoutCancel(ctx), bytes.NewReader(b), &report.Options{Root: root, SecretKey: s.o.SecretKey})
	if err != nil {
		return nil, err
	}
	for i := range r.Runs {
		r.Runs[i].Version, r.Runs[i].Target = EngineVersion, t.String()
	}
	return r, nil
}
