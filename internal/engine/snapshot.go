package engine

import (
	"time"

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
)

// Snapshot is what an engine has counted since it started, and what it holds at present. The comment of each member names its metric;
// metadata.yaml describes the metrics.
type Snapshot struct {
	Events   [event.Kinds]uint64 // kernel_events, by kind
	RingFull [event.Kinds]uint64 // kernel_events_lost, by kind
	Missed   uint64              // kernel_events_missed
	Mode     kernel.Mode         // kernel_programs
	Programs map[string]int      // kernel_programs, by attachment
	// kernel_programs_unavailable: all of the mode, those that are attached too
	Statuses []kernel.ProgramStatus

	KernelMemory uint64 // kernel_memory

	DecodeErrors uint64 // decode_errors

	SocketsTracked          int    // sockets_tracked
	SocketsEvictedTableFull uint64 // sockets_evicted
	SocketsEvictedCloseLost uint64 // sockets_evicted
	SocketsStorageFailed    uint64 // sockets_untracked
	SocketsAcceptUnknown    uint64 // sockets_untracked
	DescriptorsFull         uint64 // sockets_untracked
	SocketsIgnored          uint64 // sockets_ignored

	ProcessesTracked          int    // processes_tracked
	ProcessesEvictedExited    uint64 // processes_evicted
	ProcessesEvictedLeastUsed uint64 // processes_evicted
	ProcessesMapFull          uint64 // processes_map_full
	ProcessesInstrumented     int64  // processes_instrumented
	ProcessesForgotten        uint64 // processes_evicted

	Described process.Stats // processes_described, container_names_failed

	PeerNames peername.Stats // peer_names_remembered, peer_names_evicted

	ConnectionsOpened     uint64 // connections
	ConnectionsClosed     uint64 // connections
	ConnectionsFailed     uint64 // connections
	ConnectionsUnaccepted uint64 // connections_unaccepted
	ConnectionsOtherEnd   uint64 // left_out
	ExchangesOmitted      uint64 // left_out

	Series           int    // series
	SeriesOverflowed uint64 // series_overflowed
	MeasuredUnknown  uint64 // peers_unsettled
	PeersForgotten   uint64 // peers_forgotten
	EndsAsked        uint64 // ends_unmatched
	EndsAsking       uint64 // ends_unmatched

	AttributesTruncated uint64 // attributes_truncated
	Parents             [trace.SourcesCount]uint64
	ExchangesForgotten  uint64 // exchanges_forgotten
	ExchangesUnsettled  uint64 // exchanges_unsettled
	SampledOutByRatio   uint64 // spans_sampled_out
	SampledOutByLimit   uint64 // spans_sampled_out
	SampledOutByParent  uint64 // spans_sampled_out
	SpansInstrumented   uint64 // spans_instrumented

	Exchanges                 map[string]uint64            // exchanges, by protocol
	ParseErrors               [protocol.ParseErrors]uint64 // parse_errors, by cause
	ConversationsRecognised   uint64                       // conversations
	ConversationsUnrecognised uint64                       // conversations
	ConversationsOverMemory   uint64                       // conversations
	ConversationMemory        int64                        // conversation_memory
	PayloadCaptured           uint64                       // payload_bytes
	PayloadSkipped            uint64                       // payload_bytes
	PayloadTruncated          uint64                       // payload_bytes
	PayloadLost               uint64                       // payload_bytes
	PayloadOverlapping        uint64                       // payload_bytes
	CallsRingFull             uint64                       // payload_missing
	CallsNoBuffer             uint64                       // payload_missing
	CallsFault                uint64                       // payload_missing
	DataStrays                uint64                       // data_strays
	DatagramsBudget           uint64                       // datagrams_missed
	DatagramsBatchRest        uint64                       // datagrams_missed
	FlowsReopened             uint64                       // flows_reopened
	TLSUntied                 uint64                       // tls_calls_missed
	TLSUnmatched              uint64                       // tls_calls_missed
	TLSWaiting                uint64                       // tls_calls_waiting
	Libraries                 libraries.Stats              // tls_libraries

	AddressesCompleted  [event.AddressSources]uint64 // addresses_completed, by source
	AddressesIncomplete [pending.Causes]uint64       // addresses_incomplete, by cause
	AddressesLookedUp   [fdtrack.Lookups]uint64      // addresses_looked_up, by result
	AddressesRouted     [procfs.SourceWays]uint64    // addresses_routed, by way
	AddressesWaited     time.Duration                // addresses_waited
	AddressesWaiting    int64                        // addresses_waiting
	AddressesBytes      int64                        // addresses_waiting_bytes
	DescriptorsUnknown  [fdtrack.Results]uint64      // descriptors_unknown, by result
	ProcTablesRead      uint64                       // proc_tables_read
}
