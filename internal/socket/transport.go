package socket

import "github.com/socketflow/socketflow/internal/event"

// transportDef is what differs, in the life of a socket, between one transport and another.
type transportDef struct {
	// acceptFollows: the open of a server's connection comes before its accept, which alone says who owns it.
	acceptFollows bool
	// polled: neither end waits for the other's, so that nothing may report the end. KindLive brings the counts, and a
	// connection that is not reported alive any more has ended.
	polled bool
	// streams: it carries streams of bytes, which may be a conversation.
	streams bool
	// closed and peerClosed are how a connection ended, by the event that reports it.
	closed, peerClosed func(*event.Ending) End
}

var transports = [event.Transports]transportDef{
	event.TCP:        {acceptFollows: true, streams: true, closed: endOf, peerClosed: finByLocal},
	event.UDP:        {polled: true, closed: idle, peerClosed: idle},
	event.UnixStream: {polled: true, streams: true, closed: finByRemote, peerClosed: finByLocal},
}

func idle(*event.Ending) End        { return End{Way: WayIdle} }
func finByLocal(*event.Ending) End  { return End{WayFIN, SideLocal} }
func finByRemote(*event.Ending) End { return End{WayFIN, SideRemote} }
