package socket

import (
	"sync/atomic"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/selection"
)

// Options of a Table.
type Options struct {
	Sockets   int // connections followed at once; the oldest gives way
	Processes int // processes remembered at once
	Selection *selection.Selection
	// Judge tells the kernel which selection rules a process meets. It is only called with a Selection that is not
	// empty.
	Judge func(id process.ID, generation uint32, rules uint64)

	// Protocols are looked for in what connections carry, the first that recognises its own is taken. None: data is
	// ignored.
	Protocols []protocol.Protocol
	Settings  protocol.Settings
	// Want tells the kernel what is wanted of a connection's data. It is only called with Protocols.
	Want func(cookie uint64, w event.Want)
	// PayloadLimit and PayloadRun bound how much is captured of a call, and of a run of calls in one direction, once the
	// protocol is known; bytes.
	PayloadLimit, PayloadRun uint32
}

// Stats counts what a Table did. It may be read while the table works.
type Stats struct {
	Opened, Closed, Failed atomic.Uint64 // connections emitted
	Unaccepted             atomic.Uint64 // of these, emitted under the owner of their listener
	Tracked                atomic.Int64  // connections followed now
	TrackedBy              [event.Transports]atomic.Int64
	Processes              atomic.Int64  // processes remembered now
	EvictedFull            atomic.Uint64 // connections forgotten: the table was full
	EvictedLost            atomic.Uint64 // connections forgotten: the kernel's report of their close was lost
	EvictedExited          atomic.Uint64 // ended processes forgotten early: the table was full
	EvictedLive            atomic.Uint64 // living processes forgotten: the table was full

	Exchanges    []atomic.Uint64 // emitted, by the index of their protocol in Options.Protocols
	Troubles     [protocol.Troubles]atomic.Uint64
	Recognised   atomic.Uint64 // conversations whose protocol was found
	Unrecognised atomic.Uint64 // conversations that were given up: they speak nothing that is parsed
	Payload      atomic.Uint64 // bytes captured
	Skipped      atomic.Uint64 // bytes not captured that the parser had no need of
	Truncated    atomic.Uint64 // bytes not captured of what was wanted: a bound bit, or their memory could not be read
	Lost         atomic.Uint64 // bytes lost of what was wanted
	Overlapping  atomic.Uint64 // bytes dropped: threads used one direction at once, their order is not known
	Strays       atomic.Uint64 // data events of connections that are not followed
}
