//go:build integration

package testbed

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRegistry(t *testing.T) {
	addr := Registry(t)
	assert.NoError(t, Answers("http://"+addr+"/v2/")(t.Context()))
}
