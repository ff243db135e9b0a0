package export

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Dialect is one way to read a dotenv file; they differ in quotes, escapes and expansion.
type Dialect int

const (
	// Portable writes only what a POSIX shell, Node, python-dotenv, godotenv and Docker Compose all read
	// alike, and refuses other values: those with both kinds of quotes, or a backslash, "$" or "`" next to
	// a single quote, for example.
	Portable Dialect = iota
	// Shell is for "set -a; . file" in a POSIX shell, and holds any value.
	Shell
)

// DotenvOptions configures [Dotenv].
type DotenvOptions struct {
	Dialect Dialect
}

// Dotenv writes NAME=value lines.
func Dotenv(w io.Writer, items []Item, o *DotenvOptions) error {
	if o == nil {
		o = &DotenvOptions{}
	}
	values := checkText
	if o.Dialect == Shell {
		values = checkNull
	}
	errs := []error{check(items, variable), values(items)}
	var b bytes.Buffer
	for _, item := range items {
		text, err := quote(item.Value.Expose(), o.Dialect)
		if err != nil {
			errs = append(errs, invalid(item.Name, "%w", err))
		}
		fmt.Fprintf(&b, "%s=%s\n", item.Name, text)
	}
	if err := errors.Join(errs...); err != nil {
		clear(b.Bytes())
		return err
	}
	return write(w, &b)
}

func quote(s string, d Dialect) (string, error) {
	switch d {
	case Shell:
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'", nil
	case Portable:
		switch {
		case strings.ContainsAny(s, "\\\r") || strings.Contains(s, "${"):
			return "", errors.New(`has a backslash, a carriage return or "${", which readers of dotenv files take differently; choose the dialect of the one that reads it`)
		case !strings.Contains(s, "'"):
			return "'" + s + "'", nil
		case !strings.ContainsAny(s, "\"$`!\n#"):
			return `"` + s + `"`, nil
		}
		return "", errors.New(`has a single quote beside a double quote, "$", "` + "`" + `", "!", "#" or line end, which readers of dotenv files take differently; choose the dialect of the one that reads it`)
	}
	return "", fmt.Errorf("unknown dialect %d", d)
}
