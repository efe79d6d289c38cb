package completion

import (
	"sync/atomic"

	"github.com/socketflow/socketflow/internal/event"
)

// Cause is why events went on before the addresses of their socket were complete.
type Cause uint8

// The causes.
const (
	CauseTimeout     Cause = iota // they had waited for as long as they may, or nothing more was to come
	CauseClosed                   // the socket's last descriptor was closed
	CauseSocketBound              // too many of the socket waited, or too large ones
	CauseTotalBound               // too many of all sockets waited, or too large ones
	CauseEvicted                  // too many sockets were followed
	CauseReopened                 // the socket was connected anew
	CauseFlushed                  // the capture ended
	Causes
	// causeNone: nothing is missing.
	causeNone = CauseTimeout
)

var causeNames = [Causes]string{"timeout", "closed", "socket_bound", "total_bound", "evicted", "reopened", "flushed"}

// String is the cause's name in own telemetry.
func (c Cause) String() string {
	if c < Causes {
		return causeNames[c]
	}
	return "unknown"
}

// Result is what a descriptor was found to be of which the kernel side did not know whether it leads to a socket.
type Result uint8

// The results.
const (
	ResultSocket    Result = iota // a socket that was not followed yet
	ResultKnown                   // a socket that is followed already, through another descriptor
	ResultInFlight                // a socket that a message brought
	ResultNotSocket               // no socket, or none that is followed
	ResultGone                    // it was closed meanwhile
	ResultFailed                  // procfs did not tell
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

// Stats counts what a Completer did. It may be read while the completer works.
type Stats struct {
	Sockets atomic.Int64  // followed now
	Evicted atomic.Uint64 // sockets forgotten: too many were followed

	Waiting    atomic.Int64  // sockets whose events wait now
	Items      atomic.Int64  // events that wait now
	Bytes      atomic.Int64  // memory of their payload
	Waited     atomic.Uint64 // sockets whose events have waited or do
	WaitedTime atomic.Uint64 // for how long those that do not any more have, nanoseconds
	// Completed counts the sockets whose events have waited and went on with both addresses and ports, by what told the last;
	// Incomplete the others.
	Completed  [event.AddressSources]atomic.Uint64
	Incomplete [Causes]atomic.Uint64

	AddressesUnneeded atomic.Uint64 // told of sockets that are complete or not followed
	Lookups           atomic.Uint64 // sockets looked for in procfs
	LookupsFailed     atomic.Uint64 // of these: procfs could not be read
	LookupsOther      atomic.Uint64 // of these: another socket was found, the descriptor has been reused

	Kept        atomic.Uint64 // descriptors closed that were not their socket's last
	Unopened    atomic.Uint64 // sockets closed that were connected at no time
	HoldersLost atomic.Uint64 // messages with a descriptor that nobody was seen to receive: too many were in flight

	Unknown       [Results]atomic.Uint64 // descriptors asked about by the kernel side
	AdoptsFailed  atomic.Uint64          // the kernel side could not be told where a descriptor leads
	RejectsFailed atomic.Uint64          // the kernel side could not be told that a descriptor leads nowhere
}
