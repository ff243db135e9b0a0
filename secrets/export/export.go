// Package export writes resolved secrets for other systems: the environment of a child process, dotenv files,
// Kubernetes Secrets, and variables of Azure Pipelines and GitHub Actions that are masked in their logs; and, of
// references alone, manifests for the External Secrets operator, in which no value stands.
//
// What an exporter writes either reads back as exactly the value, or it is refused: each format has a test that
// goes through the real parser. Everything is checked before the first byte is written, and written at once.
//
// # Errors
//
// All errors are [*secrets.Error] of kind [secrets.ErrInvalid], which names the item, never its value: a name the
// format does not allow or that appears twice, a value it cannot hold, an option that is missing. Errors of the
// writer are returned as they are.
package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/waybill-dev/waybill/secrets"
)

// Item is one named secret.
type Item struct {
	Name  string // of the variable or key
	Ref   string // where it comes from; [ExternalSecrets] needs it
	Value secrets.Value
}

// Resolve returns items with the values of their references. It reports all that fail, joined.
func Resolve(ctx context.Context, r *secrets.Resolver, items []Item) ([]Item, error) {
	out := make([]Item, len(items))
	var errs []error
	for i, item := range items {
		v, err := r.Get(ctx, item.Ref)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", item.Name, err))
			continue
		}
		out[i] = Item{item.Name, item.Ref, v}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}

func invalid(item, format string, args ...any) error {
	return &secrets.Error{Op: "export", Ref: item, Kind: secrets.ErrInvalid, Err: fmt.Errorf(format, args...)}
}

// check returns what is wrong with the names, and with values that hold a null byte, which nothing here can carry.
func check(items []Item, name *regexp.Regexp) error {
	var errs []error
	seen := map[string]bool{}
	for _, item := range items {
		switch {
		case !name.MatchString(item.Name):
			errs = append(errs, invalid(fmt.Sprintf("%q", item.Name), "the name must match %s", name))
		case seen[item.Name]:
			errs = append(errs, invalid(item.Name, "appears twice"))
		}
		seen[item.Name] = true
	}
	return errors.Join(errs...)
}

func checkNull(items []Item) error {
	var errs []error
	for _, item := range items {
		if strings.Contains(item.Value.Expose(), "\x00") {
			errs = append(errs, invalid(item.Name, "holds a null byte"))
		}
	}
	return errors.Join(errs...)
}

// checkText finds values that text cannot hold: a reader puts the replacement character in the place of bytes
// that are not UTF-8.
func checkText(items []Item) error {
	errs := []error{checkNull(items)}
	for _, item := range items {
		if !utf8.ValidString(item.Value.Expose()) {
			errs = append(errs, invalid(item.Name, "is not UTF-8"))
		}
	}
	return errors.Join(errs...)
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// write sends a finished document and forgets it.
func write(w io.Writer, b *bytes.Buffer) error {
	defer clear(b.Bytes()[:b.Len()])
	_, err := w.Write(b.Bytes())
	return err
}

// Environ returns "NAME=value" for each item, as [os/exec.Cmd] takes it.
func Environ(items []Item) ([]string, error) {
	if err := errors.Join(check(items, variable), checkNull(items)); err != nil {
		return nil, err
	}
	env := make([]string, len(items))
	for i, item := range items {
		env[i] = item.Name + "=" + item.Value.Expose()
	}
	return env, nil
}
