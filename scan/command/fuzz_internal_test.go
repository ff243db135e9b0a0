package command

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzVersion(f *testing.F) {
	for _, s := range []string{
		"git version 2.39.5 (Apple Git-154)", "Version: 0.68.2\nVulnerability DB:\n  Version: 2", "go version go1.26.8 linux/amd64", "v1.2.3-rc.1+abc", "22:01:00.410 INFO  SonarScanner CLI 6.2.1.4610",
		"1.2.3.4.5", "1.", ".1.2", "version 99999999999999999999.1", "", "\xff1.2",
	} {
		f.Add(s, "1.2.3")
	}
	f.Fuzz(func(t *testing.T, said, other string) {
		v := findVersion(said)
		if v == "" {
			return
		}
		require.Contains(t, said, v)
		require.Contains(t, v, ".")
		require.Contains(t, "0123456789", v[:1])
		require.Zero(t, compareVersions(v, "v"+v))
		require.Equal(t, -compareVersions(v, other), compareVersions(other, v))
	})
}

// What is hidden is hidden in every form, and nothing else is changed.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{"hunter2hunter2", `p"a\ss<w>rd`, "with space&more=%", "ünïcode", "a\x01b\x7f", `ends with "`, "ends with \\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		if len(secret) < 4 || strings.ContainsAny(secret, "\x00\n\r") || strings.TrimSpace(secret) != secret || strings.Contains(redacted, secret) {
			return
		}
		hide := hider(forms(secret))
		for _, form := range forms(secret) {
			require.Equal(t, "<<"+redacted+">>", hide.Replace("<<"+form+">>"), "%q", form)
		}
	})
}
