package tally_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/report/internal/sample"
	"github.com/waybill-dev/waybill/report/internal/tally"
)

func TestOf_keep(t *testing.T) {
	for keep, want := range map[int]int{-1: 0, 0: 0, 1: 1, 2: 2, 100: 4} {
		tl, err := tally.Of(t.Context(), sample.Shop(t), keep)
		require.NoError(t, err)
		assert.Len(t, tl.Worst(), want, "%d", keep)
		assert.Equal(t, 4, tl.Open)
	}
}
