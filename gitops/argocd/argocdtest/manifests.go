package argocdtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// manifest is one document of the tree.
type manifest struct {
	Resource
	text     string
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

// readManifests returns the manifests of one directory, not of those below it, as Argo CD does.
func readManifests(tree fs.FS, dir, namespace string) (map[string]manifest, error) {
	entries, err := fs.ReadDir(tree, path.Clean(dir))
	if err != nil {
		return nil, fmt.Errorf("%s: app path does not exist", dir)
	}
	all := map[string]manifest{}
	for _, e := range entries {
		ext := path.Ext(e.Name())
		if e.IsDir() || ext != ".yaml" && ext != ".yml" && ext != ".json" {
			continue
		}
		name := path.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), "kustomization.") || e.Name() == "Chart.yaml" {
			return nil, fmt.Errorf("%s: this fake reads plain manifests only", name)
		}
		b, err := fs.ReadFile(tree, name)
		if err != nil {
			return nil, err
		}
		for _, doc := range documents(string(b)) {
			m, err := parseManifest(doc)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if m.Namespace == "" {
				m.Namespace = namespace
			}
			all[m.key()] = m
		}
	}
	return all, nil
}

func documents(text string) []string {
	var docs []string
	var doc strings.Builder
	flush := func() {
		blank := true
		for line := range strings.Lines(doc.String()) {
			if l := strings.TrimSpace(line); l != "" && !strings.HasPrefix(l, "#") {
				blank = false
			}
		}
		if !blank {
			docs = append(docs, doc.String())
		}
		doc.Reset()
	}
	for line := range strings.Lines(strings.ReplaceAll(text, "\r\n", "\n")) {
		if strings.TrimRight(line, " \n") == "---" {
			flush()
			continue
		}
		doc.WriteString(line)
	}
	flush()
	return docs
}

var (
	keyLine    = regexp.MustCompile(`^( *)((?:- )*)([A-Za-z][\w./-]*):(?:\s+(.*?))?\s*$`)
	blockStart = regexp.MustCompile(`^[|>][-+0-9]*\s*(#.*)?$`)
)

// parseManifest reads from a manifest what the fake needs to know: in JSON, or in YAML of one key a line, as
// people and kubectl write it. It is no YAML parser, so that whoever imports the fake needs none.
func parseManifest(doc string) (manifest, error) {
	m := manifest{text: strings.TrimSpace(doc)}
	var apiVersion string
	if strings.HasPrefix(m.text, "{") {
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string
			Metadata   struct{ Name, Namespace string }
			Spec       struct{ Replicas json.Number }
		}
		if err := json.Unmarshal([]byte(doc), &head); err != nil {
			return m, err
		}
		apiVersion, m.Kind, m.Name, m.Namespace, m.replicas = head.APIVersion, head.Kind, head.Metadata.Name, head.Metadata.Namespace, head.Spec.Replicas.String()
		m.Images = jsonImages([]byte(doc))
	} else {
		apiVersion = m.scan(doc)
	}
	if m.Kind == "" || m.Name == "" || apiVersion == "" {
		return m, errors.New("no apiVersion, kind and metadata.name, each on a line of its own")
	}
	m.Group, m.Version, _ = strings.Cut(apiVersion, "/")
	if m.Version == "" {
		m.Group, m.Version = "", m.Group
	}
	slices.Sort(m.Images)
	m.Images = slices.Compact(m.Images)
	return m, nil
}

func (m *manifest) scan(doc string) (apiVersion string) {
	scanner := bufio.NewScanner(strings.NewReader(doc))
	scanner.Buffer(nil, 1<<20)
	section, child, skipDeeper := "", -1, -1 // child is the indentation of the section's own keys
	for scanner.Scan() {
		line := scanner.Text()
		if l := strings.TrimSpace(line); l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if skipDeeper >= 0 && indent > skipDeeper {
			continue
		}
		skipDeeper = -1
		parts := keyLine.FindStringSubmatch(line)
		if parts == nil {
			continue
		}
		key, value := parts[3], scalar(parts[4])
		if blockStart.MatchString(parts[4]) {
			skipDeeper = indent
			continue
		}
		if indent == 0 && parts[2] == "" {
			section, child = key, -1
		} else if child < 0 {
			child = indent
		}
		switch {
		case indent == 0 && key == "apiVersion":
			apiVersion = value
		case indent == 0 && key == "kind":
			m.Kind = value
		case section == "metadata" && indent == child && key == "name":
			m.Name = value
		case section == "metadata" && indent == child && key == "namespace":
			m.Namespace = value
		case section == "spec" && indent == child && key == "replicas":
			m.replicas = value
		case section == "spec" && key == "image" && value != "":
			m.Images = append(m.Images, value)
		}
	}
	return apiVersion
}

func scalar(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') {
		if end := strings.IndexByte(s[1:], s[0]); end >= 0 {
			return s[1 : 1+end]
		}
	}
	if i := strings.Index(s, " #"); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSpace(s)
}

func jsonImages(doc []byte) []string {
	var root struct{ Spec any }
	if json.Unmarshal(doc, &root) != nil {
		return nil
	}
	var images []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, child := range v {
				if image, ok := child.(string); ok && key == "image" {
					images = append(images, image)
				}
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(root.Spec)
	return images
}
