package kernel

import (
	"errors"
	"fmt"
)

// Mode is how the kernel is observed: a value of the receiver's key "mode".
type Mode string

// The modes.
const (
	ModeAuto    Mode = "auto"    // the first of the others that this host allows
	ModeSocket  Mode = "socket"  // the kernel's sockets are read: OpenSockets
	ModeSyscall Mode = "syscall" // sockets are put together from system calls: OpenSyscalls
)

// Attachment is where the socket mode attaches the programs that see transfers.
type Attachment uint8

// The attachments.
const (
	AttachAny        Attachment = iota // to the tracepoints where the kernel has them, else behind the functions
	AttachTracepoint                   // tp_btf: sock_send_length and sock_recv_length, from Linux 6.3 on
	AttachFunction                     // fexit: inet_sendmsg and its kin
)

// ParseMode parses a mode as users write it.
func ParseMode(text string) (Mode, error) {
	switch mode := Mode(text); mode {
	case ModeAuto, ModeSocket, ModeSyscall:
		return mode, nil
	default:
		return "", fmt.Errorf("mode: write %q, %q or %q, not %q", ModeAuto, ModeSocket, ModeSyscall, text)
	}
}

// Choose opens the mode that is asked for. ModeAuto stands for the first that works: the socket mode if it sees transfers too, the
// syscall mode, the socket mode that sees connections only. open gets the mode, and whether to fail rather than to open
// without transfers. The third result is why no better mode was possible; nil: it is the best, or was asked for.
//
// A missing privilege is missing in every mode. Choose then tries no other mode, so that the user learns of the privilege.
func Choose[T any](asked Mode, open func(mode Mode, whole bool) (T, error)) (tracer T, mode Mode, why error, err error) {
	if asked != ModeAuto {
		tracer, err = open(asked, false)
		return tracer, asked, nil, err
	}
	var none T
	for _, choice := range []struct {
		mode  Mode
		whole bool
	}{{ModeSocket, true}, {ModeSyscall, true}, {ModeSocket, false}} {
		tracer, err = open(choice.mode, choice.whole)
		if err == nil {
			return tracer, choice.mode, why, nil
		}
		switch {
		case errors.Is(err, ErrPrivilege), why == nil && !errors.Is(err, ErrUnsupported):
			return none, "", nil, err
		case why == nil:
			why = err
		case choice.whole: // the last is as the first
			why = fmt.Errorf("%w; and: %w", why, err)
		}
	}
	return none, "", nil, why
}
