package gitleaks_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/gitleaks"
	"github.com/waybill-dev/waybill/scan/scantest"
)

func TestScanner(t *testing.T) {
	clean, leaky := newRepo(t), newRepo(t)
	clean.write("a", "nothing\n").commit("x")
	leaky.write("a.env", "key "+awsKey+"\n"+b64("token = "+githubToken)+"\n").commit("oops " + awsKey)
	setup := func(o gitleaks.Options, target scan.Target) func() scantest.Setup {
		return func() scantest.Setup { return scantest.Setup{Scanner: scanner(t, &o), Target: target} }
	}
	// A git that hangs when it is asked for the history, and one that dies then.
	onLog := func(body string) string {
		return scantest.Script(t, "git", `for a in "$@"; do if [ "$a" = log ]; then `+body+`; fi; done; PATH=/usr/bin:/bin:/usr/local/bin exec git "$@"`)
	}
	started := filepath.Join(t.TempDir(), "started")
	for name, target := range map[string]func(string) scan.Target{"history": git, "directory": dir} {
		t.Run(name, func(t *testing.T) {
			h := scantest.Harness{
				Clean:       setup(gitleaks.Options{}, target(clean.dir)),
				Findings:    setup(gitleaks.Options{}, target(leaky.dir)),
				Unsupported: setup(gitleaks.Options{}, scan.Target{Kind: scan.Image, Path: "web:1"}),
				Secret: func() scantest.Setup {
					s := setup(gitleaks.Options{SecretKey: []byte("key")}, target(leaky.dir))()
					s.Secret = awsKey
					return s
				},
				NotApplicable: map[string]string{"HugeOutput": "findings stay in memory; git's output is streamed"},
			}
			if name == "history" {
				h.Broken = setup(gitleaks.Options{Git: onLog("kill -9 $$")}, target(leaky.dir))
				h.MissingTool = setup(gitleaks.Options{Git: "/nowhere/git"}, target(leaky.dir))
				h.WrongVersion = setup(gitleaks.Options{Git: scantest.Script(t, "git", "echo git version 1.8.3.1")}, target(leaky.dir))
				h.Slow = func() scantest.Setup {
					s := setup(gitleaks.Options{Git: onLog("touch " + started + "; sleep 600")}, target(leaky.dir))()
					s.Started = func() bool { _, err := os.Stat(started); return err == nil }
					return s
				}
			} else {
				h.Slow = setup(gitleaks.Options{}, target(leaky.dir))
				for _, n := range []string{"Broken", "MissingTool", "WrongVersion"} {
					h.NotApplicable[n] = "no tool: files are read in process; see TestScan_unreadableFile"
				}
			}
			scantest.TestScanner(t, h)
		})
	}
}
