package argocd

import (
	"encoding/json"
	"fmt"
	"strings"
)

// imageRef is an image reference taken apart for comparison. docker.io/library/nginx is nginx.
type imageRef struct{ repository, tag, digest string }

func parseImage(s string) (imageRef, error) {
	var r imageRef
	rest, digest, pinned := strings.Cut(s, "@")
	r.digest = digest
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		rest, r.tag = rest[:i], rest[i+1:]
		if r.tag == "" {
			return r, fmt.Errorf("image %q: empty tag", s)
		}
	}
	if rest == "" || strings.ContainsAny(s, " \t\n") || pinned && !strings.Contains(digest, ":") {
		return r, fmt.Errorf("image %q: not REPOSITORY[:TAG][@DIGEST]", s)
	}
	if r.tag == "" && digest == "" {
		r.tag = "latest"
	}
	host, path, _ := strings.Cut(rest, "/")
	switch {
	case path == "": // a single name is Docker's own
		host, path = "docker.io", "library/"+rest
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		host, path = "docker.io", rest
	}
	if host == "index.docker.io" {
		host = "docker.io"
	}
	if host == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	r.repository = host + "/" + path
	return r, nil
}

// is reports whether a running image is the wanted one: the digest decides where one is wanted, else the tag.
func (live imageRef) is(want imageRef) bool {
	if live.repository != want.repository {
		return false
	}
	if want.digest != "" {
		return live.digest == want.digest
	}
	return live.tag == want.tag
}

// missingImages returns those of want that are not in live.
func missingImages(want, live []string) []string {
	var refs []imageRef
	for _, s := range live {
		if r, err := parseImage(s); err == nil {
			refs = append(refs, r)
		}
	}
	var missing []string
next:
	for _, s := range want {
		w, err := parseImage(s)
		for _, r := range refs {
			if err == nil && r.is(w) {
				continue next
			}
		}
		missing = append(missing, s)
	}
	return missing
}

// containerImages returns the images of a resource's containers. The pods that the summary counts are not
// there for a CronJob between its runs, or a Deployment of no replicas; their own live state says what they
// would run.
func containerImages(live string) []string {
	var resource any
	if json.Unmarshal([]byte(live), &resource) != nil {
		return nil
	}
	var images []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, child := range v {
				if list, ok := child.([]any); ok && (key == "containers" || key == "initContainers") {
					for _, c := range list {
						m, _ := c.(map[string]any)
						if image, ok := m["image"].(string); ok {
							images = append(images, image)
						}
					}
				}
				if key != "managedFields" && key != "metadata" && key != "status" {
					walk(child)
				}
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(resource)
	return images
}
