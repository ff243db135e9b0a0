package report

// sarifRun is the SARIF run a Run was read from.
type sarifRun struct{}

// sarifResult is the SARIF result a Finding was read from.
type sarifResult struct{}
