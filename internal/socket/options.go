package socket

import (
	"net/netip"
	"sync/atomic"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/instrumented"
	"github.com/socketflow/socketflow/internal/peername"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/trace"
)

// Options of a Table.
type Options struct {
	Sockets   int // connections tracked at once, of each transport; the one that was used least recently is evicted
	Processes int // processes remembered at once
	Selection *selection.Selection
	// KernelCookies: the cookies of events are those that the kernel gives to sockets, and not numbers of this collector.
	KernelCookies bool
	// SetRuleMatch writes to the kernel which selection rules a process meets. It is not called if Selection is empty.
	SetRuleMatch func(id process.ID, generation uint32, rules uint64)
	// EndLayer has the kernel forget the plaintext of a connection that has ended; nil: it has none.
	EndLayer func(cookie uint64)
	// PeerName says what a process called an address; nil: that is not known. See peername.Table.
	PeerName func(peername.Question) (a peername.Answer, settled bool)
	// Paired notes that an end of a connection is observed, and which process of this host has it, if one does; nil: that is of no interest.
	Paired func(trace.End, *process.Info)
	// Endpoints are where ends were accepted; nil: that is of no interest.
	Endpoints *trace.Endpoints
	// Unpaired notes that the connection of an end has ended; nil: that is of no interest.
	Unpaired func(trace.End)
	// PeerOf finds the process of this host that has an end, and Settled says whether all from before a time (CLOCK_MONOTONIC, ns) is known to it; nil:
	// that is of no interest.
	PeerOf  func(trace.End) *process.Info
	Settled func(at uint64) bool
	// ObservedNetworks are those of other hosts whose ends of connections are observed there, and noted by Paired, too.
	ObservedNetworks []netip.Prefix
	// SharedSeed is random, and the same for all tables whose connections may be with each other. Pairs of sockets of this host are derived from it.
	SharedSeed uint64
	// Seed is that of the ids of exchanges of which nothing is known that both ends know.
	Seed trace.Seed
	// Meetings join exchanges whose ends know nothing in common that is unique; nil: they are not joined.
	Meetings *trace.Meetings
	// Exchanges are noted there, in which others find their other end or their cause; nil: nobody looks for them.
	Exchanges *trace.Exchanges
	// Unidentified: exchanges need no ids, because no span is made of them.
	Unidentified bool
	// OtherEndIsOwn reports whether the other end of a connection that was there at a time (CLOCK_MONOTONIC, ns) is a socket of this process:
	// the connection is left out then. If no is not sure, it is asked again. nil: never.
	OtherEndIsOwn func(f *event.Flow, at uint64) (yes, sure bool)
	// Instrumented are the processes that export spans: what they make one of has none here. nil: that is of no interest.
	Instrumented *instrumented.Processes
	// Conversations configures the parsing of the data that connections carry.
	Conversations conversation.Options
}

// Stats counts what a Table did. It may be read while the table works.
type Stats struct {
	Opened, Closed, Failed atomic.Uint64 // connections emitted
	OtherEnds              atomic.Uint64 // connections left out: their other end is a socket of this process
	Unaccepted             atomic.Uint64 // of these, emitted under the owner of their listener
	Tracked                atomic.Int64  // connections tracked now
	TrackedBy              [event.Transports]atomic.Int64
	Processes              atomic.Int64  // processes remembered now
	EvictedFull            atomic.Uint64 // connections evicted: the table was full
	EvictedLost            atomic.Uint64 // connections evicted: their close event was lost
	EvictedExited          atomic.Uint64 // exited processes evicted in their grace period: the table was full
	EvictedLive            atomic.Uint64 // living processes evicted: the table was full

	Unspanned atomic.Uint64 // exchanges emitted without a span, because their process makes one

	Strays atomic.Uint64 // data events of connections that are not tracked

	*conversation.Stats
}
