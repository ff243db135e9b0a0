package report

import _ "embed"

// The JSON schemas (draft 2020-12) of what this package reads and writes beside SARIF, by version. They
// change only together with the number in their name.
var (
	//go:embed schema/policy-v1.json
	policySchema string
)

// PolicySchema returns the JSON schema of what [ParsePolicy] reads.
func PolicySchema() string { return policySchema }
