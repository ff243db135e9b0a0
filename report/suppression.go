package report

import (
	"time"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
)

// readSuppressionProperties reads what our writer, and the SARIF Multitool, keep in the property bag of a
// suppression.
func readSuppressionProperties(v []byte, s *Suppression) {
	for name, value := range rawjson.Members(v) {
		switch string(name) {
		case "by", "alias":
			s.By = rawjson.Text(value)
		case "from":
			s.From = rawjson.Text(value)
		case "expiryUtc":
			if t, err := time.Parse(time.RFC3339, rawjson.Text(value)); err == nil {
				s.Expires = t
			}
		}
	}
}
