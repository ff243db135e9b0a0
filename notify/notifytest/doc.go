// Package notifytest has what tests of notifications need: a [Recorder] in place of a channel, and servers
// that speak the real protocols and can be told to fail. The servers run in process, on loopback, on free
// ports; stock clients such as swaks and curl work against them.
package notifytest
