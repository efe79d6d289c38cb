package otlp

import "github.com/socketflow/socketflow/internal/socket"

const (
	ways  = socket.WayIdle + 1
	sides = socket.SideRemote + 1
)

// Errors without a number.
var (
	// This is no errno, on purpose: close(2) on a socket that is still connecting returns 0, and no program gets ECANCELED.
	canceled     = errno{name: "canceled", text: "the program gave up"}
	unknownCause = errno{name: otherError, text: "cause not known"}
)

// closings says which ways to end an established connection are errors, and which error it is if the kernel recorded none.
//
// A reset by this side is not an error: many programs close connections with unread data or with SO_LINGER 0 in normal
// operation. A reset by an unknown side is not an error either, because it may have been this side.
var closings = [ways][sides]errno{
	socket.WayRST:     {socket.SideRemote: lookUpErrno(errnoConnectionReset)},
	socket.WayTimeout: toAnySide(lookUpErrno(errnoTimedOut)),
	socket.WayError:   toAnySide(unknownCause),
}

// failures says which error ended an attempt if the kernel recorded none. A reset in answer to a SYN is a refusal (RFC 9293,
// 3.10.7.3). An attempt that the program gave up is an error too, because there is no connection.
var failures = [ways]errno{
	socket.WayUnknown:  unknownCause,
	socket.WayFIN:      unknownCause,
	socket.WayRST:      lookUpErrno(errnoConnectionRefused),
	socket.WayTimeout:  lookUpErrno(errnoTimedOut),
	socket.WayError:    unknownCause,
	socket.WayCanceled: canceled,
	socket.WayIdle:     unknownCause,
}

func toAnySide(e errno) [sides]errno {
	return [sides]errno{socket.SideUnknown: e, socket.SideLocal: e, socket.SideRemote: e}
}

// errorOfClosing is the error that ended an established connection; its name is "" if there was none. Ends of TLS often say that they close, which
// the other end resets if it has closed its socket: that ends nothing (RFC 8446, 6.1).
func errorOfClosing(c *socket.Connection) errno {
	if c.Answered && c.End.Way == socket.WayRST {
		return errno{}
	}
	bySide := entry(closings[:], c.End.Way)
	return orKernels(entry(bySide[:], c.End.By), c.Errno)
}

// errorOfFailure is the error that ended an attempt. There always is one.
func errorOfFailure(c *socket.Connection) errno {
	return orKernels(entry(failures[:], c.End.Way), c.Errno)
}

// orKernels prefers the number that the kernel recorded, which distinguishes EPIPE from ECONNRESET and EHOSTUNREACH from
// ETIMEDOUT.
func orKernels(presumed errno, number uint32) errno {
	if presumed.name == "" || number == 0 {
		return presumed
	}
	return lookUpErrno(number)
}
