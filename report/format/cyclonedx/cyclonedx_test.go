package cyclonedx_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/cyclonedx"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, cyclonedx.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, cyclonedx.Read, "bom.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, cyclonedx.Read, "*.*") }
