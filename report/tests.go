package report

import "time"

// Tests holds the results of test runs, whatever the language.
type Tests struct {
	Suites []TestSuite `json:"suites"`
}

// TestSuite is a package, a class or a file of tests.
type TestSuite struct {
	Name string `json:"name"`
	// Status is [TestFailed] when the suite itself failed though no case did: it did not build, it panicked,
	// it timed out. Otherwise it may stay empty. Message says why.
	Status   TestStatus    `json:"status,omitempty"`
	Message  string        `json:"message,omitempty"`
	Started  time.Time     `json:"started,omitzero"`
	Duration time.Duration `json:"duration,omitempty"` // nanoseconds in JSON
	Cases    []TestCase    `json:"cases"`
}

// TestCase is one test.
type TestCase struct {
	Name     string        `json:"name"`
	Class    string        `json:"class,omitempty"`
	File     string        `json:"file,omitempty"`
	Line     int           `json:"line,omitempty"`
	Status   TestStatus    `json:"status"`
	Duration time.Duration `json:"duration,omitempty"` // nanoseconds in JSON
	// Message is the failure or the reason for skipping in one line, Detail the output that goes with it.
	Message string `json:"message,omitempty"`
	Detail  string `json:"detail,omitempty"`
	// Flaky says that the case failed at first and passed when tried again.
	Flaky bool `json:"flaky,omitempty"`
}

// TestStatus says how a test ended.
type TestStatus string

// The statuses of a test. TestError is a test that broke instead of failing, where the format tells them apart.
const (
	TestPassed  TestStatus = "passed"
	TestFailed  TestStatus = "failed"
	TestError   TestStatus = "error"
	TestSkipped TestStatus = "skipped"
)

// TestCounts counts tests; Total is the sum of the others. A suite that failed without a failing case counts
// as one error.
type TestCounts struct {
	Total   int `json:"total"`
	Passed  int `json:"passed"`
	Failed  int `json:"failed"`
	Errors  int `json:"errors"`
	Skipped int `json:"skipped"`
}

// Counts counts the cases of all suites. It returns zeros for nil.
func (t *Tests) Counts() TestCounts {
	var c TestCounts
	if t == nil {
		return c
	}
	for i := range t.Suites {
		s := t.Suites[i].Counts()
		c.Total += s.Total
		c.Passed += s.Passed
		c.Failed += s.Failed
		c.Errors += s.Errors
		c.Skipped += s.Skipped
	}
	return c
}

// Counts counts the cases of the suite. A status that is none of the four counts as an error.
func (s *TestSuite) Counts() TestCounts {
	c := TestCounts{Total: len(s.Cases)}
	for _, tc := range s.Cases {
		switch tc.Status {
		case TestPassed:
			c.Passed++
		case TestFailed:
			c.Failed++
		case TestSkipped:
			c.Skipped++
		default:
			c.Errors++
		}
	}
	if (s.Status == TestFailed || s.Status == TestError) && c.Failed+c.Errors == 0 {
		c.Total++
		c.Errors++
	}
	return c
}
