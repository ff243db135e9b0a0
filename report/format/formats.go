package format

import (
	"context"
	"io"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/coverprofile"
	"github.com/waybill-dev/waybill/report/format/gitleaks"
	"github.com/waybill-dev/waybill/report/format/gotest"
	"github.com/waybill-dev/waybill/report/format/junit"
	"github.com/waybill-dev/waybill/report/format/trivy"
)

// known is a format: its name, how it is told by its outside, and its reader.
type known struct {
	name string
	is   func(*shape) bool
	read func(context.Context, io.Reader, *report.Options) (*report.Report, error)
}

var formats = []known{
	{"coverprofile", func(s *shape) bool {
		return s.syntax == "text" && len(s.lines) > 0 && strings.HasPrefix(s.lines[0], "mode: ")
	}, coverprofile.Read},
	{"gitleaks", func(s *shape) bool {
		return s.array() && (s.empty || s.has("RuleID", "File") || s.has("offender", "rule"))
	}, gitleaks.Read},
	{"gotest", func(s *shape) bool {
		return s.object() && s.kind("Action") == '"' && (s.has("Package") || s.has("ImportPath")) || s.line(isTestEvent)
	}, gotest.Read},
	{"junit", func(s *shape) bool {
		return s.syntax == "xml" && (s.root.Local == "testsuites" || s.root.Local == "testsuite")
	}, junit.Read},
	{"trivy", func(s *shape) bool {
		if s.array() {
			return s.empty || s.has("Target") && (s.has("Vulnerabilities") || s.has("Type"))
		}
		return s.object() && (s.kind("SchemaVersion") == '0' && (s.has("ArtifactName") || s.has("Results")) || s.has("ClusterName"))
	}, trivy.Read},
}

// isTestEvent knows an event of go test -json among lines of other programs.
func isTestEvent(line string) bool {
	return strings.HasPrefix(line, "{") && strings.Contains(line, `"Action":"`) &&
		(strings.Contains(line, `"Package":"`) || strings.Contains(line, `"ImportPath":"`))
}

// notRead knows what is often given to us by mistake, and says what to do.
func notRead(s *shape) string {
	switch {
	case s.has("spdxVersion"), s.has("@graph"):
		return "saw an SPDX bill of materials, which says nothing about vulnerabilities: scan it, and read the scanner's report"
	case s.has("statements") && s.has("@context"):
		return "saw OpenVEX, which is no report: read it with the suppressions"
	case s.syntax == "xml" && s.root.Local == "coverage":
		return "saw coverage XML that is not Cobertura (Clover?): write Cobertura or LCOV"
	case s.syntax == "xml" && s.root.Local == "report":
		return "saw XML with the root element report (JaCoCo?): write Cobertura or LCOV"
	}
	return ""
}
