//go:build amd64 || arm64

package engine_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/registry"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/testenv"
)

// startHost starts an engine that observes this process' end of the connections between the hosts, and nothing else. Engines have nothing in common.
func startHost(t *testing.T, role ptrace.SpanKind, change func(*engine.Options)) (sink *endsSink, stop func()) {
	t.Helper()
	sink = newEndsSink()
	opts := optionsOf(t, kernel.ModeSocket, sink)
	opts.Shards, opts.RingBytes, opts.ParserMemory = 2, 1<<24, 1<<26
	rule := selection.Rule{PID: uint32(os.Getpid())}
	if role == ptrace.SpanKindClient {
		rule.RemotePort = ports.Range{Low: publicPort, High: publicPort}
	} else {
		rule.LocalPort = ports.Range{Low: serverPort, High: serverPort}
	}
	var err error
	opts.Protocols, err = registry.Configured(registry.Configs(), protocol.Limits{HeadBytes: 1 << 14, Outstanding: 4096})
	require.NoError(t, err)
	opts.Rules = []selection.Rule{rule}
	if change != nil {
		change(&opts)
	}
	e := engine.New(opts)
	require.NoError(t, e.Start())
	return sink, func() {
		_, err := e.Drain(context.WithoutCancel(t.Context()))
		assert.NoError(t, err)
		assert.NoError(t, e.Close())
	}
}

// One collector on a host whose containers these are knows both ends.
func TestContainersOfOneHostBehindNATAreJoined(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	client, server := newHosts(t)
	serveAll(t, server.listen(t, net.ListenConfig{}, fmt.Sprintf("%s:%d", serverAddress, serverPort)))
	sink, stop := startHost(t, ptrace.SpanKindClient, func(o *engine.Options) {
		o.Rules = append(o.Rules, selection.Rule{PID: uint32(os.Getpid()), LocalPort: ports.Range{Low: serverPort, High: serverPort}})
		o.BatchTimeout = time.Second // this machine may be busy
	})
	defer stop()
	const each = 500
	for _, p := range protocolsBetweenHosts {
		p.ask(t, client, each)
	}
	awaitTrue(t, "all spans", func() bool { return sink.has(4 * each) })
	traces, children, wrong := sink.joined()
	assert.Equal(t, 4*each, traces, "requests in one trace")
	assert.Equal(t, 4*each, children, "servers' spans that are children of their clients'")
	assert.Zero(t, wrong, "servers' spans with another parent")
	for subject, span := range sink.spans[ptrace.SpanKindClient] {
		port, _ := span.Attributes().Get("socketflow.peer.port")
		require.Equal(t, publicAddress, text(span.Attributes(), "network.peer.address"), subject)
		require.Equal(t, serverAddress, text(span.Attributes(), "socketflow.peer.address"), subject)
		require.EqualValues(t, serverPort, port.Int(), subject)
	}
	for subject, span := range sink.spans[ptrace.SpanKindServer] {
		require.Empty(t, text(span.Attributes(), "socketflow.peer.address"), subject)
	}
}

// merge puts the spans of two hosts together, as a backend does.
func merge(hosts ...*endsSink) *endsSink {
	all := newEndsSink()
	for _, h := range hosts {
		h.mu.Lock()
		for kind, spans := range h.spans {
			for subject, span := range spans {
				all.spans[kind][subject] = span
				all.ids[span.SpanID()]++
			}
		}
		h.mu.Unlock()
	}
	return all
}

// crossed counts the spans of servers that share a trace with the client's span of another request.
func (s *endsSink) crossed() (crossed int) {
	of := map[pcommon.TraceID]string{}
	for subject, span := range s.spans[ptrace.SpanKindClient] {
		of[span.TraceID()] = subject
	}
	for subject, span := range s.spans[ptrace.SpanKindServer] {
		if asked, shared := of[span.TraceID()]; shared && asked != subject {
			crossed++
		}
	}
	return crossed
}

// Two hosts that know nothing of each other give both ends of each request the same trace, although there is NAT between them.
func TestTwoHostsGiveARequestOneTrace(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	client, server := newHosts(t)
	serveAll(t, server.listen(t, net.ListenConfig{}, fmt.Sprintf("%s:%d", serverAddress, serverPort)))
	const each = 2500
	for name, test := range map[string]struct {
		networks []netip.Prefix
		children int
	}{
		"client's host is not known to be observed": {nil, 0},
		"client's host is observed":                 {[]netip.Prefix{netip.MustParsePrefix(serversPeer + "/32")}, 4 * each},
	} {
		t.Run(name, func(t *testing.T) {
			atClient, stopClient := startHost(t, ptrace.SpanKindClient, nil)
			defer stopClient()
			atServer, stopServer := startHost(t, ptrace.SpanKindServer, func(o *engine.Options) { o.ObservedNetworks = test.networks })
			defer stopServer()
			for _, p := range protocolsBetweenHosts {
				p.ask(t, client, each)
			}
			var all *endsSink
			awaitTrue(t, "all spans", func() bool {
				all = merge(atClient, atServer)
				return all.has(4 * each)
			})
			traces, children, wrong := all.joined()
			assert.Equal(t, 4*each, traces, "requests in one trace")
			assert.Equal(t, test.children, children, "servers' spans that are children of their clients'")
			assert.Zero(t, wrong, "servers' spans with another parent")
			assert.Zero(t, all.crossed(), "traces of two requests")
			assert.Len(t, all.ids, 2*4*each, "span ids")
		})
	}
}

// What is joined although much was lost is joined rightly.
func TestTwoHostsJoinRightlyAfterLosses(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	client, server := newHosts(t)
	serveAll(t, server.listen(t, net.ListenConfig{}, fmt.Sprintf("%s:%d", serverAddress, serverPort)))
	tiny := func(o *engine.Options) {
		o.Shards, o.RingBytes = 1, os.Getpagesize()
		o.ObservedNetworks = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16")}
	}
	atClient, stopClient := startHost(t, ptrace.SpanKindClient, tiny)
	atServer, stopServer := startHost(t, ptrace.SpanKindServer, tiny)
	const each = 2500
	for _, p := range protocolsBetweenHosts {
		p.ask(t, client, each)
	}
	stopClient()
	stopServer()
	all := merge(atClient, atServer)
	traces, children, _ := all.joined()
	t.Logf("of %d requests %d clients' spans and %d servers', %d joined, %d as children", 4*each,
		len(all.spans[ptrace.SpanKindClient]), len(all.spans[ptrace.SpanKindServer]), traces, children)
	assert.Positive(t, traces)
	assert.Less(t, traces, 4*each, "nothing was lost")
	assert.Equal(t, traces, children)
	assert.Zero(t, all.crossed(), "traces of two requests")
}
