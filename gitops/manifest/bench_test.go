package manifest_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/waybill-dev/waybill/gitops/manifest"
)

// release is a large rendered release: many documents, one of which is edited.
func release(documents int) []byte {
	var b strings.Builder
	for i := range documents {
		fmt.Fprintf(&b, `---
# service number %[1]d
apiVersion: apps/v1
kind: Deployment
metadata:
  name: service-%[1]d
  labels: {app: service-%[1]d, tier: backend}
spec:
  replicas: 2
  selector:
    matchLabels: {app: service-%[1]d}
  template:
    metadata:
      labels: {app: service-%[1]d}
    spec:
      containers:
        - name: server
          image: registry.example.com/shop/service-%[1]d:v0.9.%[1]d # set by the pipeline
          ports: [{containerPort: 8080}]
          env:
            - {name: PORT, value: "8080"}
          resources:
            requests: {cpu: 100m, memory: 64Mi}
            limits: {cpu: 200m, memory: 128Mi}
`, i)
	}
	return []byte(b.String())
}

// BenchmarkSet compares ways to set one image in one run: MB/s of YAML.
func BenchmarkSet(b *testing.B) {
	in := release(2000)
	bench := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, f())
			}
		})
	}
	set := func(in []byte, o *manifest.Options) func() error {
		edits := []manifest.Edit{{Image: "registry.example.com/shop/service-1234", To: "v1.0.0"}}
		return func() error {
			_, _, err := manifest.Set("release.yaml", in, edits, o)
			return err
		}
	}
	everywhere := regexp.MustCompile(`shop/service-\d+`).ReplaceAll(in, []byte("shop/service-1234"))
	bench("image in one of 2000 documents", set(in, nil))
	bench("image in all of 2000 documents", set(everywhere, nil))
	bench("image in one of 2000 documents, ParseAll", set(in, &manifest.Options{ParseAll: true}))
	bench("yaml decode and encode", func() error {
		d := yaml.NewDecoder(strings.NewReader(string(in)))
		var out strings.Builder
		e := yaml.NewEncoder(&out)
		for {
			var n yaml.Node
			if err := d.Decode(&n); err != nil {
				return e.Close()
			}
			if err := e.Encode(&n); err != nil {
				return err
			}
		}
	})
}
