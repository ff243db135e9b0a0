package testbed

// Programs that read what secrets/export writes with the parsers its readers use.
var (
	// FormatCheck parses Kubernetes objects, custom resources and dotenv files.
	FormatCheck = Spec{
		Name:     "formatcheck",
		Module:   "k8s.io/apiextensions-apiserver",
		Packages: []string{"github.com/waybill-dev/waybill/internal/tools/formatcheck"},
		Env:      []string{"CGO_ENABLED=0"},
	}
	// AzureTaskLib is Microsoft's library for tasks of Azure Pipelines; its taskcommand.js parses logging commands.
	AzureTaskLib = Spec{
		Name: "azure-pipelines-task-lib",
		NPM: &NPM{
			Package: "azure-pipelines-task-lib", Version: "5.281.0", Program: "taskcommand.js",
			SHA512: "sGlLjpNpKTpCvlrlN84SKVikDqJnD+8AVWxsvUk5T5vsX4n8aX5S2BWqqAg3zjVZp+z/5A0zcjOPkpacbqOTEg==",
		},
	}
	// Act runs workflows of GitHub Actions; built without Docker it runs them on this machine.
	Act = Spec{
		Name:     "act",
		Module:   "github.com/nektos/act",
		Packages: []string{"github.com/nektos/act"},
		LDFlags:  "-X main.version={semver}",
		Env:      []string{"CGO_ENABLED=0", "GOFLAGS=-buildvcs=false -tags=WITHOUT_DOCKER"},
	}
	// ActionsCore is GitHub's library for actions; its file-command.js and command.js write what the runner reads.
	ActionsCore = Spec{
		Name: "actions-core",
		NPM: &NPM{
			Package: "@actions/core", Version: "3.0.1", Program: "lib/file-command.js",
			SHA512: "a6d/Nwahm9fliVGRhdhofo40HjHQasUPusmc7vBfyky+7Z+P2A1J68zyFVaNcEclc/Se+eO595oAr5nwEIoIUA==",
		},
	}
)
