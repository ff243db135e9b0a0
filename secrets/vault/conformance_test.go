package vault_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

func TestConformance_fake(t *testing.T) {
	s := vaulttest.NewServer(t, &vaulttest.Options{TLS: true})
	n := vaulttest.Conformance(t, &vaulttest.Backend{
		Address: s.URL, RootToken: s.RootToken, HTTP: s.Client(),
		Seal: func(*testing.T) { s.Seal() }, Unseal: func(*testing.T) { s.Unseal() },
	})
	t.Logf("secrets/vault conformance: %d cases on the fake", n)
}

// A fake that lies about one thing must fail the suite: each lie is told to a suite in a process of its own.
func TestConformance_noticesLies(t *testing.T) {
	lies := map[string]struct {
		fault vaulttest.Fault
		run   string
	}{
		"tokens are not revoked":      {vaulttest.Fault{Path: "auth/token/revoke-self", Status: 204}, "revokes_its_token_on_close"},
		"leases are not renewed":      {vaulttest.Fault{Path: "sys/leases/renew", Status: 200, Body: []byte(`{"lease_duration":2,"renewable":true}`)}, "issues,_renews"},
		"denied is answered as found": {vaulttest.Fault{Method: "GET", Path: "kv2", Status: 200, Body: []byte(`{"data":{"data":{"k":"v"},"metadata":{"version":1}}}`)}, "tells_denied"},
		"a stale write succeeds":      {vaulttest.Fault{Method: "PUT", Path: "kv2", Status: 200, Body: []byte(`{"data":{"version":1}}`)}, "writes_by_check"},
		"a login gives no token":      {vaulttest.Fault{Path: "auth/userpass-3/login", Status: 200, Body: []byte(`{"auth":{}}`)}, "logs_in_by_any"},
	}
	if name := os.Getenv("CONFORMANCE_LIE"); name != "" {
		s := vaulttest.NewServer(t, nil)
		if name != "none" {
			s.Fail(lies[name].fault)
		}
		vaulttest.Conformance(t, &vaulttest.Backend{Address: s.URL, RootToken: s.RootToken, HTTP: s.Client()})
		return
	}
	told := func(name, run string) error {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "TestConformance_noticesLies/cases/"+run)
		cmd.Env = append(os.Environ(), "CONFORMANCE_LIE="+name)
		return cmd.Run()
	}
	for name, lie := range lies {
		require.NoError(t, told("none", lie.run), "the truth passes %s", lie.run)
		require.Error(t, told(name, lie.run), name)
	}
}
