package main

import (
	"net"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestListeningPortIsSeenInBothFamilies(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			listener, err := net.Listen("tcp", address)
			require.NoError(t, err)
			port := listener.Addr().(*net.TCPAddr).Port
			assert.True(t, listens(port))
			require.NoError(t, listener.Close())
			assert.False(t, listens(port))
		})
	}
}

func TestProgramThatEndsIsAnErrorWithWhatItWrote(t *testing.T) {
	_, err := startProcess(exec.Command("sh", "-c", "echo no port; exit 3"), filepath.Join(t.TempDir(), "log"), 1)
	require.ErrorContains(t, err, "no port")
	require.ErrorContains(t, err, "exit status 3")
}
