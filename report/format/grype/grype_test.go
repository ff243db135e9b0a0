package grype_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/grype"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, grype.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, grype.Read, "image.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, grype.Read, "*.*") }
