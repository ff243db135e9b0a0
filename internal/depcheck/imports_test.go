package depcheck_test

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/depcheck"
	"github.com/waybill-dev/waybill/internal/testbed"
)

// allowed names, for each public package or pattern of packages, the third-party packages it may import
// directly (with all below them). A package matches the first row that fits. What a package of ours brings
// with it counts for that package, not for those that import it.
var allowed = []struct {
	pkg     string
	imports []string
}{
	{"", nil},
	{"report", []string{"github.com/owenrumney/go-sarif/v2/sarif", "github.com/go-json-experiment/json/jsontext"}},
	{"report/format", nil},
	{"report/format/*", nil},
	{"report/*", nil},
	{"scan", nil},
	// The engine's API speaks in types of these three.
	{"scan/gitleaks", []string{"github.com/zricethezav/gitleaks/v8", "github.com/gitleaks/go-gitdiff", "github.com/rs/zerolog", "github.com/spf13/viper"}},
	{"scan/govulncheck", []string{"golang.org/x/vuln"}},
	{"scan/*", nil},
	{"scan/sonarqube/sonarqubetest", nil},
	{"image", []string{"github.com/google/go-containerregistry", "github.com/klauspost/compress"}},
	{"image/imagetest", []string{"github.com/google/go-containerregistry"}},
	{"image/*", nil},
	{"gitops", []string{"github.com/go-git/go-git/v5", "golang.org/x/crypto", "github.com/Masterminds/semver/v3"}},
	{"gitops/manifest", []string{"go.yaml.in/yaml/v4"}},
	{"gitops/gitopstest", []string{"github.com/go-git/go-git/v5"}},
	{"gitops/argocd", nil},
	{"gitops/argocd/argocdtest", []string{"go.yaml.in/yaml/v4"}}, // reads any manifest that Argo CD reads
	{"gitops/argocd/argocdgrpc", []string{"github.com/argoproj/argo-cd/v2", "google.golang.org/grpc"}},
	{"gitops/argocd/argocdgrpc/argocdgrpctest", []string{
		"github.com/argoproj/argo-cd/v2", "google.golang.org/grpc", "google.golang.org/protobuf", "github.com/improbable-eng/grpc-web", "k8s.io/apimachinery",
	}},
	{"secrets", nil},
	{"secrets/export", nil},
	{"secrets/secretstest", nil},
	{"secrets/vault", []string{"github.com/hashicorp/vault/api"}},
	{"secrets/vault/vaulttest", nil},
	{"notify", nil},
	{"notify/email", []string{"github.com/wneessen/go-mail"}},
	{"notify/outbox", []string{"go.etcd.io/bbolt"}},
	{"notify/*", nil},
}

func allowedFor(dir string) ([]string, bool) {
	for _, row := range allowed {
		if ok, _ := path.Match(row.pkg, dir); ok {
			return row.imports, true
		}
	}
	return nil, false
}

// Public packages import only what their row allows, and the arrows between our packages run one way.
func TestImports(t *testing.T) {
	g := load(t)
	for _, p := range g.Own() {
		dir := p.Dir()
		if hidden(dir) {
			continue
		}
		imports, ok := allowedFor(dir)
		if !assert.True(t, ok, "%s has no row in the table of allowed imports", dir) {
			continue
		}
		for _, imp := range p.Imports {
			switch target := g[imp]; {
			case target == nil || target.Standard:
			case target.Own():
				assert.True(t, arrow(dir, target.Dir()), "%s must not import %s: arrows run from a leaf to its parent, from scan to report, and to internal", dir, target.Dir())
			default:
				assert.True(t, covered(imports, imp), "%s must not import %s (allowed: %v); a program gets it by %s",
					dir, imp, imports, strings.Join(g.Chain(p.ImportPath, imp), " -> "))
			}
		}
	}
}

// No public package reaches a test framework, not even through another package.
func TestImports_noTestFramework(t *testing.T) {
	g := load(t)
	for _, p := range g.Own() {
		if hidden(p.Dir()) {
			continue
		}
		for _, banned := range []string{"github.com/stretchr/testify/assert", "github.com/stretchr/testify/require", "go.uber.org/goleak"} {
			chain := g.Chain(p.ImportPath, banned)
			assert.Empty(t, chain, "a test framework reaches users: %s", strings.Join(chain, " -> "))
		}
	}
}

// covered reports whether the import is one of the allowed packages or lies below one.
func covered(allowed []string, imp string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool { return imp == a || strings.HasPrefix(imp, a+"/") })
}

// arrow reports whether a package in directory from may import one in directory to.
func arrow(from, to string) bool {
	switch {
	case hidden(to): // internal packages, of the repository or of a family
		return true
	case from == "gitops" && to == "gitops/manifest": // the edits are what a bump is about
		return true
	case strings.HasPrefix(from, to+"/"): // a leaf its parent
		return true
	case top(from) == top(to): // a neighbour in the same family, such as a reader another reader builds on
		return top(from) != from
	}
	return top(from) == "scan" && top(to) == "report"
}

func top(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// hidden reports whether a directory is out of users' reach.
func hidden(dir string) bool {
	return slices.ContainsFunc(strings.Split(dir, "/"), func(part string) bool { return part == "internal" || part == "examples" })
}

func load(t *testing.T) depcheck.Graph {
	t.Helper()
	root, err := testbed.Root()
	require.NoError(t, err)
	g, err := depcheck.Load(t.Context(), root, "./...", "./scan/gitleaks/...", "./gitops/argocd/argocdgrpc/...")
	require.NoError(t, err)
	return g
}

func TestGraph_Chain(t *testing.T) {
	g := depcheck.Graph{
		"a": {ImportPath: "a", Imports: []string{"b", "c"}},
		"b": {ImportPath: "b", Imports: []string{"d"}},
		"c": {ImportPath: "c", Imports: []string{"b"}},
	}
	assert.Equal(t, []string{"a", "b", "d"}, g.Chain("a", "d"))
	assert.Nil(t, g.Chain("d", "a"))
}

func TestArrow(t *testing.T) {
	for _, ok := range [][2]string{{"scan", "report"}, {"scan/trivy", "report/format/trivy"}, {"notify/email", "notify"}, {"image", "internal/retry"}} {
		assert.True(t, arrow(ok[0], ok[1]), "%v", ok)
	}
	for _, bad := range [][2]string{{"report", "scan"}, {"report", "report/format"}, {"gitops", "image"}, {"image", "secrets"}, {"notify", "notify/email"}} {
		assert.False(t, arrow(bad[0], bad[1]), "%v", bad)
	}
}
