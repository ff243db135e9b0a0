package junit_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/junit"
)

func TestRead(t *testing.T) { formattest.Golden(t, junit.Read, "*.xml") }
func FuzzRead(f *testing.F) { formattest.Fuzz(f, junit.Read, "*.xml") }

func TestRead_bad(t *testing.T) { formattest.BadXML(t, junit.Read, "surefire.xml") }
