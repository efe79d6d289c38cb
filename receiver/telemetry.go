package receiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/fdtrack"
	"github.com/socketflow/socketflow/internal/pending"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

// snapshot is what an instance has counted since it started, and what it holds at present. metadata.yaml says what each member
// means, under the metric that its comment names.
type snapshot struct {
	events   [event.Kinds]uint64 // kernel_events, by kind
	ringFull [event.Kinds]uint64 // kernel_events_lost, by kind
	missed   uint64              // kernel_events_missed
	mode     Mode                // kernel_programs
	programs map[string]int      // kernel_programs, by attachment

	kernelMemory uint64 // kernel_memory

	decodeErrors uint64 // decode_errors

	socketsTracked          int    // sockets_tracked
	socketsEvictedTableFull uint64 // sockets_evicted
	socketsEvictedCloseLost uint64 // sockets_evicted
	socketsStorageFailed    uint64 // sockets_untracked
	socketsAcceptUnknown    uint64 // sockets_untracked
	descriptorsFull         uint64 // sockets_untracked
	socketsIgnored          uint64 // sockets_ignored

	processesTracked          int    // processes_tracked
	processesEvictedExited    uint64 // processes_evicted
	processesEvictedLeastUsed uint64 // processes_evicted
	processesMapFull          uint64 // processes_map_full

	described process.Stats // processes_described

	connectionsOpened     uint64 // connections
	connectionsClosed     uint64 // connections
	connectionsFailed     uint64 // connections
	connectionsUnaccepted uint64 // connections_unaccepted

	exchanges                 map[string]uint64         // exchanges, by protocol
	troubles                  [protocol.Troubles]uint64 // protocol_troubles, by cause
	conversationsRecognised   uint64                    // conversations
	conversationsUnrecognised uint64                    // conversations
	payloadCaptured           uint64                    // payload_bytes
	payloadSkipped            uint64                    // payload_bytes
	payloadTruncated          uint64                    // payload_bytes
	payloadLost               uint64                    // payload_bytes
	payloadOverlapping        uint64                    // payload_bytes
	callsRingFull             uint64                    // payload_missing
	callsNoBuffer             uint64                    // payload_missing
	callsFault                uint64                    // payload_missing
	dataStrays                uint64                    // data_strays

	addressesCompleted  [event.AddressSources]uint64 // addresses_completed, by source
	addressesIncomplete [pending.Causes]uint64       // addresses_incomplete, by cause
	addressesLookedUp   [fdtrack.Lookups]uint64      // addresses_looked_up, by result
	addressesRouted     [procfs.SourceWays]uint64    // addresses_routed, by way
	addressesWaited     time.Duration                // addresses_waited
	addressesWaiting    int64                        // addresses_waiting
	addressesBytes      int64                        // addresses_waiting_bytes
	descriptorsUnknown  [fdtrack.Results]uint64      // descriptors_unknown, by result
	procTablesRead      uint64                       // proc_tables_read

	refusedLogs  uint64 // items_refused
	refusedSpans uint64 // items_refused
}

// telemetry shows an instance's counters to the collector.
type telemetry struct{ registration metric.Registration }

// newTelemetry has snap called at each collection, from any goroutine, until shutdown. One call serves all metrics, so that they
// agree with each other.
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
			rows[i].observe(&s, func(value int64, attributes ...attribute.KeyValue) {
				o.ObserveInt64(rows[i].instrument, value, metric.WithAttributes(append(attributes, id)...))
			})
		}
		return nil
	}, instruments...)
	if err != nil {
		return nil, err
	}
	return &telemetry{registration: registration}, nil
}

// shutdown ends the calls of the snapshot function.
func (t *telemetry) shutdown() error { return t.registration.Unregister() }

// completingSources are those that can tell an address that was missing.
var completingSources = map[event.AddressSource]string{
	event.AddressSourceAccept: "accept", event.AddressSourceConnect: "connect", event.AddressSourceGetsockname: "getsockname",
	event.AddressSourceGetpeername: "getpeername", event.AddressSourceContainer: "container", event.AddressSourceProc: "proc",
}

// metricRow says where a metric's values are in a snapshot.
type metricRow struct {
	instrument metric.Int64Observable
	observe    func(s *snapshot, tell func(value int64, attributes ...attribute.KeyValue))
}

func metricRows(m *metadata.TelemetryBuilder) []metricRow {
	type tell = func(int64, ...attribute.KeyValue)
	var (
		byKind   = func(k event.Kind) attribute.KeyValue { return attribute.String("kind", k.String()) }
		byCause  = func(cause string) attribute.KeyValue { return attribute.String("cause", cause) }
		byResult = func(result string) attribute.KeyValue { return attribute.String("result", result) }
		bySignal = func(signal string) attribute.KeyValue { return attribute.String("signal", signal) }
	)
	return []metricRow{
		{m.SocketflowKernelEvents, func(s *snapshot, tell tell) {
			for kind := event.KindNone + 1; kind < event.Kinds; kind++ {
				tell(int64(s.events[kind]), byKind(kind))
			}
		}},
		{m.SocketflowKernelEventsLost, func(s *snapshot, tell tell) {
			for kind := event.KindNone + 1; kind < event.Kinds; kind++ {
				tell(int64(s.ringFull[kind]), byKind(kind), byCause("ring_full"))
			}
		}},
		{m.SocketflowKernelEventsMissed, func(s *snapshot, tell tell) { tell(int64(s.missed)) }},
		{m.SocketflowKernelPrograms, func(s *snapshot, tell tell) {
			for attachment, n := range s.programs {
				tell(int64(n), attribute.String("attachment", attachment), attribute.String("mode", string(s.mode)))
			}
		}},
		{m.SocketflowAddressesCompleted, func(s *snapshot, tell tell) {
			for source, name := range completingSources {
				tell(int64(s.addressesCompleted[source]), attribute.String("source", name))
			}
		}},
		{m.SocketflowAddressesIncomplete, func(s *snapshot, tell tell) {
			for cause, n := range s.addressesIncomplete {
				tell(int64(n), byCause(fdtrack.CauseName(pending.Cause(cause))))
			}
		}},
		{m.SocketflowAddressesLookedUp, func(s *snapshot, tell tell) {
			for lookup, n := range s.addressesLookedUp {
				tell(int64(n), byResult(fdtrack.Lookup(lookup).String()))
			}
		}},
		{m.SocketflowAddressesRouted, func(s *snapshot, tell tell) {
			for way, n := range s.addressesRouted {
				tell(int64(n), attribute.String("way", procfs.SourceWay(way).String()))
			}
		}},
		{m.SocketflowProcTablesRead, func(s *snapshot, tell tell) { tell(int64(s.procTablesRead)) }},
		{m.SocketflowAddressesWaited, func(s *snapshot, tell tell) { tell(s.addressesWaited.Milliseconds()) }},
		{m.SocketflowAddressesWaiting, func(s *snapshot, tell tell) { tell(s.addressesWaiting) }},
		{m.SocketflowAddressesWaitingBytes, func(s *snapshot, tell tell) { tell(s.addressesBytes) }},
		{m.SocketflowDescriptorsUnknown, func(s *snapshot, tell tell) {
			for result, n := range s.descriptorsUnknown {
				tell(int64(n), byResult(fdtrack.Result(result).String()))
			}
		}},
		{m.SocketflowKernelMemory, func(s *snapshot, tell tell) { tell(int64(s.kernelMemory)) }},
		{m.SocketflowDecodeErrors, func(s *snapshot, tell tell) { tell(int64(s.decodeErrors)) }},
		{m.SocketflowSocketsTracked, func(s *snapshot, tell tell) { tell(int64(s.socketsTracked)) }},
		{m.SocketflowSocketsEvicted, func(s *snapshot, tell tell) {
			tell(int64(s.socketsEvictedTableFull), byCause("table_full"))
			tell(int64(s.socketsEvictedCloseLost), byCause("close_lost"))
		}},
		{m.SocketflowSocketsUntracked, func(s *snapshot, tell tell) {
			tell(int64(s.socketsStorageFailed), byCause("storage_failed"))
			tell(int64(s.socketsAcceptUnknown), byCause("accept_unknown"))
			tell(int64(s.descriptorsFull), byCause("descriptors_full"))
		}},
		{m.SocketflowSocketsIgnored, func(s *snapshot, tell tell) { tell(int64(s.socketsIgnored)) }},
		{m.SocketflowProcessesTracked, func(s *snapshot, tell tell) { tell(int64(s.processesTracked)) }},
		{m.SocketflowProcessesEvicted, func(s *snapshot, tell tell) {
			tell(int64(s.processesEvictedExited), byCause("exited"))
			tell(int64(s.processesEvictedLeastUsed), byCause("least_used"))
		}},
		{m.SocketflowProcessesDescribed, func(s *snapshot, tell tell) {
			d := &s.described
			for source, n := range map[string]uint64{
				"kernel": d.Snapshot, "proc": d.Read, "denied": d.Denied, "gone": d.Gone, "changed": d.Changed + d.Exec,
				"failed": d.Failed,
			} {
				tell(int64(n), attribute.String("source", source))
			}
		}},
		{m.SocketflowProcessesMapFull, func(s *snapshot, tell tell) { tell(int64(s.processesMapFull)) }},
		{m.SocketflowConnections, func(s *snapshot, tell tell) {
			tell(int64(s.connectionsOpened), byResult("opened"))
			tell(int64(s.connectionsClosed), byResult("closed"))
			tell(int64(s.connectionsFailed), byResult("failed"))
		}},
		{m.SocketflowConnectionsUnaccepted, func(s *snapshot, tell tell) { tell(int64(s.connectionsUnaccepted)) }},
		{m.SocketflowExchanges, func(s *snapshot, tell tell) {
			for name, n := range s.exchanges {
				tell(int64(n), attribute.String("protocol", name))
			}
		}},
		{m.SocketflowProtocolTroubles, func(s *snapshot, tell tell) {
			for trouble := range protocol.Troubles {
				tell(int64(s.troubles[trouble]), byCause(trouble.String()))
			}
		}},
		{m.SocketflowConversations, func(s *snapshot, tell tell) {
			tell(int64(s.conversationsRecognised), byResult("recognised"))
			tell(int64(s.conversationsUnrecognised), byResult("unrecognised"))
		}},
		{m.SocketflowPayloadBytes, func(s *snapshot, tell tell) {
			tell(int64(s.payloadCaptured), byResult("captured"))
			tell(int64(s.payloadSkipped), byResult("skipped"))
			tell(int64(s.payloadTruncated), byResult("truncated"))
			tell(int64(s.payloadLost), byResult("lost"))
			tell(int64(s.payloadOverlapping), byResult("overlapping"))
		}},
		{m.SocketflowPayloadMissing, func(s *snapshot, tell tell) {
			tell(int64(s.callsRingFull), byCause("ring_full"))
			tell(int64(s.callsNoBuffer), byCause("no_buffer"))
			tell(int64(s.callsFault), byCause("fault"))
		}},
		{m.SocketflowDataStrays, func(s *snapshot, tell tell) { tell(int64(s.dataStrays)) }},
		{m.SocketflowItemsRefused, func(s *snapshot, tell tell) {
			tell(int64(s.refusedLogs), bySignal("logs"))
			tell(int64(s.refusedSpans), bySignal("spans"))
		}},
	}
}
