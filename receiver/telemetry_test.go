package receiver

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/fdtrack"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/libraries"
	"github.com/socketflow/socketflow/internal/peername"
	"github.com/socketflow/socketflow/internal/pending"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/trace"
	"github.com/socketflow/socketflow/receiver/internal/metadata"
	"github.com/socketflow/socketflow/receiver/internal/metadatatest"
)

func pointsOf(t *testing.T, m metricdata.Metrics) []metricdata.DataPoint[int64] {
	t.Helper()
	sum, ok := m.Data.(metricdata.Sum[int64])
	require.True(t, ok, "%s is %T", m.Name, m.Data)
	return sum.DataPoints
}

func point(value int64, attributes ...string) metricdata.DataPoint[int64] {
	var set []attribute.KeyValue
	for i := 0; i < len(attributes); i += 2 {
		set = append(set, attribute.String(attributes[i], attributes[i+1]))
	}
	set = append(set, attribute.String("receiver", "socketflow"))
	return metricdata.DataPoint[int64]{Value: value, Attributes: attribute.NewSet(set...)}
}

type points = []metricdata.DataPoint[int64]

func byKind(value func(event.Kind) int64, attributes ...string) (all points) {
	for k := event.KindNone + 1; k < event.Kinds; k++ {
		all = append(all, point(value(k), append(attributes, "kind", k.String())...))
	}
	return all
}

func TestTelemetry(t *testing.T) {
	set, tel, _ := settingsOf(t)
	set.ID = component.NewID(metadata.Type)
	s := snapshot{refused: items{spans: 17, records: 16, points: 812}, Snapshot: engine.Snapshot{
		Series: 813, SeriesOverflowed: 814, MeasuredUnknown: 815, PeersForgotten: 820, EndsAsked: 816, EndsAsking: 819,
		Mode:     ModeSyscall,
		Programs: map[string]int{"tp_btf": 4, "tracepoint": 2},
		Statuses: []kernel.ProgramStatus{
			{Program: "exit", Hook: "tp_btf/exit"},
			{Program: "exec", Hook: "tp_btf/exec", State: kernel.ProgramRefused},
			{Program: "sent", Hook: "tp_btf/sent", State: kernel.ProgramReplaced},
		},
		DecodeErrors:            1,
		KernelMemory:            50,
		SocketsTracked:          2,
		SocketsEvictedTableFull: 3, SocketsEvictedCloseLost: 4,
		SocketsStorageFailed: 5, SocketsAcceptUnknown: 6, SocketsIgnored: 7, DescriptorsFull: 43,
		AddressesWaited: 44 * time.Millisecond, AddressesWaiting: 45, AddressesBytes: 46, ProcTablesRead: 48,
		ProcessesTracked: 8, ProcessesEvictedExited: 9, ProcessesEvictedLeastUsed: 10, ProcessesMapFull: 11,
		ProcessesInstrumented: 821, SpansInstrumented: 822, ProcessesForgotten: 823,
		ConnectionsOpened: 12, ConnectionsClosed: 13, ConnectionsFailed: 14, ConnectionsUnaccepted: 15,
		Exchanges:                 map[string]uint64{"http": 26},
		ParseErrors:               [protocol.ParseErrors]uint64{27, 28, 29, 30, 31},
		ConversationsRecognised:   32,
		ConversationsUnrecognised: 33, ConversationsOverMemory: 43, ConversationMemory: 44,
		TLSUntied: 61, TLSUnmatched: 62, TLSWaiting: 65, Libraries: libraries.Stats{Observed: 63, Refused: 64},
		DatagramsBudget: 51, DatagramsBatchRest: 52, FlowsReopened: 53,
		ConnectionsOtherEnd: 54, ExchangesOmitted: 55,
		AttributesTruncated: 56, Parents: [trace.SourcesCount]uint64{801, 802, 803, 804, 805, 806, 807, 808, 809, 810, 811}, ExchangesForgotten: 58, ExchangesUnsettled: 61,
		SampledOutByRatio: 59, SampledOutByLimit: 61, SampledOutByParent: 60,
		PayloadCaptured: 34, PayloadSkipped: 42, PayloadTruncated: 35, PayloadLost: 36, PayloadOverlapping: 37,
		CallsRingFull: 38, CallsNoBuffer: 39, CallsFault: 40, DataStrays: 41,
		Missed:    18,
		PeerNames: peername.Stats{Remembered: 54, Evicted: 55},
		Described: process.Stats{Snapshot: 19, Read: 20, Denied: 21, Gone: 22, Changed: 23, Exec: 24, Failed: 25, NamesFailed: 57},
	}}
	for k := range event.Kinds {
		s.Events[k], s.RingFull[k] = 100+uint64(k), 200+uint64(k)
	}
	for source := range event.AddressSources {
		s.AddressesCompleted[source] = 300 + uint64(source)
	}
	for cause := range pending.Causes {
		s.AddressesIncomplete[cause] = 400 + uint64(cause)
	}
	for lookup := range fdtrack.Lookups {
		s.AddressesLookedUp[lookup] = 600 + uint64(lookup)
	}
	for way := range procfs.SourceWays {
		s.AddressesRouted[way] = 700 + uint64(way)
	}
	for result := range fdtrack.Results {
		s.DescriptorsUnknown[result] = 500 + uint64(result)
	}
	calls := 0
	own, err := newTelemetry(set, func() snapshot { calls++; return s })
	require.NoError(t, err)

	type assertion = func(*testing.T, *componenttest.Telemetry, points, ...metricdatatest.Option)
	for name, tc := range map[string]struct {
		equal assertion
		want  points
	}{
		"kernel_events": {
			metadatatest.AssertEqualSocketflowKernelEvents, byKind(func(k event.Kind) int64 { return 100 + int64(k) }),
		},
		"kernel_events_lost": {
			metadatatest.AssertEqualSocketflowKernelEventsLost,
			byKind(func(k event.Kind) int64 { return 200 + int64(k) }, "cause", "ring_full"),
		},
		"kernel_events_missed": {metadatatest.AssertEqualSocketflowKernelEventsMissed, points{point(18)}},
		"processes_described": {
			metadatatest.AssertEqualSocketflowProcessesDescribed,
			points{
				point(19, "source", "kernel"), point(20, "source", "proc"), point(21, "source", "denied"),
				point(22, "source", "gone"), point(47, "source", "changed"), point(25, "source", "failed"),
			},
		},
		"kernel_programs": {
			metadatatest.AssertEqualSocketflowKernelPrograms,
			points{
				point(4, "attachment", "tp_btf", "mode", "syscall"), point(2, "attachment", "tracepoint", "mode", "syscall"),
			},
		},
		"kernel_programs_unavailable": {
			metadatatest.AssertEqualSocketflowKernelProgramsUnavailable,
			points{
				point(1, "program", "exec", "hook", "tp_btf/exec", "state", "refused", "mode", "syscall"),
				point(1, "program", "sent", "hook", "tp_btf/sent", "state", "replaced", "mode", "syscall"),
			},
		},
		"kernel_memory": {metadatatest.AssertEqualSocketflowKernelMemory, points{point(50)}},
		"addresses_completed": {
			metadatatest.AssertEqualSocketflowAddressesCompleted,
			points{
				point(301, "source", "accept"), point(302, "source", "connect"), point(303, "source", "getsockname"),
				point(304, "source", "getpeername"), point(305, "source", "container"), point(306, "source", "proc"),
			},
		},
		"addresses_incomplete": {
			metadatatest.AssertEqualSocketflowAddressesIncomplete,
			points{
				point(400, "cause", "timeout"), point(401, "cause", "closed"), point(402, "cause", "socket_bound"),
				point(403, "cause", "total_bound"), point(404, "cause", "evicted"), point(405, "cause", "reopened"),
				point(406, "cause", "flushed"),
			},
		},
		"addresses_looked_up": {
			metadatatest.AssertEqualSocketflowAddressesLookedUp,
			points{
				point(600, "result", "found"), point(601, "result", "reused"), point(602, "result", "gone"),
				point(603, "result", "not_listed"), point(604, "result", "unneeded"), point(605, "result", "refused"),
				point(606, "result", "failed"),
			},
		},
		"addresses_routed": {
			metadatatest.AssertEqualSocketflowAddressesRouted,
			points{point(700, "way", "own"), point(701, "way", "entered"), point(702, "way", "guarded"), point(703, "way", "gone")},
		},
		"proc_tables_read":        {metadatatest.AssertEqualSocketflowProcTablesRead, points{point(48)}},
		"addresses_waiting":       {metadatatest.AssertEqualSocketflowAddressesWaiting, points{point(45)}},
		"addresses_waiting_bytes": {metadatatest.AssertEqualSocketflowAddressesWaitingBytes, points{point(46)}},
		"descriptors_unknown": {
			metadatatest.AssertEqualSocketflowDescriptorsUnknown,
			points{
				point(500, "result", "socket"), point(501, "result", "known"), point(502, "result", "in_flight"),
				point(503, "result", "not_socket"), point(504, "result", "gone"), point(505, "result", "failed"),
				point(506, "result", "dropped"),
			},
		},
		"decode_errors":   {metadatatest.AssertEqualSocketflowDecodeErrors, points{point(1)}},
		"sockets_tracked": {metadatatest.AssertEqualSocketflowSocketsTracked, points{point(2)}},
		"sockets_evicted": {
			metadatatest.AssertEqualSocketflowSocketsEvicted,
			points{point(3, "cause", "table_full"), point(4, "cause", "close_lost")},
		},
		"sockets_untracked": {
			metadatatest.AssertEqualSocketflowSocketsUntracked,
			points{point(5, "cause", "storage_failed"), point(6, "cause", "accept_unknown"), point(43, "cause", "descriptors_full")},
		},
		"sockets_ignored":   {metadatatest.AssertEqualSocketflowSocketsIgnored, points{point(7)}},
		"processes_tracked": {metadatatest.AssertEqualSocketflowProcessesTracked, points{point(8)}},
		"processes_evicted": {
			metadatatest.AssertEqualSocketflowProcessesEvicted,
			points{point(9, "cause", "exited"), point(10, "cause", "least_used"), point(823, "cause", "instrumented")},
		},
		"processes_instrumented": {metadatatest.AssertEqualSocketflowProcessesInstrumented, points{point(821)}},
		"spans_instrumented":     {metadatatest.AssertEqualSocketflowSpansInstrumented, points{point(822)}},
		"container_names_failed": {metadatatest.AssertEqualSocketflowContainerNamesFailed, points{point(57)}},
		"peer_names_remembered":  {metadatatest.AssertEqualSocketflowPeerNamesRemembered, points{point(54)}},
		"peer_names_evicted":     {metadatatest.AssertEqualSocketflowPeerNamesEvicted, points{point(55)}},
		"processes_map_full":     {metadatatest.AssertEqualSocketflowProcessesMapFull, points{point(11)}},
		"connections": {
			metadatatest.AssertEqualSocketflowConnections,
			points{point(12, "result", "opened"), point(13, "result", "closed"), point(14, "result", "failed")},
		},
		"connections_unaccepted": {metadatatest.AssertEqualSocketflowConnectionsUnaccepted, points{point(15)}},
		"exchanges":              {metadatatest.AssertEqualSocketflowExchanges, points{point(26, "protocol", "http")}},
		"parse_errors": {
			metadatatest.AssertEqualSocketflowParseErrors,
			points{
				point(27, "cause", "malformed"), point(28, "cause", "head_too_long"), point(29, "cause", "too_many"),
				point(30, "cause", "unpaired"), point(31, "cause", "undecodable"),
			},
		},
		"exchanges_forgotten": {metadatatest.AssertEqualSocketflowExchangesForgotten, points{point(58)}},
		"exchanges_unsettled": {metadatatest.AssertEqualSocketflowExchangesUnsettled, points{point(61)}},
		"parents": {
			metadatatest.AssertEqualSocketflowParents,
			points{
				point(801, "source", "none"), point(802, "source", "wire"), point(803, "source", "peer"), point(804, "source", "thread"),
				point(805, "source", "goroutine"), point(806, "source", "request_id"), point(807, "source", "handoff"), point(808, "source", "callback"),
				point(809, "source", "forward"), point(810, "source", "only"), point(811, "source", "last"),
			},
		},
		"series":            {metadatatest.AssertEqualSocketflowSeries, points{point(813)}},
		"series_overflowed": {metadatatest.AssertEqualSocketflowSeriesOverflowed, points{point(814)}},
		"peers_forgotten":   {metadatatest.AssertEqualSocketflowPeersForgotten, points{point(820)}},
		"peers_unsettled":   {metadatatest.AssertEqualSocketflowPeersUnsettled, points{point(815)}},
		"ends_unmatched":    {metadatatest.AssertEqualSocketflowEndsUnmatched, points{point(3, "end", "client"), point(0, "end", "server")}},
		"spans_sampled_out": {
			metadatatest.AssertEqualSocketflowSpansSampledOut, points{point(59, "cause", "ratio"), point(61, "cause", "cpu_limit"), point(60, "cause", "parent")},
		},
		"attributes_truncated": {metadatatest.AssertEqualSocketflowAttributesTruncated, points{point(56)}},
		"conversation_memory":  {metadatatest.AssertEqualSocketflowConversationMemory, points{point(44)}},
		"conversations": {
			metadatatest.AssertEqualSocketflowConversations,
			points{point(32, "result", "recognised"), point(33, "result", "unrecognised"), point(43, "result", "over_memory")},
		},
		"payload_bytes": {
			metadatatest.AssertEqualSocketflowPayloadBytes,
			points{
				point(34, "result", "captured"), point(42, "result", "skipped"), point(35, "result", "truncated"), point(36, "result", "lost"),
				point(37, "result", "overlapping"),
			},
		},
		"payload_missing": {
			metadatatest.AssertEqualSocketflowPayloadMissing,
			points{point(38, "cause", "ring_full"), point(39, "cause", "no_buffer"), point(40, "cause", "fault")},
		},
		"datagrams_missed": {
			metadatatest.AssertEqualSocketflowDatagramsMissed, points{point(51, "cause", "budget"), point(52, "cause", "batch")},
		},
		"tls_calls_missed": {
			metadatatest.AssertEqualSocketflowTLSCallsMissed, points{point(61, "cause", "untied"), point(62, "cause", "unmatched")},
		},
		"tls_calls_waiting": {metadatatest.AssertEqualSocketflowTLSCallsWaiting, points{point(65)}},
		"tls_libraries": {
			metadatatest.AssertEqualSocketflowTLSLibraries, points{point(63, "result", "observed"), point(64, "result", "refused")},
		},
		"flows_reopened": {metadatatest.AssertEqualSocketflowFlowsReopened, points{point(53)}},
		"data_strays":    {metadatatest.AssertEqualSocketflowDataStrays, points{point(41)}},
		"left_out":       {metadatatest.AssertEqualSocketflowLeftOut, points{point(54, "cause", "other_end"), point(55, "cause", "otlp")}},
		"items_refused": {
			metadatatest.AssertEqualSocketflowItemsRefused, points{point(16, "signal", "logs"), point(17, "signal", "spans"), point(812, "signal", "metrics")},
		},
	} {
		t.Run(name, func(t *testing.T) { tc.equal(t, tel, tc.want, metricdatatest.IgnoreTimestamp()) })
	}
	t.Run("addresses_waited", func(t *testing.T) {
		metadatatest.AssertEqualSocketflowAddressesWaited(t, tel, []metricdata.DataPoint[float64]{
			{Value: 0.044, Attributes: point(0).Attributes},
		}, metricdatatest.IgnoreTimestamp())
	})
	assert.Equal(t, 55, calls, "one snapshot per collection, of which each metric above asked for one")

	require.NoError(t, own.shutdown())
	_, err = tel.GetMetric("otelcol_socketflow_sockets_tracked")
	require.Error(t, err, "after shutdown nothing is observed")
	assert.Equal(t, 55, calls)
}

// What only the syscall mode has is absent in the socket mode.
func TestTelemetryOfTheModeThatDoesNotRunIsAbsent(t *testing.T) {
	set, tel, _ := settingsOf(t)
	s := snapshot{Snapshot: engine.Snapshot{Mode: ModeSocket, AddressesWaited: time.Second, DescriptorsFull: 1}}
	own, err := newTelemetry(set, func() snapshot { return s })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, own.shutdown()) })
	for _, name := range []string{
		"addresses_completed", "addresses_incomplete", "addresses_looked_up", "addresses_routed", "addresses_waited", "addresses_waiting",
		"addresses_waiting_bytes", "descriptors_unknown", "proc_tables_read",
	} {
		_, err := tel.GetMetric("otelcol_socketflow_" + name)
		assert.Error(t, err, name)
	}
	m, err := tel.GetMetric("otelcol_socketflow_sockets_untracked")
	require.NoError(t, err)
	for _, p := range pointsOf(t, m) {
		cause, _ := p.Attributes.Value("cause")
		assert.NotEqual(t, "descriptors_full", cause.AsString())
	}
}

// Two instances in one collector share a meter; each has points of its own.
func TestTelemetryOfTwoInstances(t *testing.T) {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	for i, name := range []string{"a", "b"} {
		set := receivertest.NewNopSettings(metadata.Type)
		set.TelemetrySettings = tel.NewTelemetrySettings()
		set.ID = component.NewIDWithName(metadata.Type, name)
		own, err := newTelemetry(set, func() snapshot { return snapshot{Snapshot: engine.Snapshot{SocketsTracked: i + 1}} })
		require.NoError(t, err)
		defer func() { require.NoError(t, own.shutdown()) }()
	}
	m, err := tel.GetMetric("otelcol_socketflow_sockets_tracked")
	require.NoError(t, err)
	got := map[string]int64{}
	for _, p := range pointsOf(t, m) {
		id, _ := p.Attributes.Value("receiver")
		got[id.AsString()] = p.Value
	}
	assert.Equal(t, map[string]int64{"socketflow/a": 1, "socketflow/b": 2}, got)
}
