package testbed

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Distribution is the CNCF distribution registry.
var Distribution = Spec{
	Name:     "distribution",
	Module:   "github.com/distribution/distribution/v3",
	Packages: []string{"github.com/distribution/distribution/v3/cmd/registry"},
	LDFlags:  "-X github.com/distribution/distribution/v3/version.version={version}",
	Env:      []string{"CGO_ENABLED=0"},
}

// Registry starts a distribution registry over plain HTTP, with deletion enabled and an empty store, and
// returns its host and port.
func Registry(tb TB) string {
	tb.Helper()
	return startRegistry(tb, Require(tb, Distribution).Path)
}

func startRegistry(tb TB, program string) string {
	tb.Helper()
	dir, addr := tb.TempDir(), FreeAddr(tb)
	config := filepath.Join(dir, "registry.yml")
	WriteFile(tb, config, fmt.Sprintf(`version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
http: {addr: %q}
`, filepath.Join(dir, "store"), addr))
	StartProcess(tb, "registry", exec.Command(program, "serve", config), Answers("http://"+addr+"/v2/"))
	return addr
}
