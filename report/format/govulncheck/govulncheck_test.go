package govulncheck_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/govulncheck"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, govulncheck.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, govulncheck.Read, "list.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, govulncheck.Read, "*.*") }
