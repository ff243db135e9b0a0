package report_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// generate writes a SARIF log of n results of about 1 KB, as code scanners write them, every line moved down
// by shift.
func generate(w io.Writer, n, shift int) error {
	b := bufio.NewWriterSize(w, 1<<20)
	b.WriteString(`{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0","runs":[{"tool":{"driver":{"name":"bench","fullName":"bench 1.0.0","version":"1.0.0","informationUri":"https://example.org","rules":[`)
	rules, files := min(500, n), min(2000, n)
	for i := range rules {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, `{"id":"BENCH%04d","name":"BenchmarkRule%d","shortDescription":{"text":"Rule number %d of the benchmark."},"fullDescription":{"text":"What the rule looks for."},"help":{"text":"What to do."},"helpUri":"https://example.org/rules/%d","defaultConfiguration":{"level":"warning"},"properties":{"security-severity":"%d.%d","tags":["security","external/cwe/cwe-%03d"]}}`, i, i, i, i, i%10, i%7, i%120+1)
	}
	b.WriteString(`]}},"artifacts":[`)
	for i := range files {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, `{"location":{"uri":"src/module%d/package%d/file%d.go","index":%d}}`, i%20, i%100, i, i)
	}
	b.WriteString(`],"results":[`)
	filler := strings.Repeat("the value flows from the request to the query without being checked; ", 4)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		rule, file, line := i%rules, i*7%files, i/10+1+shift
		fmt.Fprintf(b, `{"ruleId":"BENCH%04d","ruleIndex":%d,"level":"warning","message":{"text":"Possible problem %d in function handler%d: %s"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"src/module%d/package%d/file%d.go","index":%d},"region":{"startLine":%d,"startColumn":5,"endLine":%d,"endColumn":42}}}],`+
			`"relatedLocations":[{"id":1,"physicalLocation":{"artifactLocation":{"uri":"src/module%d/package%d/file%d.go","index":%d},"region":{"startLine":%d,"startColumn":1,"endColumn":10}},"message":{"text":"the source is here"}}],`+
			`"properties":{"precision":"high","tags":["security","benchmark"],"note":"%s"}}`,
			rule, rule, i, i%997, filler, file%20, file%100, file, file, line, line, file%20, file%100, file, file, line, filler[:150])
	}
	b.WriteString(`]}]}`)
	return b.Flush()
}

// benchDir holds the files of the benchmarks; they are made when the first benchmark asks.
var benchDir string

// bigFiles makes the two files of the benchmarks once: 50,000 results and about 52 MB each, the second with
// every line moved by two.
var bigFiles = sync.OnceValues(func() ([2]string, error) {
	var paths [2]string
	var err error
	if benchDir, err = os.MkdirTemp("", "waybill-bench-"); err != nil {
		return paths, err
	}
	for i := range paths {
		paths[i] = filepath.Join(benchDir, fmt.Sprintf("%d.sarif", i))
		if err := generateFile(paths[i], 50_000, 2*i); err != nil {
			return paths, err
		}
	}
	return paths, nil
})

func generateFile(path string, n, shift int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(generate(f, n, shift), f.Close())
}

func TestMain(m *testing.M) {
	if op := os.Getenv(childEnv); op != "" {
		os.Exit(child(op, os.Args[1:]))
	}
	code := m.Run()
	if benchDir != "" {
		os.RemoveAll(benchDir)
	}
	os.Exit(code)
}
