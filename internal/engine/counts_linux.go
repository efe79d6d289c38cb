//go:build amd64 || arm64

package engine

import (
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/fdtrack"
	"github.com/socketflow/socketflow/internal/procfs"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// Snapshot gathers all counters of the engine and its parts. It may be called from any goroutine between Start and Close.
func (e *Engine) Snapshot() Snapshot {
	s := Snapshot{
		Mode:         e.mode,
		KernelMemory: e.kernelMemory,
		Statuses:     e.tracer.Programs(),
		DecodeErrors: e.decode.Load(),
		Programs:     map[string]int{},
		Exchanges:    map[string]uint64{},
	}
	for _, p := range e.opts.Protocols {
		if !p.Preamble {
			s.Exchanges[p.Name] = 0
		}
	}
	for _, hook := range e.tracer.Attached() {
		attachment, _, _ := strings.Cut(hook, "/")
		s.Programs[attachment]++
	}
	counters, err := e.tracer.Counters()
	if err != nil {
		e.opts.Logger.Error("the kernel's counters are missing from the metrics", zap.Error(err))
	}
	s.Described = e.processes.Stats()
	if e.peerNames != nil {
		s.PeerNames = e.peerNames.Stats()
	}
	s.Events, s.RingFull, s.Missed = counters.Events, counters.RingFull, counters.Missed
	s.SocketsStorageFailed, s.SocketsAcceptUnknown = counters.StorageFailed, counters.AcceptUnknown
	s.SocketsIgnored, s.ProcessesMapFull = counters.SelectionIgnored, counters.ProcessMapFull
	s.CallsRingFull, s.CallsNoBuffer, s.CallsFault = counters.PayloadRingFull, counters.PayloadNoBuffer, counters.PayloadFault
	s.DescriptorsFull = counters.TableFull
	s.DatagramsBudget, s.DatagramsBatchRest, s.FlowsReopened = counters.DatagramBudget, counters.BatchRest, counters.FlowReopened
	s.TLSUntied, s.TLSUnmatched, s.TLSWaiting = counters.TLSUntied, counters.TLSUnmatched, counters.TLSHeld-min(counters.TLSHeld, counters.TLSFound)
	if e.libraries != nil {
		s.Libraries = e.libraries.Stats()
	}
	if e.calls != nil {
		s.countResolver(e.calls.resolver.Stats())
	}
	for _, shard := range e.shards {
		s.count(shard.table.Stats(), e.opts.Protocols)
		s.AttributesTruncated += shard.builder.Truncated()
		s.SampledOutByRatio += shard.builder.LeftOut(sampling.OutByRatio)
		s.SampledOutByLimit += shard.builder.LeftOut(sampling.OutByLimit)
		s.SampledOutByParent += shard.builder.LeftOut(sampling.OutByParent)
		for source := range s.Parents {
			s.Parents[source] += shard.builder.Parents(trace.Source(source))
		}
		if shard.recorder != nil {
			s.SeriesOverflowed += shard.recorder.Overflowed()
			s.MeasuredUnknown += shard.recorder.Unsettled()
			asked, asking := shard.recorder.Ends()
			s.EndsAsked += asked
			s.EndsAsking += asking
		}
		if shard.tracker != nil {
			s.countTracking(shard.tracker.Stats())
		}
	}
	if m := e.measuring; m != nil {
		s.Series = m.store.Used()
		s.PeersForgotten = m.owners.Forgotten()
		s.AttributesTruncated += m.builder.Truncated()
	}
	if e.instrumented != nil {
		s.ProcessesInstrumented, s.ProcessesForgotten = e.instrumented.Count(), e.instrumented.Forgotten()
	}
	s.ExchangesForgotten, s.ExchangesUnsettled = e.exchanges.Forgotten(), e.exchanges.Unsettled()
	return s
}

// count adds a table's statistics to a snapshot.
func (s *Snapshot) count(stats *socket.Stats, protocols []protocol.Configured) {
	s.SocketsTracked += int(stats.Tracked.Load())
	s.SocketsEvictedTableFull += stats.EvictedFull.Load()
	s.SocketsEvictedCloseLost += stats.EvictedLost.Load()
	s.ProcessesTracked += int(stats.Processes.Load())
	s.ProcessesEvictedExited += stats.EvictedExited.Load()
	s.ProcessesEvictedLeastUsed += stats.EvictedLive.Load()
	s.ConnectionsOpened += stats.Opened.Load()
	s.ConnectionsClosed += stats.Closed.Load()
	s.ConnectionsFailed += stats.Failed.Load()
	s.ConnectionsUnaccepted += stats.Unaccepted.Load()
	s.ConnectionsOtherEnd += stats.OtherEnds.Load()
	s.ExchangesOmitted += stats.Omitted.Load()
	s.SpansInstrumented += stats.Unspanned.Load()
	for i := range stats.Exchanges {
		if !protocols[i].Preamble {
			s.Exchanges[protocols[i].Name] += stats.Exchanges[i].Load()
		}
	}
	for i := range stats.ParseErrors {
		s.ParseErrors[i] += stats.ParseErrors[i].Load()
	}
	s.ConversationsRecognised += stats.Recognised.Load()
	s.ConversationsUnrecognised += stats.Unrecognised.Load()
	s.ConversationsOverMemory += stats.OverMemory.Load()
	s.ConversationMemory += stats.Held.Load()
	s.PayloadCaptured += stats.Payload.Load()
	s.PayloadSkipped += stats.Skipped.Load()
	s.PayloadTruncated += stats.Truncated.Load()
	s.PayloadLost += stats.Lost.Load()
	s.PayloadOverlapping += stats.Overlapping.Load()
	s.DataStrays += stats.Strays.Load()
}

// countResolver copies a resolver's statistics into a snapshot.
func (s *Snapshot) countResolver(stats *procfs.Stats) {
	for way := range stats.Sources {
		s.AddressesRouted[way] = stats.Sources[way].Load()
	}
	s.ProcTablesRead = stats.Readings.Load() + stats.Listings.Load()
}

// countTracking adds a tracker's statistics to a snapshot.
func (s *Snapshot) countTracking(stats *fdtrack.Stats) {
	for source := range stats.Completed {
		s.AddressesCompleted[source] += stats.Completed[source].Load()
	}
	for cause := range stats.Incomplete {
		s.AddressesIncomplete[cause] += stats.Incomplete[cause].Load()
	}
	for lookup := range stats.Lookups {
		s.AddressesLookedUp[lookup] += stats.Lookups[lookup].Load()
	}
	for result := range stats.Unknown {
		s.DescriptorsUnknown[result] += stats.Unknown[result].Load()
	}
	s.SocketsEvictedTableFull += stats.Evicted.Load()
	s.SocketsEvictedCloseLost += stats.HoldersLost.Load()
	s.SocketsStorageFailed += stats.AdoptsFailed.Load()
	s.AddressesWaited += time.Duration(stats.Pending.Waited.Load())
	s.AddressesWaiting += stats.Pending.Keys.Load()
	s.AddressesBytes += stats.Pending.Bytes.Load()
}
