// Package waybill is the root of a library of DevSecOps building blocks: typed, tested Go packages for the
// way from commit to cluster. It holds no code; import the packages below it, each alone.
//
//   - [github.com/waybill-dev/waybill/report]: findings, tests and coverage as values; merge, compare,
//     suppress, gate; SARIF, HTML, Markdown, JUnit and CI output
//   - [github.com/waybill-dev/waybill/scan]: scanners behind one small interface
//   - [github.com/waybill-dev/waybill/image]: build images without a daemon, push them, resolve them
//   - [github.com/waybill-dev/waybill/gitops]: set an image in manifests byte by byte, commit and push
//     without a clone, wait for Argo CD
//   - [github.com/waybill-dev/waybill/secrets]: values that do not print, from Vault, files, environment
//   - [github.com/waybill-dev/waybill/notify]: mail, Slack, Teams and webhooks with a result per target
//
// # What each costs
//
// Every package names the third-party modules it may import, and a test holds it to that; the README has
// the measured table. Two packages stand in modules of their own because of what they bring:
// scan/gitleaks (the gitleaks engine) and gitops/argocd/argocdgrpc (the official Argo CD client).
//
// # Fakes
//
// Each package that talks to a server has a fake of that server beside it, named after the package with
// "test" behind it (imagetest, gitopstest, argocdtest, vaulttest, notifytest and so on). The fakes speak
// the real protocol, run in process, and pass the same conformance suite as the real server.
//
// # Stability
//
// Before version 1 a minor version may change the API; the changelog says what and how to move. Errors are
// part of the API by their sentinels and types, never by their text. Errors of wrapped libraries stay
// reachable by [errors.As] but are no promise.
package waybill
