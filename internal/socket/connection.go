package socket

import (
	"net/netip"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/peername"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/trace"
)

// Connection is one end of a TCP or Unix stream connection, or a UDP flow, as far as it is known when it is emitted. All
// reports of a connection have the same ID, Serial, Process, addresses and StartedAt.
type Connection struct {
	ID        uint64        // unique on this host; as a rule the same for every table that reports this connection
	Serial    uint64        // unique in its table; the same in every report of this connection
	Process   *process.Info // never nil; PID is 0 if the owner is not known
	Local     netip.AddrPort
	Remote    netip.AddrPort
	Transport event.Transport
	Unix      *event.Unix // UnixStream: names instead of addresses
	// PeerName is what the process had asked DNS for before it connected to Remote; "": nothing, or PeerQuestion has to be asked once more
	// later, unless its At is 0.
	PeerName      string
	PeerQuestion  peername.Question
	PeerLookup    time.Duration // how long the query took that it waited for before it connected; 0: there was none, or that is not known
	NetNS         uint32        // inode of the network namespace
	Role          event.Role
	RoleSource    event.RoleSource
	AddressSource event.AddressSource
	Capture       Capture
	StartedAt     int64 // Unix time, ns: connect was called, the handshake ended, or (JoinedMidstream) first seen
	OpenedAt      int64 // Unix time, ns: the handshake ended, or (JoinedMidstream) first seen; 0: never
	AcceptedAt    int64 // Unix time, ns: the server has accepted it, which had waited for that; 0: not seen, or not known how long
	EndedAt       int64 // Unix time, ns; 0: still open
	End           End   // how it ended
	Errno         uint32
	Answered      bool              // one end had closed it before it ended, and all of its requests had been answered
	Stats         event.Ending      // counts, valid once it has ended
	TLS           *protocol.TLS     // what is known of TLS on it by now; nil: nothing. Valid during the call only
	Protocol      protocol.Identity // as the bytes have shown it by now
	Exchanges     uint64            // exchanges so far, this one included, and those that were left out
	Last          LastExchange      // of those before, if there were any
	// FirstWithinTLS: the exchange that is emitted is the first one within its TLS.
	FirstWithinTLS bool
	// Handshake is how long that of TLS took, once the connection has ended; 0: there was none, or that is not known.
	Handshake time.Duration
	// Exchange are the ids of the exchange that is emitted, and Key finds its parent; zero: it cannot be found.
	Exchange trace.Exchange
	Key      trace.ExchangeKey
	// FarEnd is the other end of a connection that was opened here, whose address may be another than Remote; 0: it is not.
	FarEnd trace.End
	// Unspanned: the process makes a span of the exchange itself.
	Unspanned bool
	// Peer has the other end, if that is on this host and PeerSettled; else it may become known.
	Peer        *process.Info
	PeerSettled bool
	OtherEnd    trace.End // 0: it is not known
	// InProgress is how many exchanges have begun on it and not ended, Speaks what attributes those have (nil: there are none), and System the database,
	// if it is one. EachOpen sets them.
	InProgress int
	Speaks     *protocol.Keys
	System     string
	// Counted: EachOpen has reported the connection, and that was what there was to know.
	Counted bool
	// Followed are the bytes that parsers have followed since EachOpen has reported the connection last, and Lost those of them that they have not got.
	Followed, Lost uint64
	// Carried are the bytes that the connection has carried since EachOpen has reported it last, and of one that is older than the
	// receiver since it was found.
	Carried [event.Directions]uint64
	// Segments are those of a TCP connection since EachOpen has reported it last, as Carried are its bytes.
	Segments Segments
	// JoinedAt is when its parent is known: once all events before that time have been handled. CLOCK_MONOTONIC, ns.
	JoinedAt uint64
}

// LastExchange identifies the exchange of a connection that was emitted last.
type LastExchange struct {
	TraceID [16]byte
	SpanID  [8]byte           // zero: there was none
	Key     trace.ExchangeKey // finds its trace; zero: it is TraceID
}

// Capture says whether the receiver saw the whole connection.
type Capture uint8

// The degrees of capture.
const (
	CaptureComplete        Capture = iota
	CaptureGap                     // an event was lost: the owner or the start may be missing
	CaptureJoinedMidstream         // the connection is older than the receiver
)

// Way is how a connection ended.
type Way uint8

// The ways to end.
const (
	WayUnknown  Way = iota
	WayFIN          // both sides finished
	WayRST          // one side reset it
	WayTimeout      // the other side did not answer any more
	WayError        // the network or the host refused it: see Errno
	WayCanceled     // the program closed the socket during the connect
	WayIdle         // a UDP flow: nothing was transferred for a while
)

// Side is an end of the connection.
type Side uint8

// The sides.
const (
	SideUnknown Side = iota
	SideLocal
	SideRemote
)

// End says how a connection ended, and which side ended it: the one that sent the first FIN, or the RST.
type End struct {
	Way Way
	By  Side
}

// Sink receives the reports of connections and of the exchanges on them. Pointers are valid during the call only.
type Sink interface {
	Opened(c *Connection)
	Closed(c *Connection)
	Failed(c *Connection)
	// Exchanged receives an exchange of a connection, which lasted from start to end (Unix time, ns). The role is the one in the protocol.
	Exchanged(c *Connection, x *protocol.Exchange, start, end int64)
}
