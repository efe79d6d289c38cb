// Package conversation turns the bytes that a connection carries into exchanges.
//
// Bytes come as system calls transferred them. A Conversation puts them in order, recognises their protocol, passes them to
// its parser, and asks the kernel only for the bytes that the parser needs.
package conversation

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/protocol"
)

// Options of the conversations of a Shard.
type Options struct {
	// Protocols are the protocols to recognise. If there are none, data is ignored.
	Protocols []protocol.Configured
	// Memory bounds the bytes that the parsers of the shard hold together. Beyond it the largest conversation is given up.
	Memory int
	// Want asks the kernel for a part of a connection's data. It is not called if there are no Protocols.
	Want func(cookie uint64, w event.Want)
	// Resolved takes what a name service has answered to a process of this host; nil: it is of no interest.
	Resolved func(*protocol.Resolution)
	// PayloadLimit and PayloadBurst bound the bytes captured of a call, and of a burst of calls in one direction, once the
	// protocol is known.
	PayloadLimit, PayloadBurst uint32
	// OmitTelemetry leaves exchanges out that carry telemetry.
	OmitTelemetry bool
}

// Stats counts what the conversations of a Shard did. It is safe to read at any time.
type Stats struct {
	Exchanges    []atomic.Uint64 // emitted, by the index of their protocol in Options.Protocols
	Omitted      atomic.Uint64   // exchanges that were left out: they carry telemetry
	ParseErrors  [protocol.ParseErrors]atomic.Uint64
	Recognised   atomic.Uint64 // conversations one of whose protocols was found, preambles aside
	Unrecognised atomic.Uint64 // the others that were given up: no protocol matched
	OverMemory   atomic.Uint64 // conversations that were given up: the memory of all was used up
	Held         atomic.Int64  // bytes of memory that conversations hold
	Payload      atomic.Uint64 // bytes captured
	Skipped      atomic.Uint64 // bytes not captured because the parser did not need them
	Truncated    atomic.Uint64 // wanted bytes not captured: beyond a limit, or their memory could not be read
	Lost         atomic.Uint64 // wanted bytes lost
	Overlapping  atomic.Uint64 // bytes dropped: threads used one direction at the same time, in an unknown order
}

// countMissing counts bytes of a stream that are not available.
func (s *Stats) countMissing(n uint64, why protocol.Loss) {
	switch why {
	case protocol.Skipped:
		s.Skipped.Add(n)
	case protocol.Truncated:
		s.Truncated.Add(n)
	case protocol.Lost:
		s.Lost.Add(n)
	}
}

// Shard holds what the conversations of one goroutine share.
type Shard struct {
	opts      Options
	protocols []protocol.Protocol
	starts    []func(*protocol.Session) protocol.Parser
	anywhere  bool // there are protocols that may begin anywhere
	stats     Stats

	memory  memory
	now     uint64                       // of the latest event
	expired uint64                       // when deadlines were checked
	waiting intrusive.List[Conversation] // those that have a deadline
	idle    [][]protocol.Reusable        // parsers without a conversation, of each protocol
	kept    keptPool

	// These are reused.
	begun   protocol.Request
	session protocol.Session
	judged  protocol.Sample
	sample  [event.Directions][]byte
	joined  [event.Directions][]byte
	namings []*naming
}

// NewShard returns a Shard without conversations.
func NewShard(opts Options) *Shard {
	s := &Shard{opts: opts, stats: Stats{Exchanges: make([]atomic.Uint64, len(opts.Protocols))}}
	s.memory.limit, s.idle = opts.Memory, make([][]protocol.Reusable, len(opts.Protocols))
	for _, p := range opts.Protocols {
		s.protocols = append(s.protocols, p.Protocol)
		s.starts = append(s.starts, p.Start(p.Settings))
		s.anywhere = s.anywhere || p.Anywhere
	}
	return s
}

// Stats of the shard; safe to read at any time.
func (s *Shard) Stats() *Stats { return &s.stats }

// Connection describes the connection of a conversation when the conversation begins.
type Connection struct {
	Cookie        uint64 // the kernel's identity of the socket
	Role          event.Role
	Local, Remote netip.AddrPort           // the zero AddrPort if not known
	Joined        bool                     // the beginning was not seen
	Position      [event.Directions]uint64 // of the first bytes that come, in each direction
	Datagrams     bool                     // every data event is a datagram
	TLS           bool                     // it is the plaintext of TLS records
}

// Emitter receives the exchanges of one conversation. Pointers are valid during the call only.
type Emitter interface {
	// Begin receives that the request of an exchange has begun, Continue its trace context, if it has one, and Requested its last byte, if it is
	// interleaved. Emit, Forget or Omit follows.
	Begin(id protocol.ID, r *protocol.Request)
	Continue(id protocol.ID, c *protocol.Carried)
	Requested(id protocol.ID, last *protocol.Stamp)
	Emit(id protocol.ID, x *protocol.Exchange)
	// Forget receives that nothing is emitted of an exchange that has begun.
	Forget(id protocol.ID)
	// Omit receives an exchange that is left out.
	Omit(x *protocol.Exchange)
}

// Begin starts the conversation of a connection. It reuses the memory of an earlier one that is over, if that is not nil. It
// returns nil if there are no Protocols for it.
func (s *Shard) Begin(earlier *Conversation, connection Connection, emitter Emitter) *Conversation {
	if !s.parses(connection.Datagrams) {
		return nil
	}
	c := earlier
	if c == nil {
		c = &Conversation{}
	}
	*c = Conversation{shard: s, connection: connection, emitter: emitter, joined: connection.Joined}
	for d := range c.streams {
		c.streams[d].next = connection.Position[d]
	}
	return c
}

// parses reports whether there are protocols for datagrams, or for streams.
func (s *Shard) parses(datagrams bool) bool {
	kind := protocol.Streams
	if datagrams {
		kind = protocol.Datagrams
	}
	return slices.ContainsFunc(s.protocols, func(p protocol.Protocol) bool { return p.Transports&kind != 0 })
}

// Describe asks the kernel for a description of a connection that is not tracked, if it carries data again.
func (s *Shard) Describe(cookie uint64) {
	if len(s.opts.Protocols) == 0 {
		return
	}
	w := event.Want{Burst: s.opts.PayloadBurst, Describe: true}
	for d := range event.Directions {
		w.Limit[d], w.Next[d] = s.opts.PayloadLimit, event.FrameUnknown
	}
	s.opts.Want(cookie, w)
}

// Refuse asks the kernel for none of the data of a connection that is left out.
func (s *Shard) Refuse(cookie uint64) {
	if len(s.opts.Protocols) > 0 {
		s.opts.Want(cookie, nothing)
	}
}
