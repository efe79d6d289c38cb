//go:build amd64 || arm64

package engine_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

// The requests of 32-bit programs are those of any other program: over sockets that socketcall made (x86) as well.
func TestRequestsOf32BitPrograms(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	path := buildQuick(t, map[string]string{"amd64": "386", "arm64": "arm"}[runtime.GOARCH])
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
