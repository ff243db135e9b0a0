//go:build integration

package vault_test

import (
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testbed"
)

// BenchmarkRead_real is [BenchmarkRead] on a real Vault.
func BenchmarkRead_real(b *testing.B) {
	v := testbed.StartVault(b, nil)
	benchmarkRead(b, v.URL, v.RootToken, v.Client, func() {
		request(b, v.Client, v.URL, v.RootToken, "POST", "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
		for range 100 { // a new mount of version 2 is refused until it is upgraded
			if request(b, v.Client, v.URL, v.RootToken, "POST", "secret/data/app", map[string]any{"data": map[string]any{"user": "app", "password": "hunter22"}}) < 300 {
				return
			}
			<-time.After(50 * time.Millisecond)
		}
	})
}
