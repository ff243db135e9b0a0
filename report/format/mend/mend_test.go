package mend_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/mend"
)

func TestRead(t *testing.T)     { formattest.Golden(t, mend.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, mend.Read, "scan_report.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, mend.Read, "*.*") }
