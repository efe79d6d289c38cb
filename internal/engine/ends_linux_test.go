//go:build amd64 || arm64

package engine_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/testenv"
)

// buildQuick builds testdata/quick for an architecture.
func buildQuick(t *testing.T, arch string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "quick")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./testdata/quick")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	return path
}

// startFor starts an engine that observes an executable, and what it emits into a sink.
func startFor(t *testing.T, mode kernel.Mode, executable string) (*engine.Engine, *spanSink) {
	t.Helper()
	sink := &spanSink{}
	opts := optionsOf(t, mode, sink)
	opts.Rules = []selection.Rule{{Executable: executable}}
	opts.RingBytes = 1 << 24 // this machine may be busy
	e := engine.New(opts)
	require.NoError(t, e.Start())
	t.Cleanup(func() {
		_, err := e.Drain(t.Context())
		assert.NoError(t, err)
		assert.NoError(t, e.Close())
	})
	return e, sink
}

// runQuick makes connections; isolated: in a network namespace of their own.
func runQuick(t *testing.T, path, address, way string, connections int, isolated bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, address, way, strconv.Itoa(connections))
	if isolated {
		cmd.Args = append(cmd.Args, "isolated")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	}
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
}

// endsOf are the spans with each pair of ends, the client's first.
func (s *spanSink) endsOf() (pairs map[[4]string]int, incomplete int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pairs = map[[4]string]int{}
	for _, span := range s.spans {
		a := span.Attributes()
		local := [2]string{text(a, "network.local.address"), text(a, "network.local.port")}
		peer := [2]string{text(a, "network.peer.address"), text(a, "network.peer.port")}
		if span.Kind() == ptrace.SpanKindServer {
			local, peer = peer, local
		}
		if local[0] == "" || local[1] == "" || peer[0] == "" || peer[1] == "" {
			incomplete++
			continue
		}
		pairs[[4]string{local[0], local[1], peer[0], peer[1]}]++
	}
	return pairs, incomplete
}

// Connections that are gone within a millisecond, of which no call asks for an address, have both at both ends.
func TestQuickConnectionsHaveBothEnds(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	path := buildQuick(t, "")
	const connections = 500
	for _, c := range []struct {
		address, way string
		isolated     bool
	}{
		{address: "0.0.0.0:0", way: "blocking"},
		{address: "0.0.0.0:0", way: "background"},
		{address: "[::]:0", way: "blocking"},
		{address: "[::]:0", way: "background"},
		{address: "0.0.0.0:0", way: "blocking", isolated: true},
		{address: "[::]:0", way: "background", isolated: true},
	} {
		name := c.address + " " + c.way
		if c.isolated {
			name += " isolated"
		}
		t.Run(name, func(t *testing.T) {
			_, sink := startFor(t, kernel.ModeSyscall, path)
			runQuick(t, path, c.address, c.way, connections, c.isolated)
			awaitTrue(t, "all spans", func() bool {
				sink.mu.Lock()
				defer sink.mu.Unlock()
				return len(sink.spans) >= 2*connections
			})
			pairs, incomplete := sink.endsOf()
			assert.Zero(t, incomplete, "spans that lack an address or a port")
			spans := 0
			for ends, n := range pairs {
				spans += n
				assert.Zero(t, n%2, "%v is not at both ends", ends)
			}
			assert.Equal(t, 2*connections, spans)
		})
	}
}
