package procfs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRuns32Bit(t *testing.T) {
	root := t.TempDir()
	for pid, test := range []struct {
		executable string
		want       bool
	}{
		{"\x7fELF\x01\x01\x01", true},
		{"\x7fELF\x02\x01\x01", false},
		{"\x7fEL", false},
		{"", false},
		{"#!/bin/sh\n", false},
	} {
		dir := filepath.Join(root, string(rune('0'+pid)))
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "exe"), []byte(test.executable), 0o600))
		assert.Equal(t, test.want, runs32Bit(root, uint32(pid)), "%q", test.executable)
	}
	assert.False(t, runs32Bit(root, 9), "no such process")
	assert.False(t, Runs32Bit(uint32(os.Getpid())))
}
