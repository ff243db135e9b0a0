package report

import _ "embed"

// The JSON schemas (draft 2020-12) of what this package reads and writes beside SARIF, by version. They
// change only together with the number in their name.
var (
	//go:embed schema/policy-v1.json
	policySchema string
	//go:embed schema/suppressions-v1.json
	suppressionsSchema string
	//go:embed schema/finding-v1.json
	findingSchema string
	//go:embed schema/summary-v1.json
	summarySchema string
)

// PolicySchema returns the JSON schema of what [ParsePolicy] reads.
func PolicySchema() string { return policySchema }

// SuppressionsSchema returns the JSON schema of what [ParseSuppressions] reads.
func SuppressionsSchema() string { return suppressionsSchema }

// FindingSchema returns the JSON schema of a line that [WriteJSONLines] writes.
func FindingSchema() string { return findingSchema }

// SummarySchema returns the JSON schema of a [Summary] in JSON.
func SummarySchema() string { return summarySchema }
