package otlp

import "github.com/socketflow/socketflow/internal/socket"

const (
	ways  = socket.WayIdle + 1
	sides = socket.SideRemote + 1
)

// What there is to say of an error that has no number.
var (
	// No errno, on purpose: close(2) on a socket that is still connecting returns 0, nobody ever saw ECANCELED.
	canceled     = errno{name: "canceled", text: "the program gave up"}
	unknownCause = errno{name: otherError, text: "cause not known"}
)

// closings says which ways to end an established connection are errors, and which error if the kernel kept none.
//
// A reset by this side is not an error of this side: closing with unread data or with SO_LINGER 0 is how many programs
// end a connection in good order. Nor is a reset of which it is not known who sent it: that would be a guess.
var closings = [ways][sides]errno{
	socket.WayRST:     {socket.SideRemote: lookUpErrno(errnoConnectionReset)},
	socket.WayTimeout: toAnySide(lookUpErrno(errnoTimedOut)),
	socket.WayError:   toAnySide(unknownCause),
}

// failures says which error ended an attempt if the kernel kept none. A reset in answer to a SYN is a refusal (RFC 9293,
// 3.10.7.3). That a program gave up is an error too: what it asked for did not come about.
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

// errorOfClosing is the error that ended an established connection; its name is "" if none did.
func errorOfClosing(c *socket.Connection) errno {
	bySide := entry(closings[:], c.End.Way)
	return orKernels(entry(bySide[:], c.End.By), c.Errno)
}

// errorOfFailure is the error that ended an attempt; there always is one.
func errorOfFailure(c *socket.Connection) errno {
	return orKernels(entry(failures[:], c.End.Way), c.Errno)
}

// orKernels prefers the number that the kernel kept: it tells EPIPE from ECONNRESET, EHOSTUNREACH from ETIMEDOUT.
func orKernels(presumed errno, number uint32) errno {
	if presumed.name == "" || number == 0 {
		return presumed
	}
	return lookUpErrno(number)
}
