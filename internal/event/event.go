// Package event defines what the kernel reports: one Event per thing that happened to a socket or a process.
// It is the stream between capture and interpretation, the same for every capture mode.
package event

import (
	"net/netip"

	"github.com/socketflow/socketflow/internal/process"
)

// Kind says what happened.
type Kind uint8

// The kinds of events. The comment names the members that are set beside Kind, Time and Owner.
const (
	KindNone         Kind = iota
	KindProcess           // Process: the owner is described, before the first event of a socket of it
	KindExit              // the owner has ended
	KindOpen              // Flow, Started: connected, or taken in by a listener
	KindAccept            // Flow: accept handed the connection to the owner
	KindClose             // Flow, Started, Established, Ending: an open connection has ended
	KindFail              // Flow, Started, Ending: an attempt has ended without a connection
	KindConnectError      // Flow, Ending.Errno: connect itself returned an error
	KindExisting          // Flow: the connection is older than the capture
	KindLive              // Flow.Cookie: a tracked socket that still exists
	Kinds
)

// String is the kind's name in own telemetry.
func (k Kind) String() string {
	if k < Kinds {
		return kindNames[k]
	}
	return "unknown"
}

var kindNames = [Kinds]string{
	"none", "process", "exit", "open", "accept", "close", "fail", "connect_error", "existing", "live",
}

// Role is the side of a connection that a socket is on.
type Role uint8

// The roles.
const (
	RoleUnknown Role = iota
	RoleClient       // it connected
	RoleServer       // it was accepted
)

// RoleSource is how a role is known.
type RoleSource uint8

// The sources of a role.
const (
	RoleSourceUnknown  RoleSource = iota
	RoleSourceConnect             // the connect was seen
	RoleSourceAccept              // the end of the listener's handshake was seen
	RoleSourceListener            // judged by which ports are listened on in the socket's network namespace
)

// Flow is a socket and the two addresses between which it speaks.
type Flow struct {
	Cookie     uint64         // the kernel's identity of the socket, unique until reboot; 0: none was given
	Local      netip.AddrPort // v4-mapped addresses are unmapped
	Remote     netip.AddrPort
	NetNS      uint32 // inode of the network namespace
	Role       Role
	RoleSource RoleSource
}

// State is a TCP state, numbered as the kernel does (include/net/tcp_states.h).
type State uint8

// The TCP states.
const (
	StateEstablished State = iota + 1
	StateSynSent
	StateSynRecv
	StateFinWait1
	StateFinWait2
	StateTimeWait
	StateClose
	StateCloseWait
	StateLastAck
	StateListen
	StateClosing
)

// Ending is what the kernel knows of a connection when it ends.
type Ending struct {
	LastState        State
	Errno            uint32 // the socket's pending error, 0 if none
	FINReceived      bool
	BytesSent        uint64 // payload given to the network, each byte once
	BytesReceived    uint64 // payload received in order, read by the program or not
	SegmentsSent     uint32
	SegmentsReceived uint32
	RTT              uint32 // smoothed round trip time, microseconds; 0: never measured
	Retransmits      uint32
}

// Event is one report of the kernel. It is decoded into again and again: a consumer keeps copies, not pointers.
type Event struct {
	Kind        Kind
	Time        uint64 // when it happened: CLOCK_MONOTONIC, nanoseconds
	Owner       process.ID
	Generation  uint32 // KindProcess: which description of the process; counts exec and cgroup moves
	Flow        Flow
	Started     uint64 // CLOCK_MONOTONIC, nanoseconds; 0: not known
	Established uint64 // CLOCK_MONOTONIC, nanoseconds; 0: never, or not known
	Existing    bool   // the connection is older than the capture
	Ending      Ending
	Process     *process.Snapshot // KindProcess
}
