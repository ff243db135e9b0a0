package vault_test

import (
	"testing"

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
