//go:build integration

package argocdnotifications_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
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

// What the controller has to know of Applications.
const applicationCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: applications.argoproj.io}
spec:
  group: argoproj.io
  scope: Namespaced
  names: {kind: Application, listKind: ApplicationList, plural: applications, singular: application}
  versions:
  - {name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// The controller of the engine, in a real cluster, mails once per revision: not when an application is looked at again, turns
// unhealthy and healthy again, or the controller is started anew. The Application is ours, where TestArgoCD has
// Argo CD's own.
func TestController(t *testing.T) {
	engine := testbed.Require(t, testbed.NotificationsEngine)
	cluster := testbed.Kubernetes(t)
	smtp := notifytest.NewSMTPServer(t, &notifytest.SMTPOptions{NoSTARTTLS: true})
	host, port, err := net.SplitHostPort(smtp.Addr)
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	cm, err := argocdnotifications.ConfigMap(argocdnotifications.Config{Host: host, Port: number, From: "argocd@example.test"})
	require.NoError(t, err)
	name, value, err := argocdnotifications.Subscription("dev@example.test")
	require.NoError(t, err)

	cluster.Apply(applicationCRD)
	cluster.Apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: argocd}\n")
	cluster.Apply("apiVersion: v1\nkind: Secret\nmetadata: {name: argocd-notifications-secret, namespace: argocd}\n")
	cluster.Apply(string(cm))
	app := func(revision, health string) {
		t.Helper()
		cluster.Apply(fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd, annotations: {%q: %q}}
spec: {project: default}
status:
  health: {status: %s}
  operationState: {phase: Succeeded, syncResult: {revision: %s}}
`, name, value, health, revision))
	}
	start := func() *testbed.Process {
		cmd := exec.Command(engine.Path, cluster.Kubeconfig) //nolint:gosec // our own program
		return testbed.StartProcess(t, "notifications-engine", cmd, func(context.Context) error { return nil })
	}
	mailed := func(want ...string) {
		t.Helper()
		subjects := func() (list []string) {
			for _, m := range smtp.Mails() {
				list = append(list, m.Subject())
			}
			return list
		}
		require.Eventually(t, func() bool { return len(subjects()) >= len(want) }, 2*time.Minute, 50*time.Millisecond, "mailed: %q", subjects())
		for i := range want {
			want[i] = "shop is healthy at " + want[i]
		}
		assert.Equal(t, want, subjects())
	}

	// remembered waits until what was sent stands where the controller keeps it.
	remembered := func(revision string) {
		t.Helper()
		require.Eventually(t, func() bool {
			record, err := cluster.Kubectl("", "get", "-n", "argocd", "application/shop", "-o", `jsonpath={.metadata.annotations.notified\.notifications\.argoproj\.io}`)
			return err == nil && strings.Contains(record, revision)
		}, 2*time.Minute, 50*time.Millisecond)
	}

	first := start()
	app("aaa111", "Progressing")
	app("aaa111", "Healthy")
	mailed("aaa111")
	app("aaa111", "Degraded")
	app("aaa111", "Healthy")
	app("bbb222", "Progressing")
	app("bbb222", "Healthy")
	mailed("aaa111", "bbb222")
	remembered("bbb222") // it mails first
	first.Stop()
	start()
	app("bbb222", "Degraded")
	app("bbb222", "Healthy")
	app("ccc333", "Healthy") // when its mail has come, whatever else would be sent has come too
	mailed("aaa111", "bbb222", "ccc333")
	remembered("aaa111")
}
