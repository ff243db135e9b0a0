package scantest_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/scantest"
)

var here = scan.Target{Kind: scan.Dir, Path: "."}

func TestScanner(t *testing.T) {
	setup := func(steps ...scantest.Step) func() scantest.Setup {
		return func() scantest.Setup {
			return scantest.Setup{Scanner: scantest.New("probe", steps...), Target: here}
		}
	}
	scantest.TestScanner(t, scantest.Harness{
		Clean:       setup(),
		Findings:    setup(scantest.Found(report.Finding{Rule: "R1", Message: "m", Location: report.Location{Path: "a.go", StartLine: 3}})),
		Broken:      setup(scantest.Broken(errors.New("disk full"))),
		Slow:        setup(scantest.Hang()),
		Unsupported: setup(scantest.Skip("no such thing")),
		NotApplicable: map[string]string{
			"HugeOutput": "no tool", "MissingTool": "no tool", "WrongVersion": "no tool", "Secret": "sees nothing",
		},
	})
}

func TestNew_script(t *testing.T) {
	s := scantest.New("probe", scantest.Clean(), scantest.Broken(errors.New("x")))
	_, err := s.Scan(t.Context(), here)
	require.NoError(t, err)
	for range 2 {
		_, err = s.Scan(t.Context(), scan.Target{Kind: scan.Image, Path: "web:1"})
		require.ErrorIs(t, err, scan.ErrBroken)
	}
	assert.Equal(t, []scan.Target{here, {Kind: scan.Image, Path: "web:1"}, {Kind: scan.Image, Path: "web:1"}}, s.Scans())
}
