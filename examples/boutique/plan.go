package main

import (
	"fmt"
	"runtime"
	"slices"
)

// names of the steps, in their order, by stage.
var stepNames = map[string][]string{
	"source": {"secrets", "checkout", "gitleaks", "govulncheck", "tests", "sonarqube", "mend", "source-gate"},
	"image":  {"build", "trivy", "image-gate", "push"},
	"gitops": {"bump"},
	"deploy": {"sync", "smoke", "rollback", "mail"},
}

func knownStep(name string) bool {
	for _, names := range stepNames {
		if slices.Contains(names, name) {
			return true
		}
	}
	return false
}

// plan lists all steps and what each will run on, before any of them does. Those of earlier stages are taken from
// the waybill.
func (c *config) plan(s *standIns, cl *clients, before []*step) []*step {
	why := map[string]string{} // no real one
	not := map[string]string{} // not at all
	for name, given := range map[string]struct {
		standIn bool
		reason  string
	}{
		"secrets":     {c.vault == "", "the embedded Vault; -vault names a real one"},
		"checkout":    {c.embedded, "the shop that is part of this program; -source names another repository"},
		"govulncheck": {c.fixtureDB, "a database with one made-up flaw; -vulndb names a real one"},
		"sonarqube":   {s.sonar != nil, "an embedded server that computes the quality gate from tests and coverage; -sonar names a real one"},
		"push":        {s.registry != nil, "the embedded registry; -registry names a real one"},
		"bump":        {s.git != nil, "the embedded git server; -git names a real one"},
		"sync":        {s.argocd != nil, "the embedded Argo CD; -argocd names a real one"},
		"rollback":    {s.argocd != nil, "the embedded Argo CD; -argocd names a real one"},
		"smoke":       {s.cluster != nil, "the pushed programs, run on this machine; -shop names a real frontend"},
		"mail":        {s.smtp != nil, "the embedded mail server; -smtp names a real one"},
	} {
		if given.standIn {
			why[name] = given.reason
		}
	}
	if cl.licences == nil {
		not["mend"] = "no -mend names what Mend left behind"
	}
	if cl.images == nil {
		not["trivy"] = "no trivy on the PATH"
	}
	switch {
	case c.shop != "":
	case s.cluster == nil:
		not["smoke"] = "no -shop says where the frontend of the cluster is reached"
	case s.cluster.why != "":
		not["smoke"] = s.cluster.why
	case s.cluster.addrs["frontend"] == "":
		not["smoke"] = "there is no frontend among the services"
	case len(c.only) > 0:
		not["smoke"] = "only a whole shop sells, and -service leaves some of it out"
	}
	not["rollback"] = "there was no need"
	if c.hold != "" {
		for _, name := range []string{"push", "sync", "smoke"} {
			not[name] = c.hold
		}
		if !c.dryRun {
			not["bump"] = c.hold
		}
	}
	if c.dryRun {
		not["mail"] = c.hold
	}

	var steps []*step
	now := slices.Index(stages, c.stage) // -1 for all
	for i, stage := range stages {
		for _, name := range stepNames[stage] {
			st := &step{Stage: stage, Name: name, Executed: actual}
			switch {
			case c.stage != "all" && i < now:
				at := slices.IndexFunc(before, func(s *step) bool { return s.Name == name })
				if at < 0 {
					continue // a waybill of a program with other steps
				}
				st = before[at]
			case c.stage != "all" && i > now && name != "mail":
				st.Executed, st.Reason = notRun, "a later stage"
			case not[name] != "":
				st.Executed, st.Reason = notRun, not[name]
			case why[name] != "":
				st.Executed, st.Reason = standIn, why[name]
			}
			steps = append(steps, st)
		}
	}
	return steps
}

// cannotRun says why the stand-in for a cluster cannot run what is deployed, if it cannot.
func cannotRun(c *config) string {
	switch {
	case runtime.GOOS != "linux":
		return fmt.Sprintf("images of programs for Linux do not run on %s", runtime.GOOS)
	case c.builder != "go":
		return "images built from a Dockerfile need a container runtime"
	case !isShop(c.source):
		return "only of this program's own shop it is known how to run it"
	}
	return ""
}

// wants reports whether this process does a stage.
func (c *config) wants(stage string) bool { return c.stage == "all" || c.stage == stage }
