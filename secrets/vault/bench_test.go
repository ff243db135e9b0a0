package vault_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/vault"
	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

// BenchmarkRead compares an uncached read with the same read by github.com/hashicorp/vault/api, over TLS.
//
//	go test -run '^$' -bench Read -count 6 ./secrets/vault
func BenchmarkRead(b *testing.B) {
	s := vaulttest.NewServer(b, &vaulttest.Options{TLS: true})
	benchmarkRead(b, s.URL, s.RootToken, s.Client(), func() { _, _ = s.Put("secret/app", map[string]any{"user": "app", "password": "hunter22"}) })
}

func benchmarkRead(b *testing.B, url, token string, hc *http.Client, put func()) {
	b.Helper()
	put()
	c, err := vault.New(url, vault.Token(func(context.Context) (string, error) { return token, nil }, nil), &vault.Options{HTTPClient: hc})
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close(context.Background()) })
	raw, err := api.NewClient(&api.Config{Address: url, HttpClient: hc})
	require.NoError(b, err)
	raw.SetToken(token)
	ref := secrets.Ref{Scheme: "vault", Path: "secret/app"}
	ctx := b.Context()
	// In turns, and by the median: both meet the same load of the machine.
	var ours, theirs []time.Duration
	for b.Loop() {
		begin := time.Now()
		if _, _, err := c.Get(ctx, ref); err != nil {
			b.Fatal(err)
		}
		between := time.Now()
		if _, err := raw.KVv2("secret").Get(ctx, "app"); err != nil {
			b.Fatal(err)
		}
		ours, theirs = append(ours, between.Sub(begin)), append(theirs, time.Since(between))
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	us, them := ours[len(ours)/2], theirs[len(theirs)/2]
	b.ReportMetric(float64(us), "ns/waybill")
	b.ReportMetric(float64(them), "ns/vault-api")
	b.ReportMetric(float64(us)/float64(them), "waybill/vault-api")
	b.ReportMetric(0, "ns/op")
}
