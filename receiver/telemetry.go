package receiver

import (
	"context"

	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/fdtrack"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/pending"
	"github.com/socketflow/socketflow/internal/procfs"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/trace"
	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

// telemetry publishes an instance's counters as metrics of the collector.
type telemetry struct{ registration metric.Registration }

// snapshot is what the engine has counted, and how many of its items the pipeline has refused.
type snapshot struct {
	engine.Snapshot
	refused items // items_refused
}

// newTelemetry registers snap, which is called at each collection, from any goroutine, until shutdown. One call serves all metrics, so
// that they agree with each other.
func newTelemetry(set receiver.Settings, snap func() snapshot) (*telemetry, error) {
	metrics, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	rows := metricRows(metrics)
	instruments := make([]metric.Observable, len(rows))
	for i := range rows {
		instruments[i] = rows[i].instrument
	}
	id := attribute.String("receiver", set.ID.String())
	registration, err := metadata.Meter(set.TelemetrySettings).RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := snap()
		for i := range rows {
			rows[i].read(&s, func(value int64, attributes ...attribute.KeyValue) {
				o.ObserveInt64(rows[i].instrument, value, metric.WithAttributes(append(attributes, id)...))
			})
		}
		if s.Mode == ModeSyscall {
			o.ObserveFloat64(metrics.SocketflowAddressesWaited, s.AddressesWaited.Seconds(), metric.WithAttributes(id))
		}
		return nil
	}, append(instruments, metrics.SocketflowAddressesWaited)...)
	if err != nil {
		return nil, err
	}
	return &telemetry{registration: registration}, nil
}

// shutdown ends the calls of the snapshot function.
func (t *telemetry) shutdown() error { return t.registration.Unregister() }

// completingSources are the sources of addresses that were missing at first.
var completingSources = map[event.AddressSource]string{
	event.AddressSourceAccept: "accept", event.AddressSourceConnect: "connect", event.AddressSourceGetsockname: "getsockname",
	event.AddressSourceGetpeername: "getpeername", event.AddressSourceContainer: "container", event.AddressSourceProc: "proc",
}

// metricRow reads a metric's values from a snapshot.
type metricRow struct {
	instrument metric.Int64Observable
	read       func(s *snapshot, observe func(value int64, attributes ...attribute.KeyValue))
}

// ofSyscallMode are rows that have series in the syscall mode only.
func ofSyscallMode(rows []metricRow) []metricRow {
	for i := range rows {
		read := rows[i].read
		rows[i].read = func(s *snapshot, observe func(value int64, attributes ...attribute.KeyValue)) {
			if s.Mode == ModeSyscall {
				read(s, observe)
			}
		}
	}
	return rows
}

func metricRows(m *metadata.TelemetryBuilder) []metricRow {
	type observe = func(int64, ...attribute.KeyValue)
	var (
		byKind   = func(k event.Kind) attribute.KeyValue { return attribute.String("kind", k.String()) }
		byCause  = func(cause string) attribute.KeyValue { return attribute.String("cause", cause) }
		byResult = func(result string) attribute.KeyValue { return attribute.String("result", result) }
		bySignal = func(signal string) attribute.KeyValue { return attribute.String("signal", signal) }
	)
	return append([]metricRow{
		{m.SocketflowKernelEvents, func(s *snapshot, observe observe) {
			for kind := event.KindNone + 1; kind < event.Kinds; kind++ {
				observe(int64(s.Events[kind]), byKind(kind))
			}
		}},
		{m.SocketflowKernelEventsLost, func(s *snapshot, observe observe) {
			for kind := event.KindNone + 1; kind < event.Kinds; kind++ {
				observe(int64(s.RingFull[kind]), byKind(kind), byCause("ring_full"))
			}
		}},
		{m.SocketflowKernelEventsMissed, func(s *snapshot, observe observe) { observe(int64(s.Missed)) }},
		{m.SocketflowKernelProgramsUnavailable, func(s *snapshot, observe observe) {
			for _, p := range s.Statuses {
				if p.State != kernel.ProgramAttached {
					observe(1, attribute.String("program", p.Program), attribute.String("hook", p.Hook),
						attribute.String("state", p.State.String()), attribute.String("mode", string(s.Mode)))
				}
			}
		}},
		{m.SocketflowKernelPrograms, func(s *snapshot, observe observe) {
			for attachment, n := range s.Programs {
				observe(int64(n), attribute.String("attachment", attachment), attribute.String("mode", string(s.Mode)))
			}
		}},
		{m.SocketflowKernelMemory, func(s *snapshot, observe observe) { observe(int64(s.KernelMemory)) }},
		{m.SocketflowDecodeErrors, func(s *snapshot, observe observe) { observe(int64(s.DecodeErrors)) }},
		{m.SocketflowSocketsTracked, func(s *snapshot, observe observe) { observe(int64(s.SocketsTracked)) }},
		{m.SocketflowSocketsEvicted, func(s *snapshot, observe observe) {
			observe(int64(s.SocketsEvictedTableFull), byCause("table_full"))
			observe(int64(s.SocketsEvictedCloseLost), byCause("close_lost"))
		}},
		{m.SocketflowSocketsUntracked, func(s *snapshot, observe observe) {
			observe(int64(s.SocketsStorageFailed), byCause("storage_failed"))
			observe(int64(s.SocketsAcceptUnknown), byCause("accept_unknown"))
			if s.Mode == ModeSyscall {
				observe(int64(s.DescriptorsFull), byCause("descriptors_full"))
			}
		}},
		{m.SocketflowSocketsIgnored, func(s *snapshot, observe observe) { observe(int64(s.SocketsIgnored)) }},
		{m.SocketflowProcessesTracked, func(s *snapshot, observe observe) { observe(int64(s.ProcessesTracked)) }},
		{m.SocketflowProcessesEvicted, func(s *snapshot, observe observe) {
			observe(int64(s.ProcessesEvictedExited), byCause("exited"))
			observe(int64(s.ProcessesEvictedLeastUsed), byCause("least_used"))
			observe(int64(s.ProcessesForgotten), byCause("instrumented"))
		}},
		{m.SocketflowProcessesDescribed, func(s *snapshot, observe observe) {
			d := &s.Described
			for source, n := range map[string]uint64{
				"kernel": d.Snapshot, "proc": d.Read, "denied": d.Denied, "gone": d.Gone, "changed": d.Changed + d.Exec,
				"failed": d.Failed,
			} {
				observe(int64(n), attribute.String("source", source))
			}
		}},
		{m.SocketflowContainerNamesFailed, func(s *snapshot, observe observe) { observe(int64(s.Described.NamesFailed)) }},
		{m.SocketflowPeerNamesRemembered, func(s *snapshot, observe observe) { observe(int64(s.PeerNames.Remembered)) }},
		{m.SocketflowPeerNamesEvicted, func(s *snapshot, observe observe) { observe(int64(s.PeerNames.Evicted)) }},
		{m.SocketflowProcessesMapFull, func(s *snapshot, observe observe) { observe(int64(s.ProcessesMapFull)) }},
		{m.SocketflowAttributesTruncated, func(s *snapshot, observe observe) { observe(int64(s.AttributesTruncated)) }},
		{m.SocketflowSeries, func(s *snapshot, observe observe) { observe(int64(s.Series)) }},
		{m.SocketflowEndsUnmatched, func(s *snapshot, observe observe) {
			both := min(s.EndsAsked, s.EndsAsking)
			observe(int64(s.EndsAsking-both), attribute.String("end", "client"))
			observe(int64(s.EndsAsked-both), attribute.String("end", "server"))
		}},
		{m.SocketflowPeersForgotten, func(s *snapshot, observe observe) { observe(int64(s.PeersForgotten)) }},
		{m.SocketflowPeersUnsettled, func(s *snapshot, observe observe) { observe(int64(s.MeasuredUnknown)) }},
		{m.SocketflowSeriesOverflowed, func(s *snapshot, observe observe) { observe(int64(s.SeriesOverflowed)) }},
		{m.SocketflowProcessesInstrumented, func(s *snapshot, observe observe) { observe(s.ProcessesInstrumented) }},
		{m.SocketflowSpansInstrumented, func(s *snapshot, observe observe) { observe(int64(s.SpansInstrumented)) }},
		{m.SocketflowParents, func(s *snapshot, observe observe) {
			for source, n := range s.Parents {
				name := trace.Source(source).String()
				if name == "" {
					name = "none"
				}
				observe(int64(n), attribute.String("source", name))
			}
		}},
		{m.SocketflowExchangesForgotten, func(s *snapshot, observe observe) { observe(int64(s.ExchangesForgotten)) }},
		{m.SocketflowExchangesUnsettled, func(s *snapshot, observe observe) { observe(int64(s.ExchangesUnsettled)) }},
		{m.SocketflowSpansSampledOut, func(s *snapshot, observe observe) {
			observe(int64(s.SampledOutByRatio), byCause(sampling.OutByRatio.String()))
			observe(int64(s.SampledOutByLimit), byCause(sampling.OutByLimit.String()))
			observe(int64(s.SampledOutByParent), byCause(sampling.OutByParent.String()))
		}},
		{m.SocketflowConnections, func(s *snapshot, observe observe) {
			observe(int64(s.ConnectionsOpened), byResult("opened"))
			observe(int64(s.ConnectionsClosed), byResult("closed"))
			observe(int64(s.ConnectionsFailed), byResult("failed"))
		}},
		{m.SocketflowConnectionsUnaccepted, func(s *snapshot, observe observe) { observe(int64(s.ConnectionsUnaccepted)) }},
		{m.SocketflowLeftOut, func(s *snapshot, observe observe) {
			observe(int64(s.ConnectionsOtherEnd), byCause("other_end"))
			observe(int64(s.ExchangesOmitted), byCause("otlp"))
		}},
		{m.SocketflowExchanges, func(s *snapshot, observe observe) {
			for name, n := range s.Exchanges {
				observe(int64(n), attribute.String("protocol", name))
			}
		}},
		{m.SocketflowParseErrors, func(s *snapshot, observe observe) {
			for parseError := range protocol.ParseErrors {
				observe(int64(s.ParseErrors[parseError]), byCause(parseError.String()))
			}
		}},
		{m.SocketflowConversationMemory, func(s *snapshot, observe observe) { observe(s.ConversationMemory) }},
		{m.SocketflowConversations, func(s *snapshot, observe observe) {
			observe(int64(s.ConversationsRecognised), byResult("recognised"))
			observe(int64(s.ConversationsUnrecognised), byResult("unrecognised"))
			observe(int64(s.ConversationsOverMemory), byResult("over_memory"))
		}},
		{m.SocketflowPayloadBytes, func(s *snapshot, observe observe) {
			observe(int64(s.PayloadCaptured), byResult("captured"))
			observe(int64(s.PayloadSkipped), byResult("skipped"))
			observe(int64(s.PayloadTruncated), byResult("truncated"))
			observe(int64(s.PayloadLost), byResult("lost"))
			observe(int64(s.PayloadOverlapping), byResult("overlapping"))
		}},
		{m.SocketflowPayloadMissing, func(s *snapshot, observe observe) {
			observe(int64(s.CallsRingFull), byCause("ring_full"))
			observe(int64(s.CallsNoBuffer), byCause("no_buffer"))
			observe(int64(s.CallsFault), byCause("fault"))
		}},
		{m.SocketflowDatagramsMissed, func(s *snapshot, observe observe) {
			observe(int64(s.DatagramsBudget), byCause("budget"))
			observe(int64(s.DatagramsBatchRest), byCause("batch"))
		}},
		{m.SocketflowTLSCallsMissed, func(s *snapshot, observe observe) {
			observe(int64(s.TLSUntied), byCause("untied"))
			observe(int64(s.TLSUnmatched), byCause("unmatched"))
		}},
		{m.SocketflowTLSCallsWaiting, func(s *snapshot, observe observe) { observe(int64(s.TLSWaiting)) }},
		{m.SocketflowTLSLibraries, func(s *snapshot, observe observe) {
			observe(int64(s.Libraries.Observed), byResult("observed"))
			observe(int64(s.Libraries.Refused), byResult("refused"))
		}},
		{m.SocketflowFlowsReopened, func(s *snapshot, observe observe) { observe(int64(s.FlowsReopened)) }},
		{m.SocketflowDataStrays, func(s *snapshot, observe observe) { observe(int64(s.DataStrays)) }},
		{m.SocketflowItemsRefused, func(s *snapshot, observe observe) {
			observe(int64(s.refused.records), bySignal("logs"))
			observe(int64(s.refused.spans), bySignal("spans"))
			observe(int64(s.refused.points), bySignal("metrics"))
		}},
	}, ofSyscallMode([]metricRow{
		{m.SocketflowAddressesCompleted, func(s *snapshot, observe observe) {
			for source, name := range completingSources {
				observe(int64(s.AddressesCompleted[source]), attribute.String("source", name))
			}
		}},
		{m.SocketflowAddressesIncomplete, func(s *snapshot, observe observe) {
			for cause, n := range s.AddressesIncomplete {
				observe(int64(n), byCause(fdtrack.CauseName(pending.Cause(cause))))
			}
		}},
		{m.SocketflowAddressesLookedUp, func(s *snapshot, observe observe) {
			for lookup, n := range s.AddressesLookedUp {
				observe(int64(n), byResult(fdtrack.Lookup(lookup).String()))
			}
		}},
		{m.SocketflowAddressesRouted, func(s *snapshot, observe observe) {
			for way, n := range s.AddressesRouted {
				observe(int64(n), attribute.String("way", procfs.SourceWay(way).String()))
			}
		}},
		{m.SocketflowProcTablesRead, func(s *snapshot, observe observe) { observe(int64(s.ProcTablesRead)) }},
		{m.SocketflowAddressesWaiting, func(s *snapshot, observe observe) { observe(s.AddressesWaiting) }},
		{m.SocketflowAddressesWaitingBytes, func(s *snapshot, observe observe) { observe(s.AddressesBytes) }},
		{m.SocketflowDescriptorsUnknown, func(s *snapshot, observe observe) {
			for result, n := range s.DescriptorsUnknown {
				observe(int64(n), byResult(fdtrack.Result(result).String()))
			}
		}},
	})...)
}
