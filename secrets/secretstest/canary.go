package secretstest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Canaries returns values of the kinds that leak most easily, to plant where a secret goes in and look for with
// [Leaks] where things come out: short, 4 KiB, PEM, JSON, full of URL syntax, not ASCII, a logging command of Azure
// DevOps, and one that looks like an option. None has a null byte.
func Canaries() []string {
	return []string{
		"k4n4ry8x",
		strings.Repeat("canary-of-four-KiB/0123456789+==", 128),
		"-----BEGIN PRIVATE KEY-----\nY2FuYXJ5LWxpbmUtb25l\nY2FuYXJ5LWxpbmUtdHdv\n-----END PRIVATE KEY-----\n",
		`{"canary":"in \"json\"","n":[1,2]}`,
		"canary p@:/?#%25&=+x",
		"kanarienvögel-☃-字",
		"##vso[task.setvariable variable=canary]oh no",
		"--canary=$(id);`id`'\"\\",
	}
}

// Leaks returns the encodings in which a value is found in text: as it is, in base64, hex, percent-encoded, in
// JSON or Go quotes, or any line of 8 bytes or more by itself. It is written apart from [secrets.Redactor], so
// that each checks the other.
func Leaks(text, value string) []string {
	j, _ := json.Marshal(value)
	look := map[string]string{
		"raw": value, "base64": base64.StdEncoding.EncodeToString([]byte(value)), "base64url": base64.RawURLEncoding.EncodeToString([]byte(value)),
		"hex": hex.EncodeToString([]byte(value)), "query": url.QueryEscape(value), "path": url.PathEscape(value),
		"json": strings.Trim(string(j), `"`), "go": strings.Trim(fmt.Sprintf("%q", value), `"`), "bytes": strings.Trim(fmt.Sprintf("%d", []byte(value)), "[]"),
	}
	for i, line := range strings.Split(value, "\n") {
		if len(line) >= 8 && strings.Contains(value, "\n") && !strings.HasPrefix(line, "-----") {
			look[fmt.Sprintf("line %d", i+1)] = line
		}
	}
	var found []string
	for name, encoded := range look {
		if encoded != "" && (encoded != value || name == "raw") && strings.Contains(text, encoded) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}
