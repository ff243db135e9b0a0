// Package secrets fetches credentials by reference and keeps them from being printed.
//
//   - A [Value] holds one secret. No format verb, encoder, logger or reflection shows what is in it;
//     [Value.Expose] does, and is easy to search for.
//   - A [Ref] names a secret: vault://mount/path?version=3#key, env://NAME, file:///path#key.
//   - A [Resolver] reads references from the [Store] of their scheme, with a cache, one read at a time per
//     path, and the last good value in hard times. [Resolver.Func] makes the credential function that the
//     other packages of this module take, [Resolver.Bind] fills a struct.
//   - A [Redactor] masks known values in a stream, a log or an error, in whatever encoding they appear.
//
// The stores here are [FromEnv], [FromFiles] and, for HashiCorp Vault, package secrets/vault. Writing what
// was resolved for other systems (dotenv, Kubernetes, CI variables) is the job of secrets/export.
//
// # References and keys
//
// A store returns what lies at a path. A key, the part behind "#", picks one member of it when it is a JSON
// object: a string gives its text, a number its digits as they were written, anything else its JSON. Without
// a key the value is the whole. So env://CONFIG#token reads the member token of the JSON in $CONFIG, and
// vault://kv/app the whole secret as a JSON object. There is no scheme that runs a command, and the resolver
// never expands what it read.
//
// # Errors
//
// Everything returned is an [*Error], or errors.Join of several; tell cases apart with [errors.Is]:
//
//   - [ErrBadRef], [ErrNoStore]: the reference is wrong, or its scheme is not registered
//   - [ErrNotFound]: nothing is there; [ErrNoKey]: something is, without that key
//   - [ErrDeleted], [ErrDestroyed]: that version was there; a deleted one can be brought back
//   - [ErrDenied]: known, but not allowed; [ErrUnauthenticated]: the store does not know us (any more)
//   - [ErrSealed], [ErrThrottled], [ErrUnavailable]: try later; [Error.Retryable] is true
//   - [ErrConflict]: a check-and-set write lost; [ErrWrongEngine]: the path is of another kind
//   - [ErrMalformed], [ErrTooLarge]: the reply is not what the protocol says, or beyond a cap
//   - [ErrInsecure]: refused before any secret went over the wire
//   - [ErrType]: the value does not fit the field to be bound; [ErrTooShort]: too short to mask
//   - [ErrInvalid]: an option or argument is missing or contradicts another; [ErrClosed]: used after Close
//
// Messages name references, paths and causes, never a value. A context that ended stays visible to
// [errors.Is], next to the last failure seen. Errors of wrapped libraries are reachable by [errors.As] but
// are no promise.
package secrets
