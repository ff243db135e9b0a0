//go:build !linux

package offspring

// End does nothing where the environment of another process cannot be read.
func End(string) {}
