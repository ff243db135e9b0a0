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

// Vault, and a proxy that spoils connections to it.
var (
	Vault = Spec{
		Name:     "vault",
		Module:   "github.com/hashicorp/vault",
		Packages: []string{"github.com/hashicorp/vault"},
		Env:      []string{"CGO_ENABLED=0"},
	}
	Toxiproxy = Spec{
		Name:     "toxiproxy",
		Module:   "github.com/Shopify/toxiproxy/v2",
		Packages: []string{"github.com/Shopify/toxiproxy/v2/cmd/server"},
		Env:      []string{"CGO_ENABLED=0"},
	}
)

// A Kubernetes cluster with pods that become ready, and Argo CD in it.
var (
	KubeAPIServer         = kubernetes("kube-apiserver")
	KubeControllerManager = kubernetes("kube-controller-manager")
	KubeScheduler         = kubernetes("kube-scheduler")
	Kubectl               = kubernetes("kubectl")
	Kwok                  = Spec{
		Name:     "kwok",
		Module:   "sigs.k8s.io/kwok",
		Packages: []string{"sigs.k8s.io/kwok/cmd/kwok"},
		Env:      []string{"CGO_ENABLED=0"},
	}
	ArgoCD33 = Spec{
		Name:     "argocd-3.3",
		Module:   "github.com/argoproj/argo-cd/v3",
		Packages: []string{"github.com/argoproj/argo-cd/v3/cmd"},
		LDFlags:  "-X github.com/argoproj/argo-cd/v3/common.version={semver}",
		Env:      []string{"CGO_ENABLED=0"},
	}
	ArgoCD214 = Spec{
		Name:     "argocd-2.14",
		Module:   "github.com/argoproj/argo-cd/v2",
		Packages: []string{"github.com/argoproj/argo-cd/v2/cmd"},
		LDFlags:  "-X github.com/argoproj/argo-cd/v2/common.version={semver}",
		Env:      []string{"CGO_ENABLED=0"},
	}
	Helm = Spec{
		Name:     "helm",
		Module:   "helm.sh/helm/v3",
		Packages: []string{"helm.sh/helm/v3/cmd/helm"},
		LDFlags:  "-X helm.sh/helm/v3/internal/version.version={version}",
		Env:      []string{"CGO_ENABLED=0"},
	}
	Kustomize = Spec{
		Name:     "kustomize",
		Module:   "sigs.k8s.io/kustomize/kustomize/v5",
		Packages: []string{"sigs.k8s.io/kustomize/kustomize/v5"},
		Env:      []string{"CGO_ENABLED=0"},
	}
)

// kubernetes is a component of Kubernetes. Argo CD asks the API server for its version and refuses one that
// does not parse.
func kubernetes(component string) Spec {
	const version = "k8s.io/component-base/version"
	return Spec{
		Name:     component,
		Module:   "k8s.io/kubernetes",
		Packages: []string{"k8s.io/kubernetes/cmd/" + component},
		LDFlags:  "-X " + version + ".gitVersion={version} -X " + version + ".gitMajor=1 -X " + version + ".gitMinor=33",
		Env:      []string{"CGO_ENABLED=0"},
	}
}

// NotificationsEngine runs what Argo CD's notifications controller runs for one application, without a cluster.
var NotificationsEngine = Spec{Name: "notifications-engine", Module: "github.com/argoproj/notifications-engine", Packages: []string{"github.com/waybill-dev/waybill/internal/tools/notifications-engine"}}

// Tools returns every tool, those that are quick to build first.
func Tools() []Spec {
	return []Spec{
		Gofumpt, GolangciLint, Multitool, SARIFViewer, React, ReactDOM,
		Gitleaks, Distribution, Crane, Toxiproxy, Kustomize, Helm, Buildx, BuildKit,
		Vault, Trivy, AzureTaskLib, ActionsCore, Act, FormatCheck, NotificationsEngine, AdaptiveCards,
		KubeAPIServer, KubeControllerManager, KubeScheduler, Kubectl, Kwok, ArgoCD33, ArgoCD214,
	}
}

// DebianPackages returns the packages that the tests use programs of, by the name apt-get knows. Where a program
// stands behind a slash, any program of that name will do.
func DebianPackages() []string {
	return []string{
		"git/git", "openssh-client", "openssh-server", // git
		"docker.io", "docker-registry", "runc", "skopeo", // image
		"etcd-server", "redis-server", // Kubernetes and Argo CD
		"postgresql", "openssl/openssl", // Vault: dynamic credentials, certificates
		"python3-dotenv", "nodejs/node", // readers of what secrets/export writes
		"opensmtpd", "python3-aiosmtpd", "swaks", "libnet-ssleay-perl", // mail; swaks speaks TLS with the latter
		"python3-pip/pip",     // the library of the Standard Webhooks specification
		"npm/npm", "chromium", // SARIF Multitool, and the HTML report in a browser
		"openjdk-17-jre-headless/java", "maven/mvn", // SonarQube
	}
}
