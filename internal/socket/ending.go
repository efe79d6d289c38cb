package socket

import "github.com/socketflow/socketflow/internal/event"

// Linux errno numbers that show how a connection ended (include/uapi/asm-generic/errno.h).
const (
	errnoPipe        = 32
	errnoConnReset   = 104
	errnoTimedOut    = 110
	errnoConnRefused = 111
	errnoConnAborted = 103
)

// isReset recognises the errors that a received RST sets on a socket; which one depends on the state of the socket
// (net/ipv4/tcp_input.c, tcp_reset).
func isReset(errno uint32) bool {
	return errno == errnoConnReset || errno == errnoPipe || errno == errnoConnRefused
}

// endOf derives from the last state and the pending error how an open connection ended and who ended it.
func endOf(e *event.Ending) End {
	switch {
	case isReset(e.Errno):
		return End{WayRST, SideRemote}
	case e.Errno == errnoTimedOut:
		return End{WayTimeout, SideRemote}
	case e.Errno == errnoConnAborted: // tcp_abort: "ss -K", or a closed listener
		return End{WayRST, SideLocal}
	case e.Errno != 0:
		return End{WayError, SideUnknown}
	}
	switch e.LastState {
	case event.StateFinWait2, event.StateTimeWait, event.StateClosing:
		return End{WayFIN, SideLocal}
	case event.StateLastAck:
		return End{WayFIN, SideRemote}
	case event.StateEstablished, event.StateCloseWait, event.StateFinWait1, event.StateSynRecv:
		// Closed with data unread or with SO_LINGER 0, disconnected, or data arrived after close (tcp_close,
		// tcp_disconnect, tcp_rcv_state_process): the kernel sends a RST.
		return End{WayRST, SideLocal}
	default:
		return End{}
	}
}

// isHalfClosed says that the owner has shut down sending only, and that the other end has closed after it.
func isHalfClosed(e *event.Ending) bool {
	return e.LastState == event.StateFinWait2 && e.FINReceived && !e.Left
}

// endOfAttempt does the same for a connect that never succeeded.
func endOfAttempt(e *event.Ending) End {
	switch e.Errno {
	case 0:
		return End{WayCanceled, SideLocal}
	case errnoConnRefused, errnoConnReset:
		return End{WayRST, SideRemote}
	case errnoTimedOut:
		return End{WayTimeout, SideRemote}
	default:
		return End{WayError, SideUnknown}
	}
}
