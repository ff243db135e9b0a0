package manifest_test

import (
	"errors"
	"fmt"

	"github.com/waybill-dev/waybill/gitops/manifest"
)

const deployment = `kind: Deployment
spec:
  template:
    spec:
      containers:
        - {name: shop, image: "ghcr.io/acme/shop:v1"}   # by the pipeline
        - {name: shop-proxy, image: ghcr.io/acme/shop-proxy:v1}
`

func ExampleSet() {
	out, changes, err := manifest.Set("deployment.yaml", []byte(deployment), []manifest.Edit{{Image: "ghcr.io/acme/shop", To: "v2"}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	c := changes[0]
	fmt.Printf("%s:%d:%d %s: %s -> %s\n\n%s", c.File, c.Line, c.Column, c.Path, c.OldTag, c.NewTag, out)
	// Output:
	// deployment.yaml:6:31 /spec/template/spec/containers/0/image: v1 -> v2
	//
	// kind: Deployment
	// spec:
	//   template:
	//     spec:
	//       containers:
	//         - {name: shop, image: "ghcr.io/acme/shop:v2"}   # by the pipeline
	//         - {name: shop-proxy, image: ghcr.io/acme/shop-proxy:v1}
}

func ExampleSet_failure() {
	_, _, err := manifest.Set("deployment.yaml", []byte(deployment), []manifest.Edit{{Image: "ghcr.io/acme/chop", To: "v2"}}, nil)
	fmt.Println(errors.Is(err, manifest.ErrNotFound), err)
	_, _, err = manifest.Set("deployment.yaml", []byte("a: b: c"), []manifest.Edit{{Image: "ghcr.io/acme/shop", To: "v2"}}, nil)
	fmt.Println(errors.Is(err, manifest.ErrSyntax), err)
	// Output:
	// true manifest: set: ghcr.io/acme/chop: image found nowhere (alike: ghcr.io/acme/shop)
	// true manifest: set deployment.yaml:1:5: not readable as YAML: mapping values are not allowed in this context
}

func ExampleEditor() {
	files := map[string]string{"web.yaml": "image: nginx:1.27\n", "cache.yaml": "image: redis:7\n"}
	e, err := manifest.NewEditor([]manifest.Edit{{Image: "nginx", To: "1.28"}, {Image: "redis", To: "8"}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{"cache.yaml", "web.yaml"} {
		out, _, err := e.File(name, []byte(files[name]))
		fmt.Printf("%s: %s%v\n", name, out, err)
	}
	fmt.Println("all found:", e.Check() == nil)
	// Output:
	// cache.yaml: image: redis:8
	// <nil>
	// web.yaml: image: nginx:1.28
	// <nil>
	// all found: true
}
