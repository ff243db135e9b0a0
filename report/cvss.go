package report

import (
	"math"
	"strings"
)

// ScoreCVSS computes the base score of a CVSS vector of version 2.0, 3.0 or 3.1 by the formulas of FIRST. Of
// temporal and environmental metrics it takes no notice. The second result is false for other versions and
// for vectors that are not whole.
func ScoreCVSS(vector string) (float64, bool) {
	v := strings.Trim(strings.TrimSpace(vector), "()")
	metrics := map[string]string{}
	version := "2.0"
	for part := range strings.SplitSeq(v, "/") {
		name, value, ok := strings.Cut(part, ":")
		if !ok {
			return 0, false
		}
		if name == "CVSS" {
			version = value
			continue
		}
		if _, dup := metrics[name]; dup {
			return 0, false
		}
		metrics[name] = value
	}
	switch version {
	case "2.0":
		return cvss2(metrics)
	case "3.0", "3.1":
		return cvss3(metrics)
	}
	return 0, false
}

// weigh looks up each metric's weight; it fails when one is missing or has no such value.
func weigh(metrics map[string]string, table map[string]map[string]float64) (map[string]float64, bool) {
	w := make(map[string]float64, len(table))
	for name, values := range table {
		x, ok := values[metrics[name]]
		if !ok {
			return nil, false
		}
		w[name] = x
	}
	return w, true
}

var (
	cvss2Impact  = map[string]float64{"N": 0, "P": 0.275, "C": 0.66}
	cvss2Weights = map[string]map[string]float64{
		"AV": {"L": 0.395, "A": 0.646, "N": 1},
		"AC": {"H": 0.35, "M": 0.61, "L": 0.71},
		"Au": {"M": 0.45, "S": 0.56, "N": 0.704},
		"C":  cvss2Impact, "I": cvss2Impact, "A": cvss2Impact,
	}
	cvss3Impact  = map[string]float64{"N": 0, "L": 0.22, "H": 0.56}
	cvss3Weights = map[string]map[string]float64{
		"AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
		"AC": {"L": 0.77, "H": 0.44},
		"UI": {"N": 0.85, "R": 0.62},
		"C":  cvss3Impact, "I": cvss3Impact, "A": cvss3Impact,
	}
)

func cvss2(metrics map[string]string) (float64, bool) {
	w, ok := weigh(metrics, cvss2Weights)
	if !ok {
		return 0, false
	}
	impact := 10.41 * (1 - (1-w["C"])*(1-w["I"])*(1-w["A"]))
	exploitability := 20 * w["AV"] * w["AC"] * w["Au"]
	f := 1.176
	if impact == 0 {
		f = 0
	}
	return math.Round((0.6*impact+0.4*exploitability-1.5)*f*10) / 10, true
}

func cvss3(metrics map[string]string) (float64, bool) {
	w, ok := weigh(metrics, cvss3Weights)
	if !ok {
		return 0, false
	}
	changed := metrics["S"] == "C"
	if !changed && metrics["S"] != "U" {
		return 0, false
	}
	// Privileges required weigh less when the scope changes.
	pr, ok := map[string]float64{"N": 0.85, "L": 0.62, "H": 0.27}[metrics["PR"]]
	if changed {
		pr, ok = map[string]float64{"N": 0.85, "L": 0.68, "H": 0.5}[metrics["PR"]]
	}
	if !ok {
		return 0, false
	}
	iss := 1 - (1-w["C"])*(1-w["I"])*(1-w["A"])
	impact := 6.42 * iss
	if changed {
		impact = 7.52*(iss-0.029) - 3.25*math.Pow(iss-0.02, 15)
	}
	if impact <= 0 {
		return 0, true
	}
	score := impact + 8.22*w["AV"]*w["AC"]*pr*w["UI"]
	if changed {
		score *= 1.08
	}
	return roundUp(min(score, 10)), true
}

// roundUp rounds up to one decimal the way CVSS 3.1 writes it, in integers, so that 4.0000000001 stays 4.0.
func roundUp(x float64) float64 {
	n := int(math.Round(x * 100000))
	if n%10000 == 0 {
		return float64(n) / 100000
	}
	return float64(n/10000+1) / 10
}
