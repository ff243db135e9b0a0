package osv_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/osv"
)

func TestRead(t *testing.T)     { formattest.Golden(t, osv.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, osv.Read, "lockfile.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, osv.Read, "*.*") }
