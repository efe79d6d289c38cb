package socket

import (
	"net/netip"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
)

// Connection is one end of a connection over TCP or between Unix stream sockets, or a UDP flow, as far as it is known when it
// is emitted. All of a connection's reports agree in ID, Process, addresses and StartedAt.
type Connection struct {
	ID            uint64        // the same in every report of this connection, and in no other connection's
	Process       *process.Info // never nil; with PID 0 when the owner is not known
	Local         netip.AddrPort
	Remote        netip.AddrPort
	Transport     event.Transport
	Unix          *event.Unix // UnixStream: instead of addresses
	NetNS         uint32      // inode of the network namespace
	Role          event.Role
	RoleSource    event.RoleSource
	AddressSource event.AddressSource
	Capture       Capture
	StartedAt     int64 // Unix time, ns: connect was called, the handshake ended, or (JoinedMidstream) first seen
	OpenedAt      int64 // Unix time, ns: the handshake ended, or (JoinedMidstream) first seen; 0: never
	EndedAt       int64 // Unix time, ns; 0: still open
	End           End   // how it ended
	Errno         uint32
	Stats         event.Ending // counts, valid once it has ended
	Exchanges     uint64       // how many exchanges on it were emitted, the present one included
}

// Capture says whether everything of a connection was seen.
type Capture uint8

// The degrees of capture.
const (
	CaptureComplete        Capture = iota
	CaptureGap                     // a report of the kernel was lost: its owner or its start may be missing
	CaptureJoinedMidstream         // the connection is older than the capture
)

// Way is how a connection ended.
type Way uint8

// The ways to end.
const (
	WayUnknown  Way = iota
	WayFIN          // both sides finished
	WayRST          // one side reset it
	WayTimeout      // the other side no longer answered
	WayError        // the network or the host refused it: see Errno
	WayCanceled     // the program gave up a connect
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

// End is how a connection ended, and who ended it: who sent the first FIN, or the RST.
type End struct {
	Way Way
	By  Side
}

// Sink takes connections, and the exchanges on them. Pointers are valid during the call only.
type Sink interface {
	Opened(c *Connection)
	Closed(c *Connection)
	Failed(c *Connection)
	// Exchanged takes an exchange: it is the c.Exchanges-th of its connection, and lasted from start to end (Unix
	// time, ns).
	Exchanged(c *Connection, x *protocol.Exchange, start, end int64)
}
