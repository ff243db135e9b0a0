// Package report holds what scanners, tests and coverage tools say, in one shape: read it, merge it, compare
// it with yesterday's, suppress what was accepted, gate on it, write it.
//
// A [Report] fits in memory; a [File] is a SARIF file of any size. Both are a [Source], and everything here
// works on sources, so nothing needs to know which it has. The readers of other formats are in report/format,
// the writers of HTML, Markdown, JUnit, GitLab and CI systems in the packages beside it.
//
// The interchange format is SARIF 2.1.0 (OASIS standard, with Errata 01). Members this package does not know
// survive reading and writing.
//
// # Secrets
//
// A finding about a secret never holds the secret: readers pass it to [Finding.SetSecret], which masks it in
// every text of the finding and keeps, when the caller gave a key, an HMAC to know it again.
//
// # Errors
//
// All errors are of type [*Error] and wrap one of [ErrEmpty], [ErrTruncated], [ErrSyntax],
// [ErrUnknownFormat], [ErrUnsupported], [ErrTooLarge] and [ErrInvalid], or the error of the reader, writer or
// context that failed.
package report
