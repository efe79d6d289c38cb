//go:build amd64 || arm64

package engine_test

import (
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

func buildQuick32(t *testing.T) string {
	t.Helper()
	return buildQuick(t, map[string]string{"amd64": "386", "arm64": "arm"}[runtime.GOARCH])
}

// startStaying starts a program that does nothing until the test ends.
func startStaying(t *testing.T, path string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, "stay")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, stdin.Close())
		_ = cmd.Wait() // the context may have ended it
	})
}

// The syscall mode sees 32-bit programs from when it has noticed the first one.
func TestTheFirst32BitProgramIsNoticed(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	path := buildQuick32(t)
	_, sink := startFor(t, kernel.ModeSyscall, path)
	startStaying(t, path)
	awaitTrue(t, "spans", func() bool {
		runQuick(t, path, "0.0.0.0:0", "blocking", 1, false)
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return len(sink.spans) > 0
	})
}

// The requests of 32-bit programs are those of any other program: over sockets that socketcall made (x86) as well.
func TestRequestsOf32BitPrograms(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	path := buildQuick32(t)
	startStaying(t, path)
	const connections = 20
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		for _, way := range []string{"blocking", "background", "message"} {
			t.Run(string(mode)+" "+way, func(t *testing.T) {
				_, sink := startFor(t, mode, path)
				runQuick(t, path, "0.0.0.0:0", way, connections, false)
				awaitTrue(t, "all spans", func() bool {
					sink.mu.Lock()
					defer sink.mu.Unlock()
					return len(sink.spans) >= 2*connections
				})
				pairs, incomplete := sink.endsOf()
				assert.Zero(t, incomplete, "spans that lack an address or a port")
				assert.Len(t, pairs, connections)
			})
		}
	}
}
