package gitlab_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/gitlab"
	"github.com/waybill-dev/waybill/report/format/internal/formattest"
)

func TestRead(t *testing.T)     { formattest.Golden(t, gitlab.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, gitlab.Read, "sast.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, gitlab.Read, "*.*") }
