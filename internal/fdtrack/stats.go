package fdtrack

import (
	"errors"
	"sync/atomic"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/pending"
	"github.com/socketflow/socketflow/internal/procfs"
)

var causeNames = [pending.Causes]string{
	pending.CauseTimeout: "timeout", pending.CauseKeyBound: "socket_bound", pending.CauseTotalBound: "total_bound",
	pending.CauseEnded: "closed", pending.CauseEvicted: "evicted", pending.CauseReplaced: "reopened",
	pending.CauseFlushed: "flushed",
}

// CauseName is the name in own telemetry of the reason why events went on before the addresses of their socket were complete.
func CauseName(c pending.Cause) string {
	if c < pending.Causes {
		return causeNames[c]
	}
	return "unknown"
}

// Result is what a descriptor leads to that the kernel side asked about.
type Result uint8

// The results.
const (
	ResultSocket    Result = iota // a socket that was not followed yet
	ResultKnown                   // a socket that is followed already, through another descriptor
	ResultInFlight                // a socket that a message brought
	ResultNotSocket               // no socket, or none that is followed
	ResultGone                    // it was closed meanwhile
	ResultFailed                  // procfs could not be read
	ResultDropped                 // too many were asked about at once
	Results
)

var resultNames = [Results]string{"socket", "known", "in_flight", "not_socket", "gone", "failed", "dropped"}

// String is the result's name in own telemetry.
func (r Result) String() string {
	if r < Results {
		return resultNames[r]
	}
	return "unknown"
}

// Lookup is the outcome of looking in procfs for a socket whose events wait for an address.
type Lookup uint8

// The outcomes.
const (
	LookupFound     Lookup = iota // it is there
	LookupReused                  // another one is there, the descriptor has been reused
	LookupGone                    // its descriptor is closed
	LookupNotListed               // the tables do not have it, or not yet
	LookupUnneeded                // its events went on before the answer came
	LookupRefused                 // too many are looked for at once
	LookupFailed                  // procfs could not be read
	Lookups
)

var lookupNames = [Lookups]string{"found", "reused", "gone", "not_listed", "unneeded", "refused", "failed"}

// String is the name in own telemetry.
func (l Lookup) String() string {
	if l < Lookups {
		return lookupNames[l]
	}
	return "unknown"
}

// lookupOf is the outcome that an error of procfs stands for.
func lookupOf(err error) Lookup {
	switch {
	case errors.Is(err, procfs.ErrGone), errors.Is(err, procfs.ErrNotSocket):
		return LookupGone
	case errors.Is(err, procfs.ErrNotListed):
		return LookupNotListed
	case errors.Is(err, procfs.ErrTooMany):
		return LookupRefused
	case errors.Is(err, procfs.ErrClosed):
		return LookupUnneeded
	default:
		return LookupFailed
	}
}

// Stats counts what a Tracker did. It may be read while the tracker works.
type Stats struct {
	Sockets atomic.Int64  // followed now
	Evicted atomic.Uint64 // sockets forgotten: too many were followed

	Pending *pending.Stats // sockets whose events wait
	// Completed counts the sockets whose events have waited and went on with both addresses and ports, by the source of the last
	// one. Incomplete counts the others.
	Completed  [event.AddressSources]atomic.Uint64
	Incomplete [pending.Causes]atomic.Uint64

	Lookups     [Lookups]atomic.Uint64 // sockets whose events wait that were looked for in procfs
	HoldersLost atomic.Uint64          // messages with a descriptor that were forgotten before they were received: too many were in flight

	Unknown      [Results]atomic.Uint64 // descriptors asked about by the kernel side
	AdoptsFailed atomic.Uint64          // answers that the kernel side did not take
}
