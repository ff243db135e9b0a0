package gotest_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/gotest"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T) { formattest.Golden(t, gotest.Read, "*.json") }
func FuzzRead(f *testing.F) { formattest.Fuzz(f, gotest.Read, "*.json") }
