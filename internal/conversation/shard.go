// Package conversation makes exchanges of the bytes that a connection carries.
//
// Bytes come as system calls transferred them. A Conversation puts them in order, finds the protocol that they speak, hands
// them to its parser, and asks the kernel for no more of them than the parser needs.
package conversation

import (
	"net/netip"
	"sync/atomic"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

// Options of the conversations of a Shard.
type Options struct {
	// Protocols are looked for in what connections carry, the first that recognises its own is taken. None: data is
	// ignored.
	Protocols []protocol.Protocol
	Settings  protocol.Settings
	// Want asks the kernel for what is wanted of a connection's data. It is only called with Protocols.
	Want func(cookie uint64, w event.Want)
	// PayloadLimit and PayloadBurst bound how much is captured of a call, and of a burst of calls in one direction, once the
	// protocol is known; bytes.
	PayloadLimit, PayloadBurst uint32
}

// Stats counts what the conversations of a Shard did. It may be read while they go on.
type Stats struct {
	Exchanges    []atomic.Uint64 // emitted, by the index of their protocol in Options.Protocols
	ParseErrors  [protocol.ParseErrors]atomic.Uint64
	Recognised   atomic.Uint64 // conversations whose protocol was found
	Unrecognised atomic.Uint64 // conversations that were given up: they speak nothing that is parsed
	Payload      atomic.Uint64 // bytes captured
	Skipped      atomic.Uint64 // bytes not captured that the parser had no need of
	Truncated    atomic.Uint64 // bytes not captured of what was wanted: a bound bit, or their memory could not be read
	Lost         atomic.Uint64 // bytes lost of what was wanted
	Overlapping  atomic.Uint64 // bytes dropped: threads used one direction at once, their order is not known
}

// countMissing counts bytes of a stream that are not to be had.
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

// Shard is what the conversations of one goroutine share.
type Shard struct {
	opts  Options
	stats Stats
}

// NewShard returns a Shard without conversations.
func NewShard(opts Options) *Shard {
	return &Shard{opts: opts, stats: Stats{Exchanges: make([]atomic.Uint64, len(opts.Protocols))}}
}

// Stats of the shard; safe to read at any time.
func (s *Shard) Stats() *Stats { return &s.stats }

// Connection describes the connection that carries a conversation, as it is known when the conversation begins.
type Connection struct {
	Cookie        uint64 // the kernel's identity of the socket
	Role          event.Role
	Local, Remote netip.AddrPort // invalid where there is none
	Joined        bool           // its beginning was not seen
}

// Emitter takes the exchanges of one conversation. Pointers are valid during the call only.
type Emitter interface {
	Emit(x *protocol.Exchange)
}

// Begin begins the conversation of a connection, in the memory of an earlier one that is over, if there is one. It returns
// nil if no protocol is looked for.
func (s *Shard) Begin(earlier *Conversation, connection Connection, emitter Emitter) *Conversation {
	if len(s.opts.Protocols) == 0 {
		return nil
	}
	c := earlier
	if c == nil {
		c = &Conversation{}
	}
	*c = Conversation{shard: s, connection: connection, emitter: emitter, joined: connection.Joined}
	return c
}

// Refuse asks the kernel for nothing of the data of a connection that is not followed.
func (s *Shard) Refuse(cookie uint64) {
	if len(s.opts.Protocols) > 0 {
		s.opts.Want(cookie, nothing)
	}
}
