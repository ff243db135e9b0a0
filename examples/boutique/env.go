package main

import (
	"cmp"
	"os"
	"strings"
)

// ciEnv is what the system that runs the pipeline says of the run.
type ciEnv struct {
	System  string // "azure-devops", "github", or empty
	Build   string
	Commit  string
	Branch  string
	URL     string // of the run
	TempDir string

	PullRequest       string // its number
	PullRequestBranch string
	PullRequestTarget string
	Summary           string // file for the summary on the page of the run on GitHub
}

// ciFromEnv reads the variables of Azure DevOps and of GitHub Actions.
func ciFromEnv() ciEnv {
	get := os.Getenv
	switch {
	case get("TF_BUILD") != "" || get("BUILD_BUILDID") != "":
		e := ciEnv{
			System: "azure-devops", Build: get("BUILD_BUILDID"), Commit: get("BUILD_SOURCEVERSION"),
			Branch: branchName(get("BUILD_SOURCEBRANCH")), TempDir: get("AGENT_TEMPDIRECTORY"),
			// The number on GitHub, when the repository is there; the identifier is Azure DevOps' own.
			PullRequest:       cmp.Or(get("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER"), get("SYSTEM_PULLREQUEST_PULLREQUESTID")),
			PullRequestBranch: branchName(get("SYSTEM_PULLREQUEST_SOURCEBRANCH")),
			PullRequestTarget: branchName(get("SYSTEM_PULLREQUEST_TARGETBRANCH")),
		}
		if base, project := get("SYSTEM_COLLECTIONURI"), get("SYSTEM_TEAMPROJECTID"); base != "" && project != "" {
			e.URL = base + project + "/_build/results?buildId=" + e.Build
		}
		return e
	case get("GITHUB_ACTIONS") == "true":
		e := ciEnv{
			System: "github", Build: get("GITHUB_RUN_ID"), Commit: get("GITHUB_SHA"),
			Branch: branchName(get("GITHUB_REF")), TempDir: get("RUNNER_TEMP"), Summary: get("GITHUB_STEP_SUMMARY"),
		}
		if attempt := get("GITHUB_RUN_ATTEMPT"); attempt != "" && attempt != "1" {
			e.Build += "." + attempt // or the second attempt would be refused its tags
		}
		if rest, ok := strings.CutPrefix(get("GITHUB_REF"), "refs/pull/"); ok {
			e.PullRequest, _, _ = strings.Cut(rest, "/")
			e.Branch, e.PullRequestBranch, e.PullRequestTarget = "", get("GITHUB_HEAD_REF"), get("GITHUB_BASE_REF")
		}
		if server, repo := get("GITHUB_SERVER_URL"), get("GITHUB_REPOSITORY"); server != "" && repo != "" {
			e.URL = server + "/" + repo + "/actions/runs/" + get("GITHUB_RUN_ID")
		}
		return e
	}
	return ciEnv{}
}

func branchName(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }
