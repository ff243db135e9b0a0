package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun_repeatsAssertions(t *testing.T) {
	in := ""
	for _, line := range []string{`\n`, `\tError Trace:\tx_test.go:7\n`, `\tError:      \tboom\n`, `\tTest:       \tTestA\n`, `    x_test.go:9: too late\n`, `server log\n`} {
		in += `{"Action":"output","Package":"x/a","Test":"TestA","Output":"` + line + `"}` + "\n"
	}
	var out bytes.Buffer
	require.Error(t, run(strings.NewReader(in+`{"Action":"fail","Package":"x/a","Test":"TestA"}`), &out, nil))
	assert.True(t, strings.HasSuffix(out.String(), "server log\n\nx/a TestA\n\tError Trace:\tx_test.go:7\n\tError:      \tboom\n    x_test.go:9: too late\n0 passed, 1 failed, 0 skipped\n"), out.String())
}

func TestRun(t *testing.T) {
	list := []entry{{"x/*", "TestListed", "no such server"}}
	tests := []struct {
		name, in, wantOut, wantErr string
	}{
		{"pass", `{"Action":"pass","Package":"x/a","Test":"TestA"}`, "1 passed, 0 failed, 0 skipped", ""},
		{"fail", `{"Action":"output","Package":"x/a","Test":"TestA","Output":"boom\n"}` + "\n" + `{"Action":"fail","Package":"x/a","Test":"TestA"}`, "boom", "1 tests failed"},
		{"package fails without a test", `{"Action":"pass","Package":"x/a","Test":"TestA"}` + "\n" + `{"Action":"fail","Package":"x/b"}`, "FAIL x/b", "packages: x/b"},
		{"does not build", `{"ImportPath":"x/b","Action":"build-output","Output":"syntax error\n"}` + "\n" + `{"ImportPath":"x/b","Action":"build-fail"}`, "syntax error", "x/b"},
		{"listed skip", `{"Action":"pass","Package":"x/a","Test":"TestA"}` + "\n" + `{"Action":"skip","Package":"x/a","Test":"TestListed"}`, "no such server", ""},
		{"unlisted skip", `{"Action":"pass","Package":"x/a","Test":"TestA"}` + "\n" + `{"Action":"skip","Package":"x/a","Test":"TestB"}`, "1 skipped", "x/a TestB"},
		{"nothing ran", `{"Action":"skip","Package":"x/a"}`, "0 passed", "no test ran"},
		{"unfinished", `{"Action":"pass","Package":"x/a","Test":"TestA"}` + "\n" + `{"Action":"output","Package":"x/a","Test":"TestB","Output":"going on\n"}`, "UNFINISHED x/a TestB", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(strings.NewReader(tt.in), &out, list)
			assert.Contains(t, out.String(), tt.wantOut)
			if tt.wantErr == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, tt.wantErr)
			}
		})
	}
}
