package gosec_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/gosec"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, gosec.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, gosec.Read, "issues.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, gosec.Read, "*.*") }
