// Package scan puts real scanners behind one small interface and runs several of them at once.
//
// A [Scanner] looks at a [Target] and returns a [Result]: what it found as a [report.Report], how it ended
// as a [Status], and what else it made (an SBOM, say) as [Artifact] values. The scanners themselves live in
// the packages below this one, each alone importable:
//
//   - scan/gitleaks: secrets, engine in process
//   - scan/govulncheck: reachable vulnerabilities of Go modules, engine in process
//   - scan/trivy: images, layouts, directories, SBOMs, with the trivy command
//   - scan/sonarqube: a SonarQube server's quality gate, issues and hotspots
//   - scan/mend: the Mend CLI, the Unified Agent, or the files they left behind
//   - scan/unittests: go test, and any runner that writes JUnit or Cobertura
//   - scan/precommit: what a git hook needs, on the staged content
//   - scan/command: any other tool that writes a format package report/format knows
//
// [Run] starts jobs with bounded concurrency and returns one Result per job, in the order of the jobs,
// whatever happens to any of them. What to do with the findings is a policy's business: see
// [report.Policy].
//
// # Failing closed
//
// A scanner that broke, was cancelled, or whose output could not be read is [Failed], never [Clean]; its
// report says so too, so that a gate over merged reports fails. A scanner with nothing to look at is
// [Skipped], which is not Clean either.
//
// # Errors
//
// Every error of this package and the packages below it is, or wraps, an [*Error]. Its Kind is one of
//
//   - [ErrTarget]: the target is not there, or is not what it says
//   - [ErrSkipped]: this scanner has nothing to do with that target
//   - [ErrToolMissing], [ErrToolVersion]: the tool is not installed, or not in a supported version
//   - [ErrConfig]: the scanner's options or its configuration file are wrong
//   - [ErrBroken]: the tool started and failed, crashed or was killed
//   - [ErrOutput]: the tool ended well but what it wrote cannot be read
//   - [ErrTooLarge]: something read went past its cap, which the message names
//   - [ErrDenied], [ErrUnavailable]: a server refused the credentials, or did not answer usefully
//
// Cancellation and deadlines stay visible as [context.Canceled] and [context.DeadlineExceeded]. Errors of
// wrapped libraries stay reachable by [errors.As] but are no part of the API.
package scan
