// Package offspring ends what a program has started, wherever it went: a process group misses children that lead a
// group of their own, as those of the go command's library do, and parents are forgotten once they are dead. What
// does get handed down is the environment.
package offspring

import (
	"crypto/rand"
	"os"
	"slices"
	"strings"
)

const prefix = "WAYBILL_RUN_"

// Mark returns a variable for the environment of a program, by which it and what it starts are known to [End]. Its name
// is its own: where the program marks what it starts, too, that carries both.
func Mark() string { return prefix + rand.Text() + "=1" }

// Inherited are the marks of this process, for what it starts: whoever ends it means all of that, too.
func Inherited() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool { return !strings.HasPrefix(e, prefix) })
}
