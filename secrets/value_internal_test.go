package secrets

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDestroy_wipes(t *testing.T) {
	held := []byte("hunter22")
	newValue(held).Destroy()
	assert.Equal(t, make([]byte, len(held)), held)
}
