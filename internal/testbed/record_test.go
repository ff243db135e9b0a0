package testbed

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRecord(t *testing.T) {
	file := filepath.Join(t.TempDir(), "record")
	t.Setenv(RecordFile, file)
	record(t, "git", "Debian 12")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "git\tDebian 12\tinternal/testbed\n", string(b))
}

func TestSupportTable(t *testing.T) {
	got := SupportTable("vault\tv1.21.1\tsecrets/vault\n" +
		"git\tDebian 12\tgitops\n" +
		"vault\tv1.21.1\tsecrets\n" +
		"patch\tDebian 12\tgitops\n" +
		"vault\tv1.21.1\tsecrets/vault\n" +
		"git\tDebian 12\tinternal/testbed\n" +
		"cut sh")
	assert.Equal(t, "| tested on | version | by the tests of |\n|---|---|---|\n"+
		"| git, patch | Debian 12 | `gitops` |\n"+
		"| vault | v1.21.1 | `secrets` `secrets/vault` |\n", got)
}
