//go:build integration

package argocdnotifications_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/notify/argocdnotifications"
	"github.com/waybill-dev/waybill/notify/notifytest"
)

// The real controller, on a real Argo CD, mails once per revision, also when it is started anew.
func TestArgoCD(t *testing.T) {
	argo := testbed.ArgoCD(t, testbed.ArgoCD33)
	repo := testbed.GitHTTP(t, nil)
	url := repo.Init("deploy.git")
	smtp := notifytest.NewSMTPServer(t, &notifytest.SMTPOptions{NoSTARTTLS: true})
	host, port, err := net.SplitHostPort(smtp.Addr)
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)

	cm, err := argocdnotifications.ConfigMap(argocdnotifications.Config{Host: host, Port: number, From: "argocd@example.test", InsecureSkipVerify: true})
	require.NoError(t, err)
	controller := argo.Notifications(string(cm))

	clone := filepath.Join(t.TempDir(), "clone")
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...) //nolint:gosec // the test's own arguments
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=ci", "GIT_AUTHOR_EMAIL=ci@example.test", "GIT_COMMITTER_NAME=ci", "GIT_COMMITTER_EMAIL=ci@example.test")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "--initial-branch=main", clone)
	push := func(value string) (revision string) {
		t.Helper()
		manifest := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {value: %q}\n", value)
		require.NoError(t, os.MkdirAll(filepath.Join(clone, "shop"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(clone, "shop", "settings.yaml"), []byte(manifest), 0o600))
		git("-C", clone, "add", ".")
		git("-C", clone, "commit", "-q", "-m", value)
		git("-C", clone, "push", "-q", url, "main")
		return git("-C", clone, "rev-parse", "HEAD")
	}
	refresh := func() {
		t.Helper()
		_, err := argo.Kubectl("", "annotate", "--overwrite", "-n", "argocd", "application/shop", "argocd.argoproj.io/refresh=normal")
		require.NoError(t, err)
	}
	subjects := func() (list []string) {
		for _, m := range smtp.Mails() {
			list = append(list, m.Subject())
		}
		return list
	}

	first := push("one")
	argo.Application("shop", url, "shop", true)
	name, value, err := argocdnotifications.Subscription("dev@example.test")
	require.NoError(t, err)
	_, err = argo.Kubectl("", "annotate", "-n", "argocd", "application/shop", name+"="+value)
	require.NoError(t, err)
	want := []string{"shop is healthy at " + first}
	require.Eventually(t, func() bool { return len(subjects()) > 0 }, 2*time.Minute, 100*time.Millisecond, "no mail for the first revision")
	assert.Equal(t, want, subjects())

	second := push("two")
	refresh()
	want = append(want, "shop is healthy at "+second)
	require.Eventually(t, func() bool { return len(subjects()) > 1 }, 2*time.Minute, 100*time.Millisecond, "no mail for the second revision")
	assert.Equal(t, want, subjects())

	// A controller that is started anew, and an application that is looked at again, are no news.
	controller.Stop()
	argo.Notifications(string(cm))
	refresh()
	third := push("three") // when its mail has come, whatever else would be sent has come too
	refresh()
	want = append(want, "shop is healthy at "+third)
	require.Eventually(t, func() bool { return len(subjects()) > 2 }, 2*time.Minute, 100*time.Millisecond, "no mail for the third revision")
	assert.Equal(t, want, subjects())
	assert.Contains(t, smtp.Mails()[0].Text(), "Application shop (project default) is synced and healthy.")
}
