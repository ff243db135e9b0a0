package format

import (
	"context"
	"io"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/report/format/cobertura"
	"github.com/waybill-dev/waybill/report/format/coverprofile"
	"github.com/waybill-dev/waybill/report/format/cyclonedx"
	"github.com/waybill-dev/waybill/report/format/gitlab"
	"github.com/waybill-dev/waybill/report/format/gitleaks"
	"github.com/waybill-dev/waybill/report/format/gosec"
	"github.com/waybill-dev/waybill/report/format/gotest"
	"github.com/waybill-dev/waybill/report/format/govulncheck"
	"github.com/waybill-dev/waybill/report/format/grype"
	"github.com/waybill-dev/waybill/report/format/hadolint"
	"github.com/waybill-dev/waybill/report/format/junit"
	"github.com/waybill-dev/waybill/report/format/lcov"
	"github.com/waybill-dev/waybill/report/format/mend"
	"github.com/waybill-dev/waybill/report/format/osv"
	"github.com/waybill-dev/waybill/report/format/semgrep"
	"github.com/waybill-dev/waybill/report/format/sonarqube"
	"github.com/waybill-dev/waybill/report/format/trivy"
	"github.com/waybill-dev/waybill/report/format/trivyoperator"
)

// known is a format: its name, how it is told by its outside, and its reader.
type known struct {
	name string
	is   func(*shape) bool
	read func(context.Context, io.Reader, *report.Options) (*report.Report, error)
}

// formats are all formats, by name. What one accepts no other should, but for what several tools write alike.
var formats = []known{
	{"cobertura", func(s *shape) bool {
		return s.isXML("coverage") && (s.attr("line-rate") || s.attr("lines-valid"))
	}, cobertura.Read},
	{"coverprofile", func(s *shape) bool {
		return len(s.lines) > 0 && strings.HasPrefix(s.lines[0], "mode: ")
	}, coverprofile.Read},
	{"cyclonedx", func(s *shape) bool {
		return s.object() && s.text("bomFormat") == "CycloneDX" ||
			s.isXML("bom") && strings.HasPrefix(s.root.Space, "http://cyclonedx.org/schema/bom/")
	}, cyclonedx.Read},
	{"gitlab", func(s *shape) bool {
		return s.object() && s.has("version", "vulnerabilities") && s.kind("scan") == '{' && !s.has("bomFormat")
	}, gitlab.Read},
	{"gitleaks", func(s *shape) bool {
		return s.array() && (s.empty || s.has("RuleID", "File") || s.has("offender", "rule"))
	}, gitleaks.Read},
	{"gosec", func(s *shape) bool {
		return s.object() && s.has("Issues") && (s.has("Stats") || s.has("Golang errors"))
	}, gosec.Read},
	{"gotest", func(s *shape) bool {
		return s.object() && s.kind("Action") == '"' && (s.has("Package") || s.has("ImportPath")) || s.line(isTestEvent)
	}, gotest.Read},
	{"govulncheck", func(s *shape) bool {
		return s.inner("config", "scanner_name") || s.inner("config", "protocol_version")
	}, govulncheck.Read},
	{"grype", func(s *shape) bool {
		return s.object() && s.has("matches") && (s.has("descriptor") || s.listOf("matches", "vulnerability") && s.has("source"))
	}, grype.Read},
	{"hadolint", func(s *shape) bool {
		return s.array() && (s.emptyList() || s.has("code", "level", "line", "message"))
	}, hadolint.Read},
	{"junit", func(s *shape) bool { return s.isXML("testsuites") || s.isXML("testsuite") }, junit.Read},
	{"lcov", func(s *shape) bool {
		return len(s.lines) > 0 && (strings.HasPrefix(s.lines[0], "TN:") || strings.HasPrefix(s.lines[0], "SF:"))
	}, lcov.Read},
	{"mend", isMend, mend.Read},
	{"osv", func(s *shape) bool {
		return s.object() && s.has("results") && (s.inner("results", "packages") || s.has("experimental_config")) && !s.has("errors")
	}, osv.Read},
	{"sarif", isSARIF, report.ReadSARIF},
	{"semgrep", func(s *shape) bool {
		return s.object() && s.has("results", "errors") && (s.has("paths") || s.inner("results", "check_id"))
	}, semgrep.Read},
	{"sonarqube", func(s *shape) bool {
		return s.object() && (s.kind("issues") == '[' || s.kind("hotspots") == '[') && (s.has("paging") || s.has("total")) && s.has("components")
	}, sonarqube.Read},
	{"trivy", func(s *shape) bool {
		if s.array() {
			return s.empty || s.has("Target") && (s.has("Vulnerabilities") || s.has("Type"))
		}
		return s.object() && (s.kind("SchemaVersion") == '0' && (s.has("ArtifactName") || s.has("Results")) || s.has("ClusterName"))
	}, trivy.Read},
	{"trivyoperator", func(s *shape) bool {
		ours := strings.HasPrefix(s.text("apiVersion"), "aquasecurity.github.io/")
		return s.object() && (ours || s.text("kind") == "List" && s.inner("items", "report"))
	}, trivyoperator.Read},
}

// isSARIF holds for other versions of SARIF too, which the reader refuses by name.
func isSARIF(s *shape) bool {
	return s.object() && (s.kind("runs") == '[' || strings.Contains(strings.ToLower(s.text("$schema")), "sarif"))
}

// isMend knows the several shapes of Mend, none of which says what it is.
func isMend(s *shape) bool {
	switch {
	case !s.object() || s.has("bomFormat") || s.has("scan"):
		return false
	case s.has("projectVitals", "libraries"), s.has("rejectingPolicies"), s.has("supportToken", "response"):
		return true
	case s.has("existingProjects") || s.has("newProjects"):
		return true
	}
	return s.inner("vulnerabilities", "library") || s.inner("response", "findingInfo")
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
	case s.isXML("coverage"):
		return "saw coverage XML that is not Cobertura (Clover?): write Cobertura or LCOV"
	case s.isXML("report"):
		return "saw XML with the root element report (JaCoCo?): write Cobertura or LCOV"
	}
	return ""
}
