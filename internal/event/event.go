// Package event defines what the kernel reports: one Event per thing that happened to a socket or a process.
// Both modes, socket and syscall, report the same events.
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
	KindProcess           // Process, Flow.NetNS: describes the owner; comes before the first event of any of its sockets
	KindExit              // the owner has ended
	KindOpen              // Flow, Started: a client connected, or a listener completed a handshake; or Early
	KindAccept            // Flow: accept handed the connection to the owner
	KindClose             // Flow, Started, Established, Ending: an open connection has ended
	KindFail              // Flow, Started, Ending: an attempt has ended without a connection
	KindConnectError      // Flow, Ending.Errno: connect(2) returned an error
	KindExisting          // Flow: the connection is older than the receiver
	KindLive              // Flow.Cookie: a tracked socket still exists; Ending has the counts so far, of TCP the bytes that programs have written and read
	KindData              // Flow.Cookie, Data: a system call of the owner transferred bytes
	KindPeerClose         // as KindClose, reported by the other end of a connection within the host
	KindLocalClose        // Flow.Cookie, Ending.FINReceived, .Position and .LastUnreported: the owner has closed its end; KindClose may come much later
	KindExec              // the owner maps a file of code, as none had
	// Only in the syscall mode, which sees descriptors and not sockets; package fdtrack resolves them:
	KindAddress // Flow.Cookie, Flow.Local or Flow.Remote, Flow.AddressSource: a call showed an address of the socket
	KindHold    // Flow.Cookie, FD: one more descriptor refers to the socket; each KindClose then ends one of them
	KindUnknown // FD: the owner uses a descriptor that may refer to a socket; Flow.Cookie: the number of this question
	Kinds
)

// String is the kind's name in the receiver's own telemetry.
func (k Kind) String() string {
	if k < Kinds {
		return kindNames[k]
	}
	return "unknown"
}

var kindNames = [Kinds]string{
	"none", "process", "exit", "open", "accept", "close", "fail", "connect_error", "existing", "live", "data", "peer_close", "local_close",
	"exec", "address", "hold", "unknown_descriptor",
}

// Role is the side of a connection that a socket is on.
type Role uint8

// The roles.
const (
	RoleUnknown Role = iota
	RoleClient       // the socket connected
	RoleServer       // the socket was accepted
)

// RoleSource says how a role is known.
type RoleSource uint8

// The sources of a role.
const (
	RoleSourceUnknown  RoleSource = iota
	RoleSourceConnect             // the receiver saw the connect
	RoleSourceAccept              // the receiver saw the end of the listener's handshake
	RoleSourceListener            // inferred from the listening ports of the network namespace, or from which end has a name
	RoleSourceFirst               // inferred from who sent the first datagram that was seen
	RoleSourceProtocol            // shown by the payload: requests or responses
)

// Transport is the transport protocol of a socket.
type Transport uint8

// The transports.
const (
	TCP        Transport = iota
	UDP                  // a flow is the datagrams between a socket and one remote address
	UnixStream           // a stream between two AF_UNIX sockets
	Transports
)

// AddressSource says how the addresses of a flow are known. If they have different sources, it is the source of the
// address that was learned last.
type AddressSource uint8

// The sources of addresses, the most reliable first.
const (
	AddressSourceSock        AddressSource = iota // the kernel's socket
	AddressSourceAccept                           // the result of accept
	AddressSourceConnect                          // the argument of connect
	AddressSourceGetsockname                      // the result of getsockname
	AddressSourceGetpeername                      // the result of getpeername
	AddressSourceContainer                        // the address of the container or network namespace; the port is not known
	AddressSourceProc                             // /proc/<pid>/net, by the socket's inode
	AddressSourceUnknown                          // at least one of them is not known
	AddressSourceTLSRecord                        // of plaintext: a TLS record that the library wrote was found in what the socket sent
	AddressSources
)

// LayerTLS in a cookie stands for the plaintext of the TLS records that the socket carries, and LayerInner beside it for that of TLS records
// within that plaintext. Data events of a layer count positions of their own.
const (
	LayerTLS   = 1 << 61
	LayerInner = 1 << 60
	LayerMask  = LayerTLS | LayerInner
)

// Flow is a socket and its two addresses.
type Flow struct {
	Cookie     uint64         // the kernel's identity of the socket, unique until reboot; 0: none
	Local      netip.AddrPort // v4-mapped addresses are unmapped
	Remote     netip.AddrPort
	NetNS      uint32 // inode of the network namespace
	Role       Role
	RoleSource RoleSource
	Transport  Transport
	// AddressSource says how Local and Remote are known. An unknown address is the zero AddrPort; an unknown port is 0.
	AddressSource AddressSource
	Unix          *Unix // UnixStream: names instead of addresses
	// Initial are the TCP sequence numbers at which the directions began, which belong to the connection as long as it lives. Of
	// the end that connected, the sent direction's is one less than the first byte's. 0 both: not known, as in the syscall mode.
	Initial [Directions]uint32
}

// Unix has the names of two connected AF_UNIX sockets. A name is a path, or @ and a name of the abstract namespace. It is
// empty if the socket has none.
type Unix struct {
	Local, Remote string
	PeerPID       uint32 // the process that connected or listened at the other end, initial pid namespace; 0: not known
	// Peer is the cookie of the other end. Stream positions count from the same byte at both. 0: one of that is not so, or not known.
	Peer uint64
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

// Ending is what the kernel knows about a connection when it ends.
type Ending struct {
	LastState        State
	Errno            uint32 // the socket's pending error, 0 if none
	FINReceived      bool
	Left             bool   // KindClose, socket mode: the owner had closed its end before, which KindLocalClose has reported
	BytesSent        uint64 // payload sent; a retransmitted byte counts once
	BytesReceived    uint64 // payload received in order, whether or not the program read it
	SegmentsSent     uint32 // UDP: datagrams
	SegmentsReceived uint32
	RTT              uint32 // smoothed round trip time, microseconds; 0: never measured
	MinRTT           uint32 // the least of the last minutes, microseconds; 0: never measured
	Retransmits      uint32
	Uncounted        bool               // TCP: segments, RTT and retransmits are not known
	Unread           uint32             // bytes that arrived and that no program has read
	Position         [Directions]uint64 // bytes that each direction carried
	LastUnreported   [Directions]uint64 // as Data.LastUnreported
}

// Direction of bytes, from the point of view of the socket.
type Direction uint8

// The directions.
const (
	Sent Direction = iota
	Received
	Directions
)

// CutReason is a set of reasons why bytes are not in an event.
type CutReason uint8

// The reasons.
const (
	CutLimit    CutReason = 1 << iota // beyond the limit of a call, or of a burst of calls in one direction
	CutNoBuffer                       // it is not known where they are: sendfile, splice, a request of io_uring that is not certain ...; or MSG_TRUNC has dropped them
	CutFault                          // the memory was not resident, and a BPF program cannot wait for it
	CutRingFull                       // the ring buffer was full
)

// Data is what one system call transferred. Of a UDP flow it is one datagram, never a part of one: Flow.Cookie is the flow's, Position is
// what the direction of the flow carried before, and Skipped is 0.
type Data struct {
	Direction      Direction
	Position       uint64    // stream position of the first byte; counts from the open. TCP, Existing: from the connection's beginning, the SYN included at the end that sent it
	Length         uint32    // bytes transferred
	Skipped        uint32    // how many of these, at the beginning, were not wanted
	Payload        []byte    // bytes captured after the skipped ones; valid until the next event is read
	CutReason      CutReason // why there is less payload than Length - Skipped
	GapReason      CutReason // why bytes before Position were not reported, other than because they were not wanted
	LastUnreported uint64    // CLOCK_MONOTONIC, ns: the last transfer before this one that was not reported; 0: none
	TID            uint32    // the thread, in the initial pid namespace
	Goroutine      Goroutine // that made the call
	// Began is when the call began to send, CLOCK_MONOTONIC, ns: a call may wait until there is room. It is the event's Time if that is not
	// known, and for received bytes, because a call may wait for these.
	Began uint64
	// Form is set if the Payload lacks the bodies of unwanted frames, of this form. Then Frame is the position of the first frame that
	// begins in or behind the payload. FrameLead bytes at the beginning of the payload end a header that began before it; if FrameUnwanted
	// is set, what is between them and Frame is not in the payload. FrameUnknown: the header is not complete, or is none.
	Form          FrameForm
	Frame         uint64
	FrameLead     uint8
	FrameUnwanted bool
	Joined        bool  // of a layer: what it carried before is not known
	Unread        bool  // of sent bytes: others had arrived that no program had received; known in the socket mode, of TCP
	Cause         Cause // of sent bytes
}

// Cause is what the thread that sends had received last, which may be why it sends.
type Cause struct {
	Socket   uint64 // the cookie of the socket
	Position uint64 // stream position behind the last byte of the call that received
	Length   uint32 // bytes that the call received; 0: it is not known what had been received
	// Pending is how many sockets have asked something that only this thread has read, and have got nothing yet; 255: or more.
	Pending  uint8
	Row      uint8 // sockets from which the thread has received since it looked for events or sent something; 255: or more
	Waited   bool  // the thread has waited since it received
	Polled   bool  // it has looked for events since, or that is not known
	Connect  bool  // all this is about the connect, not about the sending
	Carrier  bool  // the thread runs virtual threads, which do not keep to it
	Deferred bool  // since it looked for events the thread has received a request, and then something else before it sent anything
	Answered bool  // it has sent something to who asked since it received
	Loop     bool  // it has looked for events in its life
}

// Goroutine is one of a program in Go, on amd64 and arm64. Numbers are those of the runtime (goid); 0: not known.
type Goroutine struct {
	Number  uint64 // or its address if that is not known, as of answers; 0: it is no goroutine, or that is not known
	Asker   uint64 // of bytes that a client sends: a goroutine that waits for this one to receive from a channel
	Creator uint64 // of such bytes: who has started the asker, or without one this goroutine
	// Next is the number of the goroutine that will be started next where this one runs: numbers are given from Block on there.
	Next, Block uint64
}

// Want says which of a connection's bytes the kernel shall capture from now on. Of a UDP flow, Until says only whether anything is wanted of
// that direction (not Never), Limit is the bytes of one datagram at most, and Burst means nothing.
type Want struct {
	Until [Directions]uint64 // bytes before this position are not wanted
	Limit [Directions]uint32 // bytes of one call at most
	Burst uint32             // bytes of a burst of calls in one direction at most
	// Describe asks for a description before the next data event: KindExisting, of a Unix socket KindOpen.
	Describe bool
	// Form describes the frames of a direction, and Next is a position at which one of them begins. The kernel takes Next if it does not
	// know itself where frames begin, and if no call has gone beyond it yet; it takes changes of Form.Unwanted at any time. Without a Form, the
	// kernel goes on with the frames that it knows from a signature. NoFrames as the Header: there are none.
	Form [Directions]FrameForm
	Next [Directions]uint64
}

// Never as Want.Until means that nothing is wanted any more, not even the time of a direction's last byte.
const Never = 1<<64 - 1

// FrameUnknown as Data.Frame, or as Want.Next, is no position.
const FrameUnknown = 1<<64 - 1

// Event is one report of the kernel. The reader reuses one Event: a consumer keeps copies, not pointers.
type Event struct {
	Kind        Kind
	Time        uint64 // when it happened: CLOCK_MONOTONIC, nanoseconds
	Owner       process.ID
	Generation  uint32 // KindProcess: version of the description; exec and cgroup moves increment it
	Flow        Flow
	Started     uint64 // CLOCK_MONOTONIC, nanoseconds; 0: not known
	Established uint64 // CLOCK_MONOTONIC, nanoseconds; 0: never, or not known
	Existing    bool   // the connection is older than the receiver
	Early       bool   // KindOpen: it carries bytes before the end of its handshake, with which another KindOpen, or a KindFail, comes
	// Sequence is the TCP sequence number of each direction's position 0: KindOpen and KindExisting, if Flow.Initial is known.
	Sequence [Directions]uint32
	FD       uint32 // the owner's descriptor: KindHold, KindUnknown, and KindOpen in the syscall mode
	Ending   Ending
	Data     Data
	Process  *process.Snapshot // KindProcess
}
