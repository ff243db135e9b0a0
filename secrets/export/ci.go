package export

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
)

// AzureDevOpsOptions configures [AzureDevOps].
type AzureDevOpsOptions struct {
	// Output makes the variables readable by later jobs.
	Output bool
}

var azureVariable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// AzureDevOps writes the logging commands that make secret variables of the items in a step of Azure Pipelines;
// print them to standard output. Each value, each of its lines, and its base64, JSON and URL forms are registered
// for masking first, as the agent masks only whole values. Line ends and percent signs travel escaped, so that no
// value can end its command or begin another.
//
// The agent takes a secret of several lines only where the pipeline sets system.unsafeAllowMultilineSecret to true.
func AzureDevOps(w io.Writer, items []Item, o *AzureDevOpsOptions) error {
	if o == nil {
		o = &AzureDevOpsOptions{}
	}
	if err := errors.Join(check(items, azureVariable), checkText(items)); err != nil {
		return err
	}
	escape := strings.NewReplacer("%", "%AZP25", "\r", "%0D", "\n", "%0A").Replace
	var b bytes.Buffer
	for _, item := range items {
		for _, form := range masks(item.Value.Expose()) {
			fmt.Fprintf(&b, "##vso[task.setsecret]%s\n", escape(form))
		}
	}
	for _, item := range items {
		output := ""
		if o.Output {
			output = ";isoutput=true"
		}
		fmt.Fprintf(&b, "##vso[task.setvariable variable=%s;issecret=true%s]%s\n", item.Name, output, escape(item.Value.Expose()))
	}
	return write(w, &b)
}

// GitHub makes masked environment variables of the items for the later steps of a GitHub Actions job: commands
// gets what is to be printed to standard output or error, the masks; env gets what is to be appended to the file
// named by $GITHUB_ENV. Masks are written first. A random delimiter that stands in no value keeps a value
// from ending its block.
func GitHub(commands, env io.Writer, items []Item) error {
	errs := []error{check(items, variable), checkText(items)}
	for _, item := range items {
		if strings.HasPrefix(item.Name, "GITHUB_") || strings.HasPrefix(item.Name, "RUNNER_") || item.Name == "NODE_OPTIONS" {
			errs = append(errs, invalid(item.Name, "GitHub does not let a step set this variable"))
		}
		if strings.HasSuffix(item.Value.Expose(), "\r") {
			errs = append(errs, invalid(item.Name, "ends in a carriage return, which a runner on Windows takes for half of a line end"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	escape := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace
	var m, e bytes.Buffer
	for _, item := range items {
		text := item.Value.Expose()
		for _, form := range masks(text) {
			fmt.Fprintf(&m, "::add-mask::%s\n", escape(form))
		}
		delimiter := newDelimiter(text)
		fmt.Fprintf(&e, "%s<<%s\n%s\n%s\n", item.Name, delimiter, text, delimiter)
	}
	if err := write(commands, &m); err != nil {
		return err
	}
	return write(env, &e)
}

func newDelimiter(text string) string {
	for {
		b := make([]byte, 16)
		_, _ = rand.Read(b)
		if d := "ghadelimiter_" + hex.EncodeToString(b); !strings.Contains(text, d) {
			return d
		}
	}
}

// masks lists what a log must not show: the value, its lines, and forms that others make of it. Lines of fewer
// than 4 bytes would blot out half the log.
func masks(s string) []string {
	seen := map[string]bool{"": true}
	var out []string
	add := func(form string) {
		if !seen[form] {
			seen[form] = true
			out = append(out, form)
		}
	}
	add(s)
	if len(s) < 4 {
		return out
	}
	if strings.ContainsAny(s, "\r\n") {
		for line := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '\r' || r == '\n' }) {
			if line = strings.TrimSpace(line); len(line) >= 4 {
				add(line)
			}
		}
	}
	j, _ := json.Marshal(s)
	add(string(j[1 : len(j)-1]))
	add(base64.StdEncoding.EncodeToString([]byte(s)))
	add(url.QueryEscape(s))
	return out
}
