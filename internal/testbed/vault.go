package testbed

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// VaultOptions configures [StartVault].
type VaultOptions struct {
	Storage string // "raft" (when empty) or "file"
	// ClientCerts makes the server ask every client for a certificate of its own authority.
	ClientCerts bool
}

// VaultServer is a Vault over TLS with storage on disk, initialised and unsealed.
type VaultServer struct {
	URL       string
	Addr      string // host and port
	RootToken string
	UnsealKey string
	CAFile    string
	CA        *Authority
	Client    *http.Client // trusts it, and has a client certificate
	Bin       string       // the vault command
	Process   *Process
}

// StartVault starts a Vault that ends with the test.
func StartVault(tb TB, o *VaultOptions) *VaultServer {
	tb.Helper()
	if o == nil {
		o = &VaultOptions{}
	}
	tool := Require(tb, Vault)
	dir := tb.TempDir()
	addr := FreeAddr(tb)
	v := &VaultServer{
		URL: "https://" + addr, Addr: addr, CAFile: filepath.Join(dir, "ca.pem"), CA: NewAuthority(tb, "waybill test authority"), Bin: tool.Path,
	}
	WriteFile(tb, v.CAFile, string(v.CA.PEM))
	cert, key := v.CA.Issue(tb, nil)
	WriteFile(tb, filepath.Join(dir, "cert.pem"), string(cert))
	WriteFile(tb, filepath.Join(dir, "key.pem"), string(key))
	v.Client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: v.CA.ClientTLS(tb)}}

	storage := fmt.Sprintf("storage \"raft\" {\n  path = %q\n  node_id = \"one\"\n}\ncluster_addr = \"https://%s\"\n", dir, FreeAddr(tb))
	if o.Storage == "file" {
		storage = fmt.Sprintf("storage \"file\" {\n  path = %q\n}\n", filepath.Join(dir, "data"))
	}
	clients := ""
	if o.ClientCerts {
		clients = fmt.Sprintf("  tls_require_and_verify_client_cert = true\n  tls_client_ca_file = %q\n", v.CAFile)
	}
	config := filepath.Join(dir, "vault.hcl")
	WriteFile(tb, config, storage+fmt.Sprintf(`
listener "tcp" {
  address = %q
  tls_cert_file = %q
  tls_key_file = %q
%s}
api_addr = %q
disable_mlock = true
`, addr, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), clients, v.URL))

	cmd := exec.Command(tool.Path, "server", "-config", config, "-log-level=warn")
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	v.Process = StartProcess(tb, "vault", cmd, Listens("tcp", addr))

	var keys struct {
		Keys  []string `json:"keys"`
		Token string   `json:"root_token"`
	}
	v.must(tb, http.MethodPut, "sys/init", map[string]any{"secret_shares": 1, "secret_threshold": 1}, &keys)
	v.RootToken, v.UnsealKey = keys.Token, keys.Keys[0]
	v.Unseal(tb)
	return v
}

// Unseal unseals and waits until Vault is active.
func (v *VaultServer) Unseal(tb TB) {
	tb.Helper()
	v.must(tb, http.MethodPut, "sys/unseal", map[string]any{"key": v.UnsealKey}, nil)
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	if err := Eventually(ctx, func(ctx context.Context) error { return v.call(ctx, http.MethodGet, "sys/health", nil, nil) }); err != nil {
		tb.Fatalf("testbed: vault is not active: %v", err)
	}
}

// Seal seals.
func (v *VaultServer) Seal(tb TB) {
	tb.Helper()
	v.must(tb, http.MethodPut, "sys/seal", nil, nil)
}

func (v *VaultServer) must(tb TB, method, path string, in, out any) {
	tb.Helper()
	if err := v.call(tb.Context(), method, path, in, out); err != nil {
		tb.Fatalf("testbed: vault: %v", err)
	}
}

func (v *VaultServer) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, v.URL+"/v1/"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", v.RootToken)
	resp, err := v.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(b, out)
	}
	return err
}

// Authority issues certificates for tests.
type Authority struct {
	PEM  []byte
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority with a key of its own.
func NewAuthority(tb TB, name string) *Authority {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	return &Authority{PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), cert: cert, key: key}
}

// Issue returns a certificate and key in PEM for this machine, for servers and clients; change may alter it.
func (a *Authority) Issue(tb TB, change func(*x509.Certificate)) (certPEM, keyPEM []byte) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(12 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// Pool returns a pool with the authority in it.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// ClientTLS returns what a client needs to trust the authority's servers and be trusted by them.
func (a *Authority) ClientTLS(tb TB) *tls.Config {
	tb.Helper()
	pair, err := tls.X509KeyPair(a.Issue(tb, nil))
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: a.Pool(), Certificates: []tls.Certificate{pair}}
}
