package gitops_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/waybill-dev/waybill/gitops/gitopstest"
)

func TestConformance_fake(t *testing.T) {
	for name, o := range map[string]*gitopstest.Options{
		"default":      nil,
		"no filter":    {DisableFilter: true},
		"Azure DevOps": {RequireMultiACK: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := gitopstest.NewServer(t, o).Backend()
			for _, c := range gitopstest.Conformance() {
				t.Run(c.Name, func(t *testing.T) { assert.NoError(t, c.Run(t.Context(), b)) })
			}
		})
	}
}
