package secretrule_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/waybill-dev/waybill/report/internal/secretrule"
)

func TestHolds(t *testing.T) {
	assert.True(t, secretrule.Holds("", []string{"CWE-0798: Use of Hard-coded Credentials"}))
	assert.True(t, secretrule.Holds("", []string{"798"}))
	assert.True(t, secretrule.Holds("generic.secrets.x", nil))
	assert.False(t, secretrule.Holds("go.lang.command", []string{"CWE-78"}))
}

func TestNamed(t *testing.T) {
	for _, text := range []string{
		"Potential hardcoded credentials", "python/HardcodedNonCryptoSecret", "CKV_SECRET_6", "secrets:S6290", "HS-LEAKS-25",
		"Passwords And Secrets - Generic Password",
	} {
		assert.True(t, secretrule.Named(text), text)
	}
	for _, text := range []string{
		"Using hardcoded IP addresses is security-sensitive", "Prefer using secrets as files over secrets as environment variables",
		"aws-iam-set-max-password-age",
	} {
		assert.False(t, secretrule.Named(text), text)
	}
}
