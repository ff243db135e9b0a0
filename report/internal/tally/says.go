package tally

import "github.com/waybill-dev/waybill/report"

// Passed says that by this result the tool says that nothing is wrong. The gate spares such results.
func Passed(f *report.Finding) bool {
	switch f.Kind {
	case report.KindPass, report.KindNotApplicable, report.KindInformational:
		return true
	}
	return false
}

// Broken says that a run should have completed and did not. One that only the baseline has need not run.
func Broken(r *report.Run) bool {
	return r.Status != report.StatusCompleted && r.Status != report.StatusAbsent
}
