package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/waybill-dev/waybill/report"
	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/sonarqube/sonarqubetest"
)

// service is a directory of the source with a Dockerfile in it.
type service struct {
	name string // the image's
	dir  string // below the source
}

// check is the source stage: it looks at the source from every side, and the gate decides whether it goes on.
func (p *pipeline) check(ctx context.Context) error {
	if err := p.fetchSecrets(ctx); err != nil {
		return err
	}
	if err := p.checkout(ctx); err != nil {
		return err
	}
	modules, err := p.modules()
	if err != nil {
		return err
	}
	secrets := []scan.Target{{Kind: scan.Dir, Path: p.source}} // what is built, committed or not
	if p.record.Commit != "" {                                 // and the history of the repository, also of one that the source is a part of
		secrets = append(secrets, scan.Target{Kind: scan.Git, Path: p.source})
	}
	tested := modules
	if len(p.reports) > 0 { // anywhere in the source
		tested = []scan.Target{{Kind: scan.Dir, Path: p.source}}
	}
	scanning := p.scan(ctx,
		job{step: "gitleaks", scanner: p.leaks, targets: secrets},
		job{step: "govulncheck", scanner: p.vulns, targets: modules},
		job{step: "tests", scanner: p.tests, targets: tested},
	)
	analysis, err := p.analysis()
	if err != nil {
		return errors.Join(scanning, err)
	}
	judging := p.scan(ctx,
		job{step: "sonarqube", scanner: p.quality, targets: []scan.Target{analysis}},
		job{step: "mend", scanner: p.licences, targets: []scan.Target{{Kind: scan.Dir, Path: p.mend}}},
	)
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), scanning, judging)
	}
	return p.gate(ctx, "source-gate", errors.Join(scanning, judging))
}

// fetchSecrets asks for every credential this process will need, so that one that is missing is missed now, and so
// that the redactor knows them all before anything is written.
func (p *pipeline) fetchSecrets(ctx context.Context) error {
	return p.do(ctx, "secrets", 0, func(ctx context.Context, st ongoing) error {
		var errs []error
		keys := p.credentials()
		for _, key := range keys {
			if _, err := p.secrets.Get(ctx, p.reference(p.standIns, key)); err != nil {
				errs = append(errs, err)
			}
		}
		st.Detail = fmt.Sprintf("%d credentials", len(keys))
		switch own := p.standIns.own(keys); {
		case own < len(keys):
			st.Executed, st.Reason = actual, ""
			if own > 0 {
				st.Detail += fmt.Sprintf(", %d of them stand-ins' own", own)
			}
		case own > 0 && p.vault != "":
			st.Executed, st.Reason = standIn, "the embedded Vault: nothing but stand-ins asks for credentials"
		}
		return errors.Join(errs...)
	})
}

// credentials are the keys of those that this process needs.
func (c *config) credentials() []string {
	var keys []string
	for _, k := range []struct {
		key    string
		needed bool
	}{
		{sonarToken, c.wants("source")},
		{registryPassword, c.wants("image") && c.hold == ""},
		{gitToken, c.wants("gitops") && (c.hold == "" || c.dryRun)},
		{argocdToken, c.wants("deploy") && c.hold == ""},
		{smtpPassword, !c.dryRun},
	} {
		if k.needed {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// checkout says which commit is looked at. A source with a URL was cloned when the program started.
func (p *pipeline) checkout(ctx context.Context) error {
	return p.do(ctx, "checkout", 0, func(ctx context.Context, st ongoing) error {
		head, err := userGit(ctx, p.source, "rev-parse", "HEAD")
		switch {
		case err != nil && p.ci.Commit != "":
			return fmt.Errorf("nothing says that the checkout is at %s, of which the build is: %w", p.ci.Commit, err)
		case err != nil && p.isRepository():
			return err
		case err != nil:
			// A plain directory will do.
			st.Detail = fmt.Sprintf("%d services, no git repository", len(p.services))
			return nil //nolint:nilerr // it is no failure
		}
		if p.ci.Commit != "" && p.ci.Commit != head {
			return fmt.Errorf("the checkout is at %s, and the build is of %s", head, p.ci.Commit)
		}
		p.record.Commit = head
		st.Detail = fmt.Sprintf("%d services at %.12s", len(p.services), head)
		return nil
	})
}

func (c *config) isRepository() bool {
	_, err := os.Lstat(filepath.Join(c.source, ".git"))
	return err == nil
}

// sameSource refuses a source that is not the one which the source stage has judged: another commit, or files that
// are in none. Without a commit there is no telling.
func (p *pipeline) sameSource(ctx context.Context) error {
	const refusal = "%w: the source is not what the stage before left: "
	if p.record.Commit == "" {
		return fmt.Errorf(refusal+"that stage saw no commit to tell by: commit the source, or use -stage all", errStopped)
	}
	head, err := userGit(ctx, p.source, "rev-parse", "HEAD")
	if err != nil {
		return fmt.Errorf(refusal+"%w", errStopped, err)
	}
	if head != p.record.Commit {
		return fmt.Errorf(refusal+"it is at %s, and was at %s", errStopped, head, p.record.Commit)
	}
	args := []string{"status", "--porcelain", "--untracked-files=normal", "--", "."}
	if out, err := filepath.Abs(p.out); err == nil {
		if rel, err := filepath.Rel(p.source, out); err == nil && rel != "." && filepath.IsLocal(rel) {
			args = append(args, ":(exclude,literal)"+filepath.ToSlash(rel)) // ours
		}
	}
	changed, err := userGit(ctx, p.source, args...)
	if err != nil {
		return fmt.Errorf(refusal+"%w", errStopped, err)
	}
	if changed != "" {
		return fmt.Errorf(refusal+"not all of it is in commit %.12s: %s", errStopped, head, firstLine(changed))
	}
	return nil
}

// modules are the Go modules of the source that are a service or hold some.
func (p *pipeline) modules() ([]scan.Target, error) {
	var found []scan.Target
	err := filepath.WalkDir(p.source, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != p.source && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "vendor" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.Name() == "go.mod":
			found = append(found, scan.Target{Kind: scan.Dir, Path: filepath.Dir(path)})
		}
		return nil
	})
	if len(found) == 0 {
		found = []scan.Target{{Kind: scan.Dir, Path: p.source}} // the scanners say that there is nothing for them
	}
	return found, err
}

// analysis is where the report of sonar-scanner is: in the source, or where the stand-in for the server, which is
// handed the tests, leaves its own.
func (p *pipeline) analysis() (scan.Target, error) {
	target := scan.Target{Kind: scan.Dir, Path: p.source}
	if s := p.standIns.sonar; s != nil {
		head := report.Join(p.sources...).Head()
		id := s.Submit(sonarqubetest.Analysis{Project: p.project, Report: &report.Report{Tests: head.Tests, Coverage: head.Coverage}})
		target.Path = mkdir(filepath.Join(p.work, "sonar"))
		return target, s.WriteReportTask(target.Path, id)
	}
	return target, nil
}
