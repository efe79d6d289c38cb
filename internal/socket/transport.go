package socket

import "github.com/socketflow/socketflow/internal/event"

// transportDef describes how the connections of a transport open and close.
type transportDef struct {
	// acceptFollows: a server's connection opens before it is accepted, and only the accept shows its owner.
	acceptFollows bool
	// polled: the end may not be reported, because neither side waits for the other to close. KindLive has the counts, and
	// a connection that is no longer reported alive has ended.
	polled bool
	// datagrams: it carries datagrams, not a stream of bytes.
	datagrams bool
	// closed and peerClosed say how a connection ended that KindClose or KindPeerClose reports.
	closed, peerClosed func(*event.Ending) End
}

var transports = [event.Transports]transportDef{
	event.TCP:        {acceptFollows: true, closed: endOf, peerClosed: finByLocal},
	event.UDP:        {polled: true, datagrams: true, closed: idle, peerClosed: idle},
	event.UnixStream: {polled: true, closed: endOfUnix, peerClosed: finByLocal},
}

func idle(*event.Ending) End       { return End{Way: WayIdle} }
func finByLocal(*event.Ending) End { return End{WayFIN, SideLocal} }

// endOfUnix is how a Unix socket's connection ended. The socket mode reports no state, and the end only where the other one has closed. In
// the syscall mode the state says who was the first.
func endOfUnix(e *event.Ending) End {
	if e.LastState == event.StateFinWait2 && e.Errno == 0 {
		return End{WayFIN, SideLocal}
	}
	return End{WayFIN, SideRemote}
}
