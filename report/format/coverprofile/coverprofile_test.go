package coverprofile_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/coverprofile"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T) { formattest.Golden(t, coverprofile.Read, "*.out") }
func FuzzRead(f *testing.F) { formattest.Fuzz(f, coverprofile.Read, "*.out") }
