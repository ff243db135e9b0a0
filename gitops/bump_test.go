package gitops_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops"
	"github.com/waybill-dev/waybill/gitops/gitopstest"
	"github.com/waybill-dev/waybill/gitops/manifest"
)

const web = `# the web shop
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
        - name: web
          image: reg.io/shop/web:v1 # pinned by hand
`

func TestBump(t *testing.T) {
	for _, paths := range [][]string{nil, {"apps/web/*.yaml"}, {"**/web.yaml"}} {
		srv := gitopstest.NewServer(t, nil)
		fake := srv.Create("deploy.git", map[string]string{"apps/web/web.yaml": web, "apps/api/api.yaml": "image: reg.io/api:v1\n", "README.md": "x"})
		before := fake.Head("main")
		repo, err := gitops.New(fake.URL(), nil)
		require.NoError(t, err)
		edits := []manifest.Edit{{Image: "reg.io/shop/web", To: "v2"}}
		c, err := repo.Bump(t.Context(), edits, &gitops.BumpOptions{Paths: paths})
		require.NoError(t, err)
		assert.Equal(t, fake.Head("main"), c.Revision)
		assert.Equal(t, before, c.Parent)
		assert.Equal(t, 1, c.Attempts)
		assert.Equal(t, "main", c.Branch)
		log, err := fake.Log("main")
		require.NoError(t, err)
		assert.Equal(t, []string{"apps/web/web.yaml"}, log[0].Changed)
		assert.Equal(t, "Set reg.io/shop/web:v2\n\nImage: reg.io/shop/web:v2\n", log[0].Message)
		require.NoError(t, fake.Fsck())

		again, err := repo.Bump(t.Context(), edits, &gitops.BumpOptions{Paths: paths})
		require.NoError(t, err)
		assert.True(t, again.Noop)
		assert.Equal(t, c.Revision, again.Revision)

		ok, err := repo.Descends(t.Context(), before, c.Revision)
		require.NoError(t, err)
		assert.True(t, ok)
		ok, err = repo.Descends(t.Context(), c.Revision, before)
		require.NoError(t, err)
		assert.False(t, ok)
	}
}
