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
	KindProcess           // Process, Flow.NetNS: the owner is described, before the first event of a socket of it
	KindExit              // the owner has ended
	KindOpen              // Flow, Started: connected, or taken in by a listener
	KindAccept            // Flow: accept handed the connection to the owner
	KindClose             // Flow, Started, Established, Ending: an open connection has ended
	KindFail              // Flow, Started, Ending: an attempt has ended without a connection
	KindConnectError      // Flow, Ending.Errno: connect itself returned an error
	KindExisting          // Flow: the connection is older than the capture
	KindLive              // Flow.Cookie: a tracked socket that still exists; not TCP: Ending's counts so far
	KindData              // Flow.Cookie, Data: a system call of the owner has transferred bytes of a connection
	KindPeerClose         // as KindClose, by the other end: a connection within the host has ended
	// Of captures that see system calls, not sockets, and so need completion:
	KindAddress // Flow.Cookie, Flow.Local or Flow.Remote, Flow.AddressSource: a call has told an address of the socket
	KindHold    // Flow.Cookie, FD: one more descriptor leads to the socket; KindClose is then the end of one of them
	KindUnknown // FD: the owner uses a descriptor of which it is not known whether it leads to a socket, and to which; Flow.Cookie: the question
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
	"none", "process", "exit", "open", "accept", "close", "fail", "connect_error", "existing", "live", "data", "peer_close",
	"address", "hold", "unknown_descriptor",
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
	RoleSourceListener            // judged by which ports are listened on in the socket's network namespace, or by which end has a name
	RoleSourceFirst               // judged by who sent the first datagram that was seen
	RoleSourceProtocol            // told by what the two ends say
)

// Transport is what a socket speaks over.
type Transport uint8

// The transports.
const (
	TCP        Transport = iota
	UDP                  // a flow is what goes between a socket and one remote address
	UnixStream           // a stream between two sockets of the family AF_UNIX
	Transports
)

// AddressSource is how the addresses of a flow are known: what told the last of them.
type AddressSource uint8

// The sources of addresses, in the order of trust.
const (
	AddressSourceSock        AddressSource = iota // the kernel's socket
	AddressSourceAccept                           // the result of accept
	AddressSourceConnect                          // the argument of connect
	AddressSourceGetsockname                      // the result of getsockname
	AddressSourceGetpeername                      // the result of getpeername
	AddressSourceContainer                        // the address of the container or network namespace; the port is not known
	AddressSourceProc                             // /proc/<pid>/net, by the socket's inode
	AddressSourceUnknown                          // at least one of them is not known
	AddressSources
)

// Flow is a socket and the two addresses between which it speaks.
type Flow struct {
	Cookie     uint64         // the kernel's identity of the socket, unique until reboot; 0: none was given
	Local      netip.AddrPort // v4-mapped addresses are unmapped
	Remote     netip.AddrPort
	NetNS      uint32 // inode of the network namespace
	Role       Role
	RoleSource RoleSource
	Transport  Transport
	// AddressSource is how Local and Remote are known. One that is not is the zero AddrPort; of one whose port is not known
	// the port is 0.
	AddressSource AddressSource
	Unix          *Unix // UnixStream: the names; there are no addresses then
}

// Unix is what there is instead of addresses between sockets of the family AF_UNIX. A name is a path, or @ and a name of the
// abstract namespace; empty if the end has none.
type Unix struct {
	Local, Remote string
	PeerPID       uint32 // who had the other end when it was connected, or listened; in the initial pid namespace; 0: not known
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
	SegmentsSent     uint32 // of UDP: datagrams
	SegmentsReceived uint32
	RTT              uint32 // smoothed round trip time, microseconds; 0: never measured
	Retransmits      uint32
	Uncounted        bool               // of TCP: segments, RTT and retransmits are not known
	Unread           uint32             // bytes that had arrived and that no program had received
	Position         [Directions]uint64 // how much each direction had carried
	LastUnreported   [Directions]uint64 // as Data.LastUnreported
}

// Direction of bytes, as the socket sees them.
type Direction uint8

// The directions.
const (
	Sent Direction = iota
	Received
	Directions
)

// CutReason says why bytes are not in an event: a set of reasons.
type CutReason uint8

// The reasons.
const (
	CutLimit    CutReason = 1 << iota // beyond what is captured of a call, or of a burst of calls in one direction
	CutNoBuffer                       // sendfile, splice, io_uring ...: where they lay is not known
	CutFault                          // they could not be read without waiting for memory
	CutRingFull                       // there was no room in the ring buffer
)

// Data is what one system call transferred.
type Data struct {
	Direction      Direction
	Position       uint64    // of the first byte in its direction; since the connection was opened, or (Existing) first seen
	Length         uint32    // bytes transferred
	Skipped        uint32    // of these, at the beginning: not wanted
	Payload        []byte    // what was captured behind the skipped ones; valid until the next event is read
	CutReason      CutReason // why there is less payload than Length - Skipped
	GapReason      CutReason // why bytes before Position have not been told, where that was not wanted so
	LastUnreported uint64    // CLOCK_MONOTONIC, ns: the last transfer before that was not told; 0: there was none
	TID            uint32    // the thread, in the initial pid namespace
	Goroutine      uint64    // names the goroutine in a Go process; without meaning elsewhere
}

// Want is what is wanted of a connection's data from now on.
type Want struct {
	Until [Directions]uint64 // positions before which nothing is wanted
	Limit [Directions]uint32 // bytes of one call, at most
	Burst uint32             // bytes of a burst of calls in one direction, at most
}

// Never as Want.Until: nothing is wanted any more, not even the time of a direction's last byte.
const Never = 1<<64 - 1

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
	FD          uint32 // KindHold, KindUnknown, KindOpen where a capture sees calls only: the owner's descriptor
	Ending      Ending
	Data        Data
	Process     *process.Snapshot // KindProcess
}
