package testbed

// Tools that more than one package's tests use. A tool that belongs to one server stands beside that server.
var (
	Gitleaks = Spec{
		Name:     "gitleaks",
		Module:   "github.com/zricethezav/gitleaks/v8",
		Packages: []string{"github.com/zricethezav/gitleaks/v8"},
		LDFlags:  "-X github.com/zricethezav/gitleaks/v8/version.Version={semver}",
		Env:      []string{"CGO_ENABLED=0"},
	}
	Trivy = Spec{
		Name:     "trivy",
		Module:   "github.com/aquasecurity/trivy",
		Packages: []string{"github.com/aquasecurity/trivy/cmd/trivy"},
		LDFlags:  "-X github.com/aquasecurity/trivy/pkg/version/app.ver={semver}",
		Env:      []string{"CGO_ENABLED=0", "GOEXPERIMENT=jsonv2"},
	}
	Crane = Spec{
		Name:     "crane",
		Module:   "github.com/google/go-containerregistry",
		Packages: []string{"github.com/google/go-containerregistry/cmd/crane"},
		Env:      []string{"CGO_ENABLED=0"},
	}
	BuildKit = Spec{
		Name:     "buildkit",
		Module:   "github.com/moby/buildkit",
		Packages: []string{"github.com/moby/buildkit/cmd/buildkitd"},
		LDFlags:  "-X github.com/moby/buildkit/version.Version={version}",
		Env:      []string{"CGO_ENABLED=0"},
	}
	Buildx = Spec{
		Name:     "buildx",
		Module:   "github.com/docker/buildx",
		Packages: []string{"github.com/docker/buildx/cmd/buildx"},
		LDFlags:  "-X github.com/docker/buildx/version.Version={version}",
		Env:      []string{"CGO_ENABLED=0"},
	}
)

// Tools that look at the code itself.
var (
	Gofumpt = Spec{
		Name:     "gofumpt",
		Module:   "mvdan.cc/gofumpt",
		Packages: []string{"mvdan.cc/gofumpt"},
		Env:      []string{"CGO_ENABLED=0"},
	}
	GolangciLint = Spec{
		Name:     "golangci-lint",
		Module:   "github.com/golangci/golangci-lint/v2",
		Packages: []string{"github.com/golangci/golangci-lint/v2/cmd/golangci-lint"},
		LDFlags:  "-X main.version={semver}",
		Env:      []string{"CGO_ENABLED=0"},
	}
)

// Tools returns every tool, those that are quick to build first.
func Tools() []Spec {
	return []Spec{Gofumpt, GolangciLint, Gitleaks, Distribution, Crane, Buildx, BuildKit, Trivy}
}

// DebianPackages returns the packages that the tests use programs of, by the name apt-get knows.
func DebianPackages() []string {
	return []string{"git", "swaks"}
}
