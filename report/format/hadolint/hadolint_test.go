package hadolint_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/hadolint"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, hadolint.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, hadolint.Read, "violations.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, hadolint.Read, "*.*") }
