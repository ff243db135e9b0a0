// Package trivydb makes a small vulnerability database for Trivy. It is a package of its own so that the other users
// of testbed do not get what it is made with.
package trivydb

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/waybill-dev/waybill/internal/testbed"
)

// New makes a cache directory for Trivy with a vulnerability database of three made-up advisories:
// CVE-2099-0001 (high) and CVE-2099-0002 (low) in libx of Alpine 3.20, CVE-2099-0003 (critical) in the Go module
// example.com/lib.
func New(tb testbed.TB) (cacheDir string) {
	tb.Helper()
	check := func(err error) {
		if err != nil {
			tb.Helper()
			tb.Fatalf("trivydb: %v", err)
		}
	}
	cacheDir = tb.TempDir()
	dir := filepath.Join(cacheDir, "db")
	check(os.Mkdir(dir, 0o755))
	db, err := bbolt.Open(filepath.Join(dir, "trivy.db"), 0o600, nil)
	check(err)
	put := func(value any, path ...string) {
		b, err := json.Marshal(value)
		check(err)
		check(db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte(path[0]))
			if err != nil {
				return err
			}
			for _, p := range path[1 : len(path)-1] {
				if bucket, err = bucket.CreateBucketIfNotExists([]byte(p)); err != nil {
					return err
				}
			}
			return bucket.Put([]byte(path[len(path)-1]), b)
		}))
	}
	const goSource = "go::GitHub Security Advisory Go"
	put(map[string]any{"FixedVersion": "1.1-r0"}, "alpine 3.20", "libx", "CVE-2099-0001")
	put(map[string]any{}, "alpine 3.20", "libx", "CVE-2099-0002")
	put(map[string]any{"PatchedVersions": []string{"1.2.3"}, "VulnerableVersions": []string{"< 1.2.3"}}, goSource, "example.com/lib", "CVE-2099-0003")
	for id, severity := range map[string]string{"CVE-2099-0001": "HIGH", "CVE-2099-0002": "LOW", "CVE-2099-0003": "CRITICAL"} {
		put(map[string]any{"Title": "made up", "Severity": severity}, "vulnerability", id)
	}
	put(map[string]any{"ID": "alpine", "Name": "Alpine Secdb", "URL": "https://example.com"}, "data-source", "alpine 3.20")
	put(map[string]any{"ID": "ghsa", "Name": "GHSA Go", "URL": "https://example.com"}, "data-source", goSource)
	check(db.Close())

	now := time.Now().UTC()
	b, err := json.Marshal(map[string]any{"Version": 2, "NextUpdate": now.Add(24 * time.Hour), "UpdatedAt": now, "DownloadedAt": now})
	check(err)
	check(os.WriteFile(filepath.Join(dir, "metadata.json"), b, 0o600))
	return cacheDir
}
