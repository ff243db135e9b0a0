package sonarqube_test

import (
	"testing"

	"github.com/waybill-dev/waybill/report/format/internal/formattest"
	"github.com/waybill-dev/waybill/report/format/sonarqube"
)

func TestRead(t *testing.T)     { formattest.Golden(t, sonarqube.Read, "*.*") }
func TestRead_bad(t *testing.T) { formattest.BadJSON(t, sonarqube.Read, "issues.json") }
func FuzzRead(f *testing.F)     { formattest.Fuzz(f, sonarqube.Read, "*.*") }
