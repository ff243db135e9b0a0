//go:build unix

package unittests_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/scantest"
	"github.com/waybill-dev/waybill/scan/unittests"
)

func TestScanner(t *testing.T) {
	good := files(t, map[string]string{"go.mod": module, "shop.go": code, "shop_test.go": passing})
	bad := files(t, map[string]string{"go.mod": module, "shop.go": code, "shop_test.go": failing})
	setup := func(o unittests.GoOptions, target scan.Target) func() scantest.Setup {
		return func() scantest.Setup { return scantest.Setup{Scanner: unittests.NewGo(&o), Target: target} }
	}
	started := filepath.Join(t.TempDir(), "started")
	fake := func(body string) unittests.GoOptions {
		return unittests.GoOptions{Go: scantest.Script(t, "go", `case "$1" in version) echo go version go1.26.8 linux/amd64; exit;; env) echo x/go.mod; exit;; esac`+"\n"+body)}
	}
	scantest.TestScanner(t, scantest.Harness{
		Clean:        setup(unittests.GoOptions{}, good),
		Findings:     setup(unittests.GoOptions{}, bad),
		Broken:       setup(fake("echo out of memory >&2; exit 2"), good),
		MissingTool:  setup(unittests.GoOptions{Go: "/nowhere/go"}, good),
		WrongVersion: setup(unittests.GoOptions{Go: scantest.Script(t, "go", "echo go version go1.4.3 linux/amd64")}, good),
		Unsupported:  setup(unittests.GoOptions{}, scan.Target{Kind: scan.Image, Path: "web:1"}),
		Slow: func() scantest.Setup {
			s := setup(fake("touch "+started+"; sleep 600"), good)()
			s.Started = func() bool { _, err := os.Stat(started); return err == nil }
			return s
		},
		NotApplicable: map[string]string{
			"HugeOutput": "events are read as they come, and output of tests that pass is not kept",
			"Secret":     "the tests are the caller's own, and their output is what was asked for",
		},
	})
}
