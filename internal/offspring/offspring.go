// Package offspring ends what a program has started, wherever it went: a process group misses children that lead a
// group of their own, as those of the go command's library do, and parents are forgotten once they are dead. What
// does get handed down is the environment.
package offspring

import "crypto/rand"

// Mark returns a variable for the environment of a program, by which it and what it starts are known to [End].
func Mark() string { return "WAYBILL_RUN=" + rand.Text() }
