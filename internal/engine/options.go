// Package engine runs the observation of a host: from a mode's ring buffers, through the packages that interpret events, to telemetry.
package engine

import (
	"context"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/fdtrack"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/metrics"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/recording"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/tlslib"
	"github.com/socketflow/socketflow/internal/trace"
)

// Options of an Engine. All are required unless their comment says otherwise.
type Options struct {
	Mode        kernel.Mode
	Attachment  kernel.Attachment
	ExcludeSelf bool // leave out the sockets of this process, and their other ends
	ExcludeOTLP bool // leave out requests that carry telemetry
	// SkipInstrumented makes no spans of what processes that export spans make some of.
	SkipInstrumented bool
	Rules            []selection.Rule // none: everything is observed
	Unix, UDP        bool             // what is followed beside TCP

	Protocols             []protocol.Configured // whose exchanges are emitted; none: no payload is captured
	TLS                   map[tlslib.Kind]bool  // the TLS libraries that are looked into; none: TLS is not
	Parents               trace.Sources         // the evidence that gives a span its parent
	ObservedNetworks      []netip.Prefix        // of other hosts whose ends of connections are observed there
	ParserMemory          int                   // bytes that the parsers hold together, at most
	CallLimit, BurstLimit int                   // bytes of payload captured of one system call, and of a burst of calls in one direction

	Shards, RingBytes  int // ring buffers, and the size of each
	PollInterval       time.Duration
	CPULimit           float64 // processors that the process may use before fewer traces are kept; 0: no limit
	UDPIdleTimeout     time.Duration
	Sockets, Processes int            // followed, and remembered, at a time, by all shards together
	Waiting            fdtrack.Limits // how long, and how much of it, waits for an address; syscall mode

	Telemetry    otlp.Options // but for HostID, Seed, Host and Full
	CommandArgs  bool         // read the arguments of processes
	BatchTimeout time.Duration
	Sink         Sink

	Metrics     metrics.Options // but for Alive, Text and Errno
	MetricsSink MetricsSink     // nil: there are no metrics

	Recording *recording.Writer // nil: nothing is recorded

	Logger *zap.Logger
	// Broken is called when a shard ends because its events cannot be read any more. Any goroutine may call it.
	Broken func(error)
	// Fault refuses kernel programs. It is for tests, and may be nil.
	Fault kernel.Fault
}

// Sink takes the telemetry of an engine.
type Sink interface {
	// Deliver takes the oldest closed batch of a builder, or the open one, and hands it on. It may block until ctx ends, and must not if ctx has ended. It is called from several goroutines, each with a
	// builder of its own.
	Deliver(ctx context.Context, from *otlp.Builder)
}

// MetricsSink takes the metrics of an engine.
type MetricsSink interface {
	// DeliverMetrics takes what a builder holds, as Sink.Deliver does. It is called from one goroutine at a time.
	DeliverMetrics(ctx context.Context, from *otlp.Measurements)
}
