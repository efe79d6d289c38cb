package kernel

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseMode(t *testing.T) {
	for _, mode := range []Mode{ModeAuto, ModeSocket, ModeSyscall} {
		parsed, err := ParseMode(string(mode))
		require.NoError(t, err)
		assert.Equal(t, mode, parsed)
	}
	_, err := ParseMode("kprobes")
	assert.EqualError(t, err, `mode: write "auto", "socket" or "syscall", not "kprobes"`)
}
