// Package secretrule tells the rules that find secrets by what they are called, whatever the format: the text
// that their findings quote must not be shown.
package secretrule

import (
	"slices"
	"strings"
)

// Holds reports whether a rule for source code is about a secret written there.
func Holds(rule string, cwe []string) bool {
	return slices.ContainsFunc(cwe, weakness) ||
		has(rule, "secret", "password", "passwd", "credential", "api-key", "apikey", "private-key", "hardcoded", "hard-coded")
}

// Named reports whether the id or the title of a rule of any tool says so. It takes more than a word: rules about
// the age of passwords, or about secrets that are kept well, find none.
func Named(text string) bool {
	return has(text, "hardcoded", "hard-coded", "hard coded") && has(text, "secret", "password", "passwd", "credential", "key", "token") ||
		has(text, "ckv_secret_", "hs-leaks-", "passwords and secrets -") || strings.HasPrefix(text, "secrets:")
}

func has(text string, words ...string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}

func weakness(cwe string) bool {
	n := strings.TrimLeft(strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(cwe)), "CWE-"), "0")
	n, _, _ = strings.Cut(n, ":")
	switch strings.TrimSpace(n) {
	case "259", "321", "798", "540", "615": // hard-coded password, key, credentials; in comments
		return true
	}
	return false
}
