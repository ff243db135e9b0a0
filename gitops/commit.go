package gitops

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/waybill-dev/waybill/gitops/internal/gitobj"
	"github.com/waybill-dev/waybill/gitops/manifest"
)

// Identity is who wrote or committed a change.
type Identity struct {
	Name  string
	Email string
}

func (i Identity) String() string { return i.Name + " <" + i.Email + ">" }

func (i Identity) check() error {
	if strings.TrimSpace(i.Name) == "" || strings.ContainsAny(i.Name+i.Email, "<>\n\r\x00") {
		return fmt.Errorf("%q: a name is required, and neither name nor email may hold <, > or line ends", i.String())
	}
	return nil
}

// A Signer signs commits. [NewSSHSigner] makes one.
type Signer interface {
	// Sign returns an armored detached signature of a commit.
	Sign(commit []byte) (string, error)
}

// MessageData is what a message template sees.
type MessageData struct {
	Branch  string // without "refs/heads/"
	Changes []manifest.Change
	Images  []string // what was set, each once: "ghcr.io/acme/shop:v2"
}

// defaultMessage names the one image, or their number.
const defaultMessage = `{{if eq (len .Images) 1}}Set {{index .Images 0}}{{else}}Set {{len .Images}} images

{{range .Images}}- {{.}}
{{end}}{{end}}`

// parseMessage reads a template and tries it.
func parseMessage(text string) (*template.Template, error) {
	if text == "" {
		text = defaultMessage
	}
	t, err := template.New("message").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	return t, t.Execute(io.Discard, MessageData{Images: []string{"x"}, Changes: []manifest.Change{{}}})
}

// message fills the template and adds the trailers behind an empty line.
func (b *bump) message(branch string, changes []manifest.Change) (string, error) {
	data := MessageData{Branch: branch, Changes: changes}
	var trailers []Trailer
	digests := map[string]bool{}
	for _, c := range changes {
		image := c.NewRef
		if slices.Contains(data.Images, image) {
			continue
		}
		data.Images = append(data.Images, image)
		trailers = append(trailers, Trailer{"Image", image})
		if _, digest, pinned := strings.Cut(image, "@"); pinned && !digests[digest] {
			digests[digest] = true
			trailers = append(trailers, Trailer{"Digest", digest})
		}
	}
	if b.o.Build != "" {
		trailers = append(trailers, Trailer{"Build", b.o.Build})
	}
	trailers = append(trailers, b.o.Trailers...)
	if b.o.SignOff {
		trailers = append(trailers, Trailer{"Signed-off-by", b.author.String()})
	}
	var text strings.Builder
	if err := b.template.Execute(&text, data); err != nil {
		return "", faultf(ErrOptions, "Message: %w", err)
	}
	body := strings.TrimSpace(strings.ReplaceAll(text.String(), "\r\n", "\n"))
	if body == "" || strings.Contains(body, "\x00") {
		return "", faultf(ErrOptions, "Message: it is empty or holds a zero byte")
	}
	text.Reset()
	text.WriteString(body + "\n\n")
	for _, t := range trailers {
		text.WriteString(t.Key + ": " + t.Value + "\n")
	}
	return text.String(), nil
}

// Trailer is a "Key: value" line at the end of a commit message.
type Trailer struct{ Key, Value string }

func (t Trailer) check() error {
	if t.Key == "" || strings.Trim(strings.ToLower(t.Key), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("key %q: want letters, digits and dashes", t.Key)
	}
	if t.Value == "" || strings.ContainsAny(t.Value, "\n\r\x00") {
		return fmt.Errorf("%s: the value is empty or holds a line end", t.Key)
	}
	return nil
}

// commit makes the commit object.
func (b *bump) commit(parent, tree plumbing.Hash, message string, now time.Time) ([]byte, error) {
	c := &object.Commit{
		Author:       object.Signature{Name: b.author.Name, Email: b.author.Email, When: now},
		Committer:    object.Signature{Name: b.committer.Name, Email: b.committer.Email, When: now},
		Message:      message,
		TreeHash:     tree,
		ParentHashes: []plumbing.Hash{parent},
	}
	if b.o.Signer != nil {
		payload, err := gitobj.Encode(c.EncodeWithoutSignature)
		if err != nil {
			return nil, faultf(ErrSign, "%w", err)
		}
		signature, err := b.o.Signer.Sign(payload)
		if err != nil {
			return nil, faultf(ErrSign, "%w", err)
		}
		if strings.TrimSpace(signature) == "" {
			return nil, faultf(ErrSign, "%w", errors.New("the signer returned nothing"))
		}
		c.PGPSignature = signature // the header gpgsig, which holds SSH signatures as well
	}
	data, err := gitobj.Encode(c.Encode)
	if err != nil {
		return nil, faultf(ErrProtocol, "%w", err)
	}
	return data, nil
}
