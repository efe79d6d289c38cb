package socket

import (
	"sync/atomic"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/selection"
)

// Options of a Table.
type Options struct {
	Sockets   int // connections followed at once; the oldest gives way
	Processes int // processes remembered at once
	Selection *selection.Selection
	// SetRuleMatch tells the kernel which selection rules a process meets. It is only called with a Selection that is not
	// empty.
	SetRuleMatch func(id process.ID, generation uint32, rules uint64)
	// Conversations says what is done with the data that connections carry.
	Conversations conversation.Options
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

	Strays atomic.Uint64 // data events of connections that are not followed

	*conversation.Stats
}
