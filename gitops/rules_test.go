package gitops_test

import (
	"cmp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops"
)

func TestRules(t *testing.T) {
	for _, tt := range []struct {
		rule gitops.Rule
		a, b string
		want int
	}{
		{gitops.ByBuild, "build-9", "build-10", -1},
		{gitops.ByBuild, "20260101.2", "20260101.10", -1},
		{gitops.ByBuild, "v1", "v1.1", -1},
		{gitops.ByBuild, "007", "7", 0},
		{gitops.ByBuild, "x-0", "x-1", -1},
		{gitops.ByBuild, "99999999999999999999999", "100000000000000000000000", -1},
		{gitops.ByBuild, "a1b2", "z1y2", 0},
		{gitops.BySemver, "1.9.0", "v1.10.0", -1},
		{gitops.BySemver, "2.0.0-rc.1", "2.0.0", -1},
		{gitops.BySemver, "1.0.0+7", "1.0.0+8", 0},
	} {
		got, err := tt.rule(tt.a, tt.b)
		require.NoError(t, err)
		assert.Equal(t, tt.want, cmp.Compare(got, 0), "%s %s", tt.a, tt.b)
		got, err = tt.rule(tt.b, tt.a)
		require.NoError(t, err)
		assert.Equal(t, -tt.want, cmp.Compare(got, 0), "%s %s", tt.b, tt.a)
	}
	for _, pair := range [][2]string{{"latest", "v1"}, {"v1", "latest"}} {
		_, err := gitops.ByBuild(pair[0], pair[1])
		require.ErrorContains(t, err, "latest")
		_, err = gitops.BySemver(pair[0], pair[1])
		require.ErrorContains(t, err, "latest")
	}
}
