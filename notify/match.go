package notify

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Match says which messages a target is for. All conditions that are set must hold; the zero value is for
// every message.
type Match struct {
	MinSeverity Severity  // this one and all above
	Outcomes    []Outcome // any of these

	// Patterns in the syntax of [path.Match], any of which must match, such as "prod-*". A message that says
	// nothing matches no pattern but "*".
	Environments []string
	Components   []string
}

// Matches reports whether m is for the target; if not, why says which condition failed.
func (r Match) Matches(m Message) (ok bool, why string) {
	switch {
	case m.Severity < r.MinSeverity:
		return false, fmt.Sprintf("severity %s is below %s", m.Severity, r.MinSeverity)
	case len(r.Outcomes) > 0 && !slices.Contains(r.Outcomes, m.Outcome):
		return false, fmt.Sprintf("outcome %q is not asked for", m.Outcome)
	case !matchAny(r.Environments, m.Environment):
		return false, fmt.Sprintf("environment %q is not asked for", m.Environment)
	case !matchAny(r.Components, m.Component):
		return false, fmt.Sprintf("component %q is not asked for", m.Component)
	}
	return true, ""
}

func (r Match) validate() error {
	for _, p := range slices.Concat(r.Environments, r.Components) {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("pattern %q: %w", p, err)
		}
	}
	return nil
}

func matchAny(patterns []string, s string) bool {
	if len(patterns) == 0 {
		return true
	}
	// A slash in a name is an ordinary character here, so that "*" means everything.
	flat := strings.ReplaceAll(s, "/", "\x00")
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(strings.ReplaceAll(p, "/", "\x00"), flat)
		return ok
	})
}
