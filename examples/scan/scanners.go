package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
	"github.com/waybill-dev/waybill/scan/gitleaks"
	"github.com/waybill-dev/waybill/scan/govulncheck"
	"github.com/waybill-dev/waybill/scan/mend"
	"github.com/waybill-dev/waybill/scan/sonarqube"
	"github.com/waybill-dev/waybill/scan/trivy"
	"github.com/waybill-dev/waybill/scan/unittests"
)

const targets = `
targets: dir:PATH  git:PATH[@RANGE]  staged:PATH  layout:PATH  archive:PATH  image:REF  sbom:PATH
         a bare path is git: when it holds .git, else dir:

`

const environment = `
environment:
  sonarqube  SONAR_HOST_URL, SONAR_TOKEN, SONAR_PROJECT_KEY; with -config it runs sonar-scanner, else it reads
             the report-task.txt of an earlier analysis
  mend       MEND_URL, MEND_EMAIL, MEND_USER_KEY; COMMAND is a product (dep, code, image) for the Mend CLI; with
             -config it runs the Unified Agent named by MEND_AGENT_JAR; else it reads what is there
  unittests  COMMAND runs tests that write JUnit; without it, go test
  command    in COMMAND, {target} is the target's path and {output} the file to write to
`

// makers make each scanner.
var makers = map[string]func(settings) (scan.Scanner, error){
	"gitleaks": func(o settings) (scan.Scanner, error) {
		return gitleaks.New(&gitleaks.Options{ConfigFile: o.config})
	},
	"govulncheck": func(o settings) (scan.Scanner, error) {
		return govulncheck.New(&govulncheck.Options{DB: o.db})
	},
	"trivy": func(o settings) (scan.Scanner, error) {
		return trivy.New(&trivy.Options{CacheDir: o.db, Offline: o.db != "", IgnoreFile: o.config})
	},
	"sonarqube": newSonarQube,
	"mend":      newMend,
	"unittests": newUnitTests,
	"command":   newCommand,
}

func names() []string { return slices.Sorted(maps.Keys(makers)) }

func choose(o settings) (scan.Scanner, error) {
	maker := makers[o.scanner]
	if maker == nil {
		return nil, fmt.Errorf("-scanner %q is none of %s", o.scanner, strings.Join(names(), ", "))
	}
	return maker(o)
}

func newSonarQube(o settings) (scan.Scanner, error) {
	so := &sonarqube.Options{
		URL: os.Getenv("SONAR_HOST_URL"), ProjectKey: os.Getenv("SONAR_PROJECT_KEY"), Token: fromEnv("SONAR_TOKEN"),
	}
	if o.config != "" {
		settings, err := filepath.Abs(o.config)
		if err != nil {
			return nil, err
		}
		content, err := os.ReadFile(settings)
		if err != nil {
			return nil, err
		}
		so.ProjectKey = cmp.Or(so.ProjectKey, projectKey(content))
		so.Analyze, so.Properties = true, map[string]string{"project.settings": settings}
	}
	return sonarqube.New(so)
}

var projectKeyLine = regexp.MustCompile(`(?m)^[ \t]*sonar\.projectKey[ \t]*[=: \t][ \t]*(.*?)[ \t\r]*$`)

// projectKey finds the key in a sonar-project.properties; sonar-scanner reads the rest itself.
func projectKey(content []byte) string {
	key := ""
	for _, m := range projectKeyLine.FindAllSubmatch(content, -1) {
		key = strings.ReplaceAll(string(m[1]), `\`, "") // a colon may have one in front
	}
	return key
}

func newMend(o settings) (scan.Scanner, error) {
	email, key := os.Getenv("MEND_EMAIL"), fromEnv("MEND_USER_KEY")
	if email == "" {
		key = nil
	}
	switch {
	case len(o.command) > 1:
		return nil, errors.New("for mend, one product stands behind --")
	case len(o.command) == 1:
		return mend.NewCLI(&mend.CLIOptions{Product: mend.Product(o.command[0]), URL: os.Getenv("MEND_URL"), Email: email, UserKey: key})
	case o.config != "":
		return mend.NewAgent(&mend.AgentOptions{Jar: os.Getenv("MEND_AGENT_JAR"), Config: o.config, URL: os.Getenv("MEND_URL")})
	}
	return mend.NewReader()
}

func newUnitTests(o settings) (scan.Scanner, error) {
	if len(o.command) == 0 {
		return unittests.NewGo(nil), nil
	}
	return unittests.NewRunner(&unittests.RunnerOptions{Command: o.command, Reports: []string{"**/*junit*.xml"}})
}

func newCommand(o settings) (scan.Scanner, error) {
	if len(o.command) == 0 {
		return nil, errors.New("-scanner command needs -- COMMAND")
	}
	return command.New(&command.Options{
		Tool: command.Tool{Name: filepath.Base(o.command[0]), Path: o.command[0]}, Args: o.command[1:], Format: o.format,
		Kinds: scan.Kinds(), InheritEnv: true,
	})
}

func fromEnv(name string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		if v := os.Getenv(name); v != "" {
			return v, nil
		}
		return "", fmt.Errorf("%s is not set", name)
	}
}
