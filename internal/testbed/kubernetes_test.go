//go:build integration

package testbed

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKubernetes(t *testing.T) {
	c := Kubernetes(t)
	c.Apply(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.com/web:1"}]}
`)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, Eventually(ctx, func(context.Context) error {
		ready, err := c.Kubectl("", "get", "deployment", "web", "-n", "default", "-o", "jsonpath={.status.readyReplicas}")
		if err == nil && ready != "2" {
			err = errors.New("ready replicas: " + ready)
		}
		return err
	}))
}
