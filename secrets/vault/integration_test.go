//go:build integration

package vault_test

import (
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testbed"
	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

func TestConformance_real(t *testing.T) {
	for _, storage := range []string{"raft", "file"} {
		t.Run(storage, func(t *testing.T) {
			pg := testbed.StartPostgres(t) // first, so that it ends last
			v := testbed.StartVault(t, &testbed.VaultOptions{Storage: storage})
			n := vaulttest.Conformance(t, &vaulttest.Backend{
				Address: v.URL, RootToken: v.RootToken, HTTP: v.Client,
				Seal: func(t *testing.T) { t.Helper(); v.Seal(t) }, Unseal: func(t *testing.T) { t.Helper(); v.Unseal(t) },
				Database: map[string]any{
					"connection_url": "postgresql://{{username}}:{{password}}@" + pg.Addr + "/postgres?sslmode=disable",
					"username":       pg.User, "password": pg.Password,
				},
				Login: pg.Login,
				Life:  4 * time.Second,
			})
			t.Logf("secrets/vault conformance: %d cases on Vault with %s storage", n, storage)
		})
	}
}
