// Command formatcheck reads a document on standard input with the parser its reader uses, and prints what that
// made of it, as JSON.
//
//	formatcheck secret               a Kubernetes Secret, strictly
//	formatcheck godotenv | compose   a dotenv file
//	formatcheck crd FILE...          custom resources, checked against the definitions in FILEs as an API server does
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/joho/godotenv"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

func main() {
	out, err := run(os.Args[1:], os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "formatcheck:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(out)
}

func run(args []string, in io.Reader) (any, error) {
	doc, err := io.ReadAll(in)
	if err != nil || len(args) == 0 {
		return nil, errors.Join(err, errors.New("name a format"))
	}
	switch args[0] {
	case "secret":
		var s corev1.Secret
		err := yaml.UnmarshalStrict(doc, &s)
		return s, err
	case "godotenv":
		return godotenv.Parse(bytes.NewReader(doc))
	case "compose":
		return dotenv.Parse(bytes.NewReader(doc))
	case "crd":
		return resources(doc, args[1:])
	}
	return nil, fmt.Errorf("unknown format %q", args[0])
}

func resources(doc []byte, files []string) (any, error) {
	var defs []v1.CustomResourceDefinition
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var d v1.CustomResourceDefinition
		if err := yaml.Unmarshal(b, &d); err != nil {
			return nil, err
		}
		defs = append(defs, d)
	}
	var objects []map[string]any
	for part := range bytes.SplitSeq(doc, []byte("\n---\n")) {
		var o map[string]any
		if err := yaml.UnmarshalStrict(part, &o); err != nil {
			return nil, err
		}
		if err := check(o, defs); err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

func check(o map[string]any, defs []v1.CustomResourceDefinition) error {
	for _, d := range defs {
		for _, version := range d.Spec.Versions {
			if o["kind"] != d.Spec.Names.Kind || o["apiVersion"] != d.Spec.Group+"/"+version.Name {
				continue
			}
			var internal apiextensions.CustomResourceValidation
			if err := v1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(version.Schema, &internal, nil); err != nil {
				return err
			}
			validator, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
			if err != nil {
				return err
			}
			structural, err := schema.NewStructural(internal.OpenAPIV3Schema)
			if err != nil {
				return err
			}
			errs := validation.ValidateCustomResource(nil, o, validator)
			if rules := cel.NewValidator(structural, true, celconfig.PerCallLimit); rules != nil {
				more, _ := rules.Validate(context.Background(), nil, structural, o, nil, celconfig.RuntimeCELCostBudget)
				errs = append(errs, more...)
			}
			pruned := pruning.PruneWithOptions(o, structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
			if len(pruned) > 0 {
				return fmt.Errorf("%s: unknown fields %q", o["kind"], pruned)
			}
			return errs.ToAggregate()
		}
	}
	return fmt.Errorf("no definition of %s %s", o["apiVersion"], o["kind"])
}
