package manifest

import (
	"regexp"
	"strings"
)

// What YAML 1.1 or YAML 1.2 reads as something else than a string. Parsers of both are in use on the way to a
// cluster, so a value is written plain only if none of them can take it for a number, a boolean, null or a
// date.
var notString = []*regexp.Regexp{
	regexp.MustCompile(`^(?:~|null|Null|NULL|<<|=|)$`),
	regexp.MustCompile(`^(?i:y|yes|n|no|true|false|on|off)$`),
	regexp.MustCompile(`^[-+]?0[bB][01_]+$`),                                     // 1.1 binary
	regexp.MustCompile(`^[-+]?0[oO]?[0-7_]+$`),                                   // octal of 1.1 and of 1.2
	regexp.MustCompile(`^[-+]?0[xX][0-9a-fA-F_]+$`),                              // hexadecimal
	regexp.MustCompile(`^[-+]?[0-9][0-9_]*$`),                                    // decimal
	regexp.MustCompile(`^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+`),                    // sexagesimal, integer or not
	regexp.MustCompile(`^[-+]?\.(?i:inf)$|^\.(?i:nan)$`),                         // not finite
	regexp.MustCompile(`^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*$`),                     // date, with or without time
	regexp.MustCompile(`^[-+]?(?:[0-9][0-9_]*)?\.[0-9_]*(?:[eE][-+]?[0-9_]+)?$`), // float with a point
	regexp.MustCompile(`^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9_]+$`),      // float with an exponent
}

// plainSafe is what a plain scalar made by this package may consist of: the characters of references, tags
// and digests. A colon or a hash never stands next to a space in them.
var plainSafe = regexp.MustCompile(`^[A-Za-z0-9_./\[][A-Za-z0-9_.:/@=+\[\]-]*$`)

// isPlainString reports whether every YAML parser reads the value, written without quotes, as this string.
func isPlainString(value string) bool {
	if !plainSafe.MatchString(value) || strings.ContainsAny(value, "[]") || strings.HasSuffix(value, ":") {
		return false
	}
	for _, re := range notString {
		if re.MatchString(value) {
			return false
		}
	}
	return true
}
