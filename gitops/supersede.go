package gitops

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// A Rule compares two tags of one image: negative if a is older than b, positive if it is newer. A tag it
// cannot read is an error.
type Rule func(a, b string) (int, error)

// ByBuild compares the runs of digits in the tags from the left as numbers: "build-9" is older than
// "build-10", "2026.9.1" older than "2026.10.0", and "v1" older than "v1.1". A tag without digits is an error.
func ByBuild(a, b string) (int, error) {
	x, err := numbers(a)
	if err != nil {
		return 0, err
	}
	y, err := numbers(b)
	if err != nil {
		return 0, err
	}
	for i := range min(len(x), len(y)) {
		// Numbers without leading zeros: the longer one is larger. Some build numbers do not fit an integer.
		if c := cmp.Or(cmp.Compare(len(x[i]), len(y[i])), strings.Compare(x[i], y[i])); c != 0 {
			return c, nil
		}
	}
	return cmp.Compare(len(x), len(y)), nil
}

func numbers(tag string) ([]string, error) {
	runs := strings.FieldsFunc(tag, func(r rune) bool { return r < '0' || r > '9' })
	if len(runs) == 0 {
		return nil, fmt.Errorf("tag %q holds no digits to compare", tag)
	}
	for i := range runs {
		runs[i] = strings.TrimLeft(runs[i], "0")
	}
	return runs, nil
}

// BySemver compares tags as semantic versions, with or without a "v" in front: "1.9.0" is older than "1.10.0",
// "2.0.0-rc.1" older than "2.0.0". A tag that is none is an error.
func BySemver(a, b string) (int, error) {
	x, err := semver.NewVersion(a)
	if err != nil {
		return 0, fmt.Errorf("tag %q is no semantic version", a)
	}
	y, err := semver.NewVersion(b)
	if err != nil {
		return 0, fmt.Errorf("tag %q is no semantic version", b)
	}
	return x.Compare(y), nil
}
