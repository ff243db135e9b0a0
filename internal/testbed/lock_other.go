//go:build !unix

package testbed

// lock does nothing: the servers of the testbed run on Linux only.
func lock(string) (unlock func(), err error) { return func() {}, nil }
