package xmlout_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report/internal/xmlout"
)

func TestWriter(t *testing.T) {
	var b strings.Builder
	w := xmlout.New(&b)
	w.Raw("<a>")
	w.Text("<\x00 ##vso[task] ###")
	w.Raw("</a>")
	require.NoError(t, w.Flush())
	assert.Equal(t, "<a>&lt;\uFFFD #&#35;vso[task] #&#35;#</a>", b.String())
}

type full struct{}

var errFull = errors.New("no space")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriter_full(t *testing.T) {
	w := xmlout.New(full{})
	w.Text(strings.Repeat("a", 100_000))
	w.Raw("b")
	assert.ErrorIs(t, w.Flush(), errFull)
}
