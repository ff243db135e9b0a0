package report

import (
	"math"
	"strings"
)

// ScoreCVSS computes the base score of a CVSS vector of version 2.0, 3.0, 3.1 or 4.0 as FIRST specifies it; in
// version 4 that is the one called CVSS-B. Of temporal, threat, environmental and supplemental metrics it takes
// no notice. The second result is false for other versions and for vectors that are not whole.
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
	case "4.0":
		return cvss4(metrics)
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
	if impact == 0 {
		return 0, true
	}
	exploitability := 20 * w["AV"] * w["AC"] * w["Au"]
	return math.Round((0.6*impact+0.4*exploitability-1.5)*1.176*10) / 10, true
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

// Version 4 counts how many steps a metric is below the worst value.
var (
	cvss4Impact = map[string]int{"H": 0, "L": 1, "N": 2}
	cvss4Steps  = map[string]map[string]int{
		"AV": {"N": 0, "A": 1, "L": 2, "P": 3},
		"PR": {"N": 0, "L": 1, "H": 2},
		"UI": {"N": 0, "P": 1, "A": 2},
		"AC": {"L": 0, "H": 1},
		"AT": {"N": 0, "P": 1},
		"VC": cvss4Impact, "VI": cvss4Impact, "VA": cvss4Impact,
		"SC": cvss4Impact, "SI": cvss4Impact, "SA": cvss4Impact,
	}
)

// cvss4Scores are the scores of the worst vectors of each group of equivalent ones (MacroVector), by EQ1, EQ2,
// EQ4 less 1, and EQ3 with EQ6: 00, 01, 10, 11, 21. A base vector has EQ4 1 or 2 and EQ5 0; EQ6 follows from EQ3,
// and 01 and 11 are there for what is next below.
var cvss4Scores = [3][2][2][5]float64{
	{{{10, 9.6, 9.3, 9.2, 7.9}, {9.3, 9, 8.8, 8, 6.9}}, {{9.5, 9.1, 9.2, 8.2, 7.1}, {9.2, 8.1, 8.4, 7, 6.3}}},
	{{{9.4, 8.9, 8.6, 7.6, 6.5}, {8.7, 7.5, 7.2, 5.7, 5.3}}, {{9, 7.7, 7.4, 5.9, 5.8}, {7.7, 6.6, 6.1, 5.2, 2.3}}},
	{{{8.6, 7.4, 7.2, 5.7, 4.7}, {7, 5.4, 5.3, 3.6, 2.4}}, {{7.3, 5.5, 6.1, 5.1, 2.4}, {5.4, 4.3, 4.6, 1.8, 1}}},
}

// cvss4 takes the score of the worst vector of the group, less the mean of what the steps below that vector are
// worth: in each dimension, their part of the steps that there are, times the way down to the next group.
func cvss4(metrics map[string]string) (float64, bool) {
	m := make(map[string]int, len(cvss4Steps))
	for name, steps := range cvss4Steps {
		n, ok := steps[metrics[name]]
		if !ok {
			return 0, false
		}
		m[name] = n
	}
	access, hurdle := m["AV"]+m["PR"]+m["UI"], m["AC"]+m["AT"]
	system, beyond := m["VC"]+m["VI"]+m["VA"], m["SC"]+m["SI"]+m["SA"]
	if system == 6 && beyond == 6 {
		return 0, true // no impact at all
	}

	eq1, eq2, eq36, eq4 := 0, 0, 0, 0
	switch {
	case access == 0:
	case m["AV"] < 3 && (m["AV"] == 0 || m["PR"] == 0 || m["UI"] == 0):
		eq1, access = 1, access-1
	default:
		eq1, access = 2, access-3
	}
	if hurdle > 0 {
		eq2, hurdle = 1, hurdle-1
	}
	switch {
	case m["VC"] == 0 && m["VI"] == 0:
	case m["VC"] == 0 || m["VI"] == 0 || m["VA"] == 0:
		eq36, system = 2, system-1
	default:
		eq36, system = 4, system-3
	}
	if m["SC"] > 0 && m["SI"] > 0 && m["SA"] > 0 {
		eq4, beyond = 1, beyond-3
	}

	score := cvss4Scores[eq1][eq2][eq4][eq36]
	down, ways := 0.0, 1.0 // EQ5 has always a group below, and no steps
	step := func(steps, of int, below float64) {
		down += (score - below) * float64(steps) / float64(of)
		ways++
	}
	if eq1 < 2 {
		step(access, [...]int{1, 4}[eq1], cvss4Scores[eq1+1][eq2][eq4][eq36])
	}
	if eq2 < 1 {
		step(hurdle, 1, cvss4Scores[eq1][1][eq4][eq36])
	}
	switch below := cvss4Scores[eq1][eq2][eq4]; eq36 {
	case 0:
		step(system, 7, max(below[1], below[2]))
	case 2:
		step(system, 8, below[3])
	}
	if eq4 < 1 {
		step(beyond, 5, cvss4Scores[eq1][eq2][1][eq36])
	}
	// A little more, so that 8.65 is not 8.6499999.
	return math.Round((score-down/ways+1e-6)*10) / 10, true
}
