package input

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// Text is a member that tools write as a string, a number or a truth value.
type Text string

// UnmarshalJSON keeps plain values as text; objects and lists are left empty.
func (t *Text) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = Text(s)
	case '{', '[', 'n':
	default:
		*t = Text(b)
	}
	return nil
}

// Number is a member that tools write as a number or as a string with one. What is neither, or out of the
// range of a float64, is 0.
type Number float64

// UnmarshalJSON reads a number, quoted or not.
func (n *Number) UnmarshalJSON(b []byte) error {
	var t Text
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	*n = ParseNumber(string(t))
	return nil
}

// ParseNumber reads a number; what is none, or out of the range of a float64, is 0.
func ParseNumber(s string) Number {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return Number(f)
}

// Int returns n as an int, 0 when it is negative or beyond 32 bits: no line is there.
func (n Number) Int() int {
	if n < 0 || n > math.MaxInt32 {
		return 0
	}
	return int(n)
}

// Flag is a truth value that tools write as true, "true" or "True".
type Flag bool

// UnmarshalJSON reads a truth value, quoted or not.
func (f *Flag) UnmarshalJSON(b []byte) error {
	var t Text
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	*f = Flag(strings.EqualFold(strings.TrimSpace(string(t)), "true"))
	return nil
}

// Texts is a list of plain values that tools also write as a single one.
type Texts []string

// UnmarshalJSON reads one value or a list of them; what is not plain is left out.
func (l *Texts) UnmarshalJSON(b []byte) error {
	var many []Text
	if b[0] == '[' {
		if err := json.Unmarshal(b, &many); err != nil {
			return err
		}
	} else {
		many = make([]Text, 1)
		if err := many[0].UnmarshalJSON(b); err != nil {
			return err
		}
	}
	for _, t := range many {
		if t != "" {
			*l = append(*l, string(t))
		}
	}
	return nil
}
