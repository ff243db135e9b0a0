package report

import (
	"bytes"
	"regexp"
	"strings"
)

// command is the beginning of what Azure Pipelines takes for a command, wherever it stands in a line of a log.
// What a report says must not become one where errors, summaries and lists are printed.
var command = regexp.MustCompile(`(?i)##(vso)?\[`)

// harmless takes the beginning of commands out of a text.
func harmless(s string) string {
	if !strings.Contains(s, "##") {
		return s
	}
	return command.ReplaceAllString(s, "##(")
}

// harmlessJSON writes the same JSON without the beginning of commands.
func harmlessJSON(b []byte) []byte {
	return bytes.ReplaceAll(b, []byte("##"), []byte(`#\u0023`))
}
