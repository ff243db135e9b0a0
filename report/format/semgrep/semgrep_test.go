package semgrep_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/semgrep"
)

func TestRead(t *testing.T)     { formattest.Golden(t, semgrep.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, semgrep.Read, "results.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, semgrep.Read, "*.*") }
