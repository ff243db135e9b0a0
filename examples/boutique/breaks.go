package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/scan/sonarqube/sonarqubetest"
)

// breaks are ways to make the run end badly. Each edits the inputs of a run, as anybody can do by hand to what
// -extract wrote; nothing else in this program knows about them.
var breaks = map[string]func(ctx context.Context, d inputs) error{
	"secret":        commitToken,
	"vulnerability": neverFix,
	"test":          addFailingTest,
	"coverage":      deleteTests,
	"quality-gate":  raiseGate,
	"deploy":        exitAtStart,
}

func breakNames() string { return strings.Join(slices.Sorted(maps.Keys(breaks)), ", ") }

// commitToken commits a token and, as people do, takes it out again in the next commit.
func commitToken(ctx context.Context, d inputs) error {
	path := filepath.Join(d.source(), "cart", "config.toml")
	// Of the right shape, and nobody's.
	if err := os.WriteFile(path, []byte("token = \"ghp_"+strings.Repeat(rand.Text(), 2)[:36]+"\"\n"), 0o600); err != nil {
		return err
	}
	if err := commitAll(ctx, d.source(), "cart: a token to try it out"); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return commitAll(ctx, d.source(), "cart: without the token")
}

// neverFix lets the made-up flaw of the fixture database stand in every version of Go.
func neverFix(_ context.Context, d inputs) error {
	for _, name := range []string{"ID/GO-2099-1101.json", "index/modules.json"} {
		if err := replaceIn(filepath.Join(d.vulndb(), filepath.FromSlash(name)), `"1.20.0"`, `"1.99.0"`); err != nil {
			return err
		}
	}
	return nil
}

func addFailingTest(ctx context.Context, d inputs) error {
	const test = "package main\n\nimport \"testing\"\n\nfunc TestBroken(t *testing.T) { t.Error(\"two and two are not five\") }\n"
	if err := os.WriteFile(filepath.Join(d.source(), "shipping", "broken_test.go"), []byte(test), 0o600); err != nil {
		return err
	}
	return commitAll(ctx, d.source(), "shipping: a test that fails")
}

// deleteTests takes the tests of the service with the most code away.
func deleteTests(ctx context.Context, d inputs) error {
	tests, err := filepath.Glob(filepath.Join(d.source(), "frontend", "*_test.go"))
	if err != nil || len(tests) == 0 {
		return errors.Join(err, errors.New("the frontend has no tests to delete"))
	}
	for _, path := range tests {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return commitAll(ctx, d.source(), "frontend: tests take too long")
}

// raiseGate asks for more coverage than there is.
func raiseGate(_ context.Context, d inputs) error {
	gate, err := readQualityGate(d.qualityGate())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(gate, func(c sonarqubetest.Condition) bool { return c.Metric == "coverage" })
	if i < 0 {
		return fmt.Errorf("%s: no condition for coverage", d.qualityGate())
	}
	gate[i].Error = 99.5
	b, err := json.Marshal(gate)
	if err != nil {
		return err
	}
	return os.WriteFile(d.qualityGate(), b, 0o600)
}

// exitAtStart makes a service that passes its tests and ends before it can answer.
func exitAtStart(ctx context.Context, d inputs) error {
	const code = `package main

import (
	"os"
	"testing"
)

func init() {
	if !testing.Testing() {
		os.Exit(1)
	}
}
`
	if err := os.WriteFile(filepath.Join(d.source(), "payment", "start.go"), []byte(code), 0o600); err != nil {
		return err
	}
	return commitAll(ctx, d.source(), "payment: ends when it starts")
}

func replaceIn(path, old, replacement string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(b), old) {
		return fmt.Errorf("%s does not hold %s", path, old)
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(string(b), old, replacement)), 0o600)
}
