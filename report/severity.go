package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Severity says how bad a finding is, on one scale for all tools. Greater is worse; the zero value is unknown.
type Severity uint8

// The severities. Their order is the order of the scale.
const (
	SeverityUnknown Severity = iota
	SeverityInfo
	SeverityLow
	SeverityMedium
	SeverityHigh
	SeverityCritical
)

var severityNames = [...]string{"unknown", "info", "low", "medium", "high", "critical"}

// Severities returns all severities, worst first, unknown last.
func Severities() []Severity {
	return []Severity{SeverityCritical, SeverityHigh, SeverityMedium, SeverityLow, SeverityInfo, SeverityUnknown}
}

// String returns the lower-case name: critical, high, medium, low, info or unknown.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return severityNames[SeverityUnknown]
}

// MarshalText implements encoding.TextMarshaler with the name of [Severity.String].
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads one of the six names of [Severity.String] and nothing else; it is strict because
// policies are read with it. Use [ParseSeverity] for what tools write.
func (s *Severity) UnmarshalText(text []byte) error {
	for i, name := range severityNames {
		if string(text) == name {
			*s = Severity(i)
			return nil
		}
	}
	return fmt.Errorf("severity %q is none of critical, high, medium, low, info, unknown", text)
}

// Level returns the SARIF level that goes with s: error for critical and high, warning for medium and
// unknown (what is not understood must not be hidden), note for low and info.
func (s Severity) Level() Level {
	switch s {
	case SeverityCritical, SeverityHigh:
		return LevelError
	case SeverityLow, SeverityInfo:
		return LevelNote
	default:
		return LevelWarning
	}
}

// ParseSeverity reads the words tools use for severities, whatever their case (critical, blocker, important,
// moderate, minor, negligible, style, ...), and numbers as scores from 0 to 10. The second result is false
// when the word is not known; the severity is then unknown.
func ParseSeverity(word string) (Severity, bool) {
	word = strings.ToLower(strings.TrimSpace(word))
	switch word {
	case "critical", "blocker", "crit", "fatal", "emergency":
		return SeverityCritical, true
	case "high", "important", "error", "major", "err", "severe":
		return SeverityHigh, true
	case "medium", "moderate", "warning", "warn", "med":
		return SeverityMedium, true
	case "low", "minor", "note":
		return SeverityLow, true
	case "info", "informational", "information", "none", "negligible", "style", "hint", "recommendation":
		return SeverityInfo, true
	case "unknown", "undefined", "unspecified", "unassigned":
		return SeverityUnknown, true
	}
	if score, ok := ParseScore(word); ok {
		return SeverityOfScore(score), true
	}
	return SeverityUnknown, false
}

// ParseScore reads a score from 0 to 10, as in "7.5". Anything else, also a number outside, is not a score.
func ParseScore(s string) (float64, bool) {
	score, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(score) || score < 0 || score > 10 {
		return 0, false
	}
	return score, true
}

// SeverityOfScore returns the severity of a score from 0 to 10 by the bands of CVSS 3 and of GitHub's
// security-severity: critical from 9, high from 7, medium from 4, low above 0, info at 0.
func SeverityOfScore(score float64) Severity {
	switch {
	case math.IsNaN(score) || score < 0 || score > 10:
		return SeverityUnknown
	case score >= 9:
		return SeverityCritical
	case score >= 7:
		return SeverityHigh
	case score >= 4:
		return SeverityMedium
	case score > 0:
		return SeverityLow
	}
	return SeverityInfo
}

// Level is a SARIF level. The zero value says that none was given; after normalising every finding has one.
type Level uint8

// The levels of SARIF, in rising order.
const (
	LevelUnset Level = iota
	LevelNone
	LevelNote
	LevelWarning
	LevelError
)

var levelNames = [...]string{"", "none", "note", "warning", "error"}

// String returns the SARIF name, empty for [LevelUnset].
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return ""
}

// MarshalText implements encoding.TextMarshaler with the name of [Level.String].
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a SARIF level.
func (l *Level) UnmarshalText(text []byte) error {
	level, ok := ParseLevel(string(text))
	if !ok && len(text) > 0 {
		return fmt.Errorf("level %q is none of none, note, warning, error", text)
	}
	*l = level
	return nil
}

// ParseLevel reads a SARIF level in any case.
func ParseLevel(s string) (Level, bool) {
	for i, name := range levelNames[1:] {
		if strings.EqualFold(s, name) {
			return Level(i + 1), true
		}
	}
	return LevelUnset, false
}

// Severity returns the severity that goes with l where nothing better is known: high for error, medium for
// warning, low for note, info for none, unknown when unset.
func (l Level) Severity() Severity {
	switch l {
	case LevelError:
		return SeverityHigh
	case LevelWarning:
		return SeverityMedium
	case LevelNote:
		return SeverityLow
	case LevelNone:
		return SeverityInfo
	}
	return SeverityUnknown
}
