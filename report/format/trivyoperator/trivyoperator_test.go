package trivyoperator_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/trivyoperator"
)

func TestRead(t *testing.T)     { formattest.Golden(t, trivyoperator.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, trivyoperator.Read, "list.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, trivyoperator.Read, "*.*") }
