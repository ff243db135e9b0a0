package gitops

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// SSHSigner signs commits with an SSH key, in the form git verifies with gpg.format=ssh.
type SSHSigner struct{ key ssh.Signer }

// NewSSHSigner reads a private key in PEM or OpenSSH form, without passphrase.
func NewSSHSigner(privateKey []byte) (*SSHSigner, error) {
	key, err := ssh.ParsePrivateKey(privateKey)
	if err != nil {
		return nil, &Error{Op: "open", Kind: ErrOptions, Err: fmt.Errorf("signing key: %w", err)}
	}
	return &SSHSigner{key}, nil
}

// PublicKey returns the key's public half as in an allowed-signers file, without comment.
func (s *SSHSigner) PublicKey() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.key.PublicKey())))
}

// The fields of an SSH signature, as OpenSSH's PROTOCOL.sshsig lays them out. What is signed is the hash of
// the message under a namespace, so that a signature of a commit is good for nothing else.
type (
	signedData struct{ Namespace, Reserved, Hash, Digest string }
	signature  struct {
		Version                              uint32
		PublicKey, Namespace, Reserved, Hash string
		Signature                            []byte
	}
)

const (
	sshsigMagic     = "SSHSIG"
	sshsigNamespace = "git"
	sshsigHash      = "sha512"
)

// Sign returns the armored signature of a commit.
func (s *SSHSigner) Sign(commit []byte) (string, error) {
	digest := sha512.Sum512(commit)
	toSign := append([]byte(sshsigMagic), ssh.Marshal(signedData{sshsigNamespace, "", sshsigHash, string(digest[:])})...)
	sig, err := s.sign(toSign)
	if err != nil {
		return "", err
	}
	blob := append([]byte(sshsigMagic), ssh.Marshal(signature{1, string(s.key.PublicKey().Marshal()), sshsigNamespace, "", sshsigHash, ssh.Marshal(sig)})...)

	var b bytes.Buffer
	b.WriteString("-----BEGIN SSH SIGNATURE-----\n")
	for text := base64.StdEncoding.EncodeToString(blob); text != ""; {
		n := min(70, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	b.WriteString("-----END SSH SIGNATURE-----\n")
	return b.String(), nil
}

// sign uses SHA-2 with RSA keys; their default, SHA-1, is refused by verifiers.
func (s *SSHSigner) sign(data []byte) (*ssh.Signature, error) {
	if as, ok := s.key.(ssh.AlgorithmSigner); ok && s.key.PublicKey().Type() == ssh.KeyAlgoRSA {
		return as.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA512)
	}
	return s.key.Sign(rand.Reader, data)
}
