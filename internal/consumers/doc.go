// Package consumers holds only tests, behind the build tag consumers: throw-away modules that use waybill
// the way other repositories do.
package consumers
