package argocdtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// manifest is one object of the tree.
type manifest struct {
	Resource
	text     string // the object as JSON, with its keys in order: what is compared and shown
	replicas string // as written
}

func (m manifest) key() string { return m.Group + "/" + m.Kind + "/" + m.Namespace + "/" + m.Name }

// runsPods reports whether the resource brings up pods by itself.
func (m manifest) runsPods() bool {
	switch m.Kind {
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "Job":
		return m.replicas != "0"
	}
	return false
}

// readManifests returns the manifests of one directory, not of those below it, as Argo CD does. Errors are in
// the words of its repository server.
func readManifests(tree fs.FS, dir, namespace string) (map[string]manifest, error) {
	entries, err := fs.ReadDir(tree, path.Clean(dir))
	if err != nil {
		return nil, fmt.Errorf("rpc error: code = Unknown desc = %s: app path does not exist", dir)
	}
	all := map[string]manifest{}
	for _, e := range entries {
		ext := path.Ext(e.Name())
		switch base := strings.TrimSuffix(e.Name(), ext); {
		case e.IsDir():
			continue
		case base == "kustomization", base == "Kustomization", e.Name() == "Chart.yaml", ext == ".jsonnet":
			return nil, fmt.Errorf("rpc error: code = FailedPrecondition desc = %s: this fake reads plain manifests only", e.Name())
		case ext != ".yaml" && ext != ".yml" && ext != ".json":
			continue
		}
		b, err := fs.ReadFile(tree, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		manifests, err := parseFile(b, ext == ".json", namespace)
		if err != nil {
			return nil, fmt.Errorf("rpc error: code = FailedPrecondition desc = Failed to unmarshal %q: %w", e.Name(), err)
		}
		for _, m := range manifests {
			all[m.key()] = m
		}
	}
	return all, nil
}

// parseFile reads the objects of a file. A file that is no manifest by any look is none, and no error.
func parseFile(b []byte, isJSON bool, namespace string) ([]manifest, error) {
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	objects, err := parseJSON(b)
	switch {
	case isJSON && err == nil && len(objects) != 1:
		return nil, fmt.Errorf("found %d objects; only single objects are allowed in JSON files", len(objects))
	case !isJSON && err != nil:
		if objects, err = parseYAML(b); err != nil && len(objects) == 0 && !looksLikeManifest(b) {
			return nil, nil
		}
	}
	if err != nil {
		return nil, err
	}
	var all []manifest
	for _, o := range objects {
		for _, item := range listed(o) {
			m, err := newManifest(item, namespace)
			if err != nil {
				return nil, err
			}
			all = append(all, m)
		}
	}
	return all, nil
}

// listed returns the items of a list, or the object itself.
func listed(o map[string]any) (all []map[string]any) {
	switch items := o["items"].(type) {
	case []any:
		for _, item := range items {
			object, _ := item.(map[string]any)
			all = append(all, object)
		}
		return all
	case nil:
		if _, found := o["items"]; found && o["spec"] == nil && o["status"] == nil {
			return nil
		}
	}
	return []map[string]any{o}
}

func looksLikeManifest(b []byte) bool {
	return bytes.Contains(b, []byte("apiVersion:")) && bytes.Contains(b, []byte("kind:")) && bytes.Contains(b, []byte("metadata:"))
}

// parseJSON reads one JSON object after the other.
func parseJSON(b []byte) (objects []map[string]any, err error) {
	for d := json.NewDecoder(bytes.NewReader(b)); ; {
		var o map[string]any
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return objects, err
		}
		if objects, err = appendObject(objects, o); err != nil {
			return objects, err
		}
	}
}

// parseYAML reads one document after the other. With an error come the objects in front of it.
func parseYAML(b []byte) (objects []map[string]any, err error) {
	for d := yaml.NewDecoder(bytes.NewReader(b)); ; {
		var n yaml.Node
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return objects, err
		}
		c := converter{left: maxValues}
		v, err := c.value(&n, 0)
		if err != nil {
			return objects, err
		}
		if v == nil { // nothing but comments
			continue
		}
		o, ok := v.(map[string]any)
		if !ok {
			return objects, fmt.Errorf("line %d: a manifest is a mapping", n.Line)
		}
		if objects, err = appendObject(objects, o); err != nil {
			return objects, err
		}
	}
}

func appendObject(objects []map[string]any, o map[string]any) ([]map[string]any, error) {
	if text(o, "kind") == "" {
		b, _ := json.Marshal(o)
		return objects, fmt.Errorf("object 'Kind' is missing in '%.200s'", b)
	}
	return append(objects, o), nil
}

// The caps on one document, so that aliases of aliases of aliases do not fill the memory.
const (
	maxValues = 1_000_000
	maxDepth  = 1000
)

// converter makes values as JSON has them of YAML.
type converter struct{ left int }

func (c *converter) value(n *yaml.Node, depth int) (any, error) {
	if c.left--; c.left < 0 || depth > maxDepth {
		return nil, fmt.Errorf("line %d: more than %d values, or %d levels", n.Line, maxValues, maxDepth)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil, nil //nolint:nilnil // null
		}
		return c.value(n.Content[0], depth)
	case yaml.AliasNode:
		return c.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			v, err := c.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		return c.mapping(n, depth)
	}
	switch n.ShortTag() {
	case "!!null":
		return nil, nil //nolint:nilnil // null
	case "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, err
		}
		if _, err := json.Marshal(v); err != nil { // not a number
			return nil, fmt.Errorf("line %d: %w", n.Line, err)
		}
		return v, nil
	}
	return n.Value, nil // dates too, as in Kubernetes
}

// mapping reads the pairs of a mapping. The last one of a key counts, and those that are merged in by "<<" only
// where there is none.
func (c *converter) mapping(n *yaml.Node, depth int) (map[string]any, error) {
	m, merged := map[string]any{}, map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		v, err := c.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		for k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		switch {
		case k.Kind != yaml.ScalarNode:
			return nil, fmt.Errorf("line %d: a key that is no scalar", k.Line)
		case k.ShortTag() != "!!merge":
			m[k.Value] = v
			continue
		}
		bases, isList := v.([]any)
		if !isList {
			bases = []any{v}
		}
		for _, base := range bases {
			pairs, ok := base.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("line %d: << wants a mapping, or a list of them", k.Line)
			}
			for key, v := range pairs {
				if _, found := merged[key]; !found {
					merged[key] = v
				}
			}
		}
	}
	for key, v := range merged {
		if _, found := m[key]; !found {
			m[key] = v
		}
	}
	return m, nil
}

// newManifest takes from an object what the fake needs to know. One without a namespace gets the one given.
func newManifest(o map[string]any, namespace string) (manifest, error) {
	meta, _ := o["metadata"].(map[string]any)
	spec, _ := o["spec"].(map[string]any)
	if meta != nil && text(meta, "namespace") == "" {
		meta["namespace"] = namespace
	}
	b, err := json.Marshal(o)
	if err != nil {
		return manifest{}, err
	}
	m := manifest{text: string(b)}
	m.Kind, m.Name, m.Namespace = text(o, "kind"), text(meta, "name"), text(meta, "namespace")
	apiVersion := text(o, "apiVersion")
	if m.Kind == "" || m.Name == "" || apiVersion == "" {
		return m, fmt.Errorf("no apiVersion, kind or metadata.name in '%.200s'", b)
	}
	m.Group, m.Version, _ = strings.Cut(apiVersion, "/")
	if m.Version == "" {
		m.Group, m.Version = "", m.Group
	}
	if replicas, found := spec["replicas"]; found {
		m.replicas = fmt.Sprint(replicas)
	}
	m.Images = images(spec)
	slices.Sort(m.Images)
	m.Images = slices.Compact(m.Images)
	return m, nil
}

// text returns a value that is a string, or "".
func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

// images returns what stands under the keys called image, at any depth.
func images(v any) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			if image, ok := child.(string); ok && key == "image" && image != "" {
				all = append(all, image)
			}
			all = append(all, images(child)...)
		}
	case []any:
		for _, child := range v {
			all = append(all, images(child)...)
		}
	}
	return all
}
