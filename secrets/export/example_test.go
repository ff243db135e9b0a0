package export_test

import (
	"fmt"
	"os"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/export"
)

func ExampleAzureDevOps() {
	items := []export.Item{{Name: "DB_PASSWORD", Value: secrets.NewValue("100% hunter")}}
	if err := export.AzureDevOps(os.Stdout, items, nil); err != nil {
		panic(err)
	}
	// Output:
	// ##vso[task.setsecret]100%AZP25 hunter
	// ##vso[task.setsecret]MTAwJSBodW50ZXI=
	// ##vso[task.setsecret]100%AZP2525+hunter
	// ##vso[task.setvariable variable=DB_PASSWORD;issecret=true]100%AZP25 hunter
}

func ExampleDotenv() {
	items := []export.Item{{Name: "USER", Value: secrets.NewValue("deploy")}, {Name: "PASSWORD", Value: secrets.NewValue("two words & $more")}}
	if err := export.Dotenv(os.Stdout, items, nil); err != nil {
		panic(err)
	}
	// Output:
	// USER='deploy'
	// PASSWORD='two words & $more'
}

// What readers of a format would take differently is refused, and nothing is written.
func ExampleDotenv_failure() {
	items := []export.Item{{Name: "A", Value: secrets.NewValue(`it's "both"`)}, {Name: "B C", Value: secrets.NewValue("x")}}
	fmt.Println(export.Dotenv(os.Stdout, items, nil))
	// Output:
	// secrets: export "B C": invalid argument: the name must match ^[A-Za-z_][A-Za-z0-9_]*$
	// secrets: export A: invalid argument: has a single quote beside a double quote, "$", "`", "!", "#" or line end, which readers of dotenv files take differently; choose the dialect of the one that reads it
}

func ExampleExternalSecrets() {
	items := []export.Item{{Name: "password", Ref: "vault://kv/team/app#password"}}
	err := export.ExternalSecrets(os.Stdout, "app", items, &export.ExternalSecretsOptions{
		Server: "https://vault.example.com:8200", Mounts: map[string]int{"kv": 2}, Kubernetes: &export.KubernetesAuth{Role: "app"},
	})
	if err != nil {
		panic(err)
	}
	// Output:
	// apiVersion: external-secrets.io/v1
	// kind: SecretStore
	// metadata:
	//   name: "app-vault"
	// spec:
	//   provider:
	//     vault:
	//       server: "https://vault.example.com:8200"
	//       path: "kv"
	//       version: v2
	//       auth:
	//         kubernetes:
	//           mountPath: "kubernetes"
	//           role: "app"
	// ---
	// apiVersion: external-secrets.io/v1
	// kind: ExternalSecret
	// metadata:
	//   name: "app"
	// spec:
	//   refreshInterval: "1h0m0s"
	//   secretStoreRef:
	//     name: "app-vault"
	//     kind: SecretStore
	//   target:
	//     name: "app"
	//     creationPolicy: Owner
	//   data:
	//     - secretKey: "password"
	//       remoteRef:
	//         key: "team/app"
	//         property: "password"
}
