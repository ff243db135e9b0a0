package gitopstest

import (
	"bufio"
	"fmt"
	"io"
)

// History describes a made-up deployment repository: manifests five directories deep, and commits that each
// set the image of one of them. The same History makes the same files and commits every time.
type History struct {
	Files   int // manifests; 0 means 100
	Commits int // in all, the first brings every file; 0 means 1
}

func (h History) files() int {
	if h.Files <= 0 {
		return 100
	}
	return h.Files
}

func (h History) commits() int { return max(h.Commits, 1) }

// Path returns the name of a manifest: "clusters/team-03/apps/app-017/deploy-4.yaml".
func (h History) Path(i int) string {
	return fmt.Sprintf("clusters/team-%02d/apps/app-%03d/deploy-%d.yaml", i%20, i/20%50, i/1000)
}

// Image returns the repository of the image in a manifest.
func (h History) Image(i int) string { return fmt.Sprintf("registry.example.com/shop/service-%d", i) }

// manifest is the content of a file as the given commit leaves it.
func (h History) manifest(i, commit int) string {
	return fmt.Sprintf(`# service %[1]d
apiVersion: apps/v1
kind: Deployment
metadata:
  name: service-%[1]d
  namespace: shop
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
          image: %[2]s:v0.%[3]d # set by the pipeline
          ports: [{containerPort: 8080}]
`, i, h.Image(i), commit)
}

// touched is the file a commit behind the first changes.
func (h History) touched(commit int) int { return commit * 7919 % h.files() }

// FastImport writes the history as a stream for git fast-import.
func (h History) FastImport(w io.Writer) error {
	b := bufio.NewWriter(w)
	file := func(i, commit int) {
		text := h.manifest(i, commit)
		fmt.Fprintf(b, "M 100644 inline %s\ndata %d\n%s\n", h.Path(i), len(text), text)
	}
	for commit := range h.commits() {
		message := fmt.Sprintf("Commit %d\n", commit)
		fmt.Fprintf(b, "commit refs/heads/main\ncommitter Somebody <somebody@example.test> %d +0000\ndata %d\n%s", 1_600_000_000+commit, len(message), message)
		if commit == 0 {
			for i := range h.files() {
				file(i, 0)
			}
		} else {
			file(h.touched(commit), commit)
		}
		_ = b.WriteByte('\n') // Flush tells
	}
	return b.Flush()
}

// Generate puts a history on top of the branch main and returns its head.
func (r *Repository) Generate(h History) string {
	files := map[string]string{}
	for i := range h.files() {
		files[h.Path(i)] = h.manifest(i, 0)
	}
	head := r.Commit("main", "Commit 0", files)
	for commit := 1; commit < h.commits(); commit++ {
		i := h.touched(commit)
		head = r.Commit("main", fmt.Sprintf("Commit %d", commit), map[string]string{h.Path(i): h.manifest(i, commit)})
	}
	return head
}
