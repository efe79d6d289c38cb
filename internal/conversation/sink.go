package conversation

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

// sink is the Conversation as its parser sees it.
type sink Conversation

var _ protocol.Sink = (*sink)(nil)

// Begin implements protocol.Sink.
func (s *sink) Begin(r *protocol.Request) protocol.ID {
	id := s.next()
	// A server in Go waits for the next request in a goroutine of its own, which may get the first byte. The others show who reads it.
	begun := &s.shard.begun
	*begun = *r
	begun.Start.Goroutine = s.chunk.Goroutine
	s.inProgress++
	s.emitter.Begin(id, begun)
	return id
}

func (s *sink) next() protocol.ID {
	s.last++
	return s.last
}

// Continue implements protocol.Sink.
func (s *sink) Continue(id protocol.ID, c *protocol.Carried) {
	s.emitter.Continue(id, c)
}

// Requested implements protocol.Sink.
func (s *sink) Requested(id protocol.ID, last *protocol.Stamp) { s.emitter.Requested(id, last) }

// End implements protocol.Sink.
func (s *sink) End(id protocol.ID, x *protocol.Exchange) {
	s.inProgress--
	s.end(id, x)
}

func (s *sink) end(id protocol.ID, x *protocol.Exchange) {
	if x.Protocol != "" {
		s.identity, s.enclosed = protocol.Identity{Name: x.Protocol, Version: x.Version}, false
	}
	if x.Telemetry && s.shard.opts.OmitTelemetry {
		s.shard.stats.Omitted.Add(1)
		s.emitter.Forget(id)
		s.emitter.Omit(x)
		return
	}
	s.shard.stats.Exchanges[s.protocol].Add(1)
	if !x.Client.IsValid() {
		x.Client = s.client
	}
	s.emitter.Emit(id, x)
}

// Forget implements protocol.Sink.
func (s *sink) Forget(id protocol.ID) {
	s.inProgress--
	s.emitter.Forget(id)
}

// Single implements protocol.Sink.
func (s *sink) Single(x *protocol.Exchange) { s.end(s.next(), x) }

// Error implements protocol.Sink.
func (s *sink) Error(e protocol.ParseError) {
	if e < protocol.ParseErrors {
		s.shard.stats.ParseErrors[e].Add(1)
	}
}

// Resolved implements protocol.Sink.
func (s *sink) Resolved(r *protocol.Resolution) {
	if s.shard.opts.Resolved != nil {
		s.shard.opts.Resolved(r)
	}
}

// Secured implements protocol.Sink.
func (s *sink) Secured(t *protocol.TLS) {
	if s.tls == nil {
		s.tls = new(protocol.TLS)
	}
	*s.tls = *t
}

// Ignore implements protocol.Sink.
func (s *sink) Ignore() {
	s.parser, s.waiter = nil, nil
	(*Conversation)(s).giveUp()
}

// Switch implements protocol.Sink.
func (s *sink) Switch(to protocol.Switch) {
	if to.Client.IsValid() {
		s.client = to.Client
	}
	s.recognition.rejected = 0
	s.joined = false
	s.leave()
}

// Reject implements protocol.Sink.
func (s *sink) Reject() {
	s.recognition.rejected |= 1 << s.protocol
	s.identity, s.enclosed, s.unnamed = protocol.Identity{}, false, false
	s.leave()
}

// leave takes the conversation from its parser. What the parser returns, and what comes after it, is recognised anew.
func (s *sink) leave() {
	for d := range s.streams {
		s.returns[s.streams[d].direction] = event.Direction(d)
	}
	s.parser, s.waiter = nil, nil
	s.inProgress = 0
	s.recognition.looked = 0
	if s.recognition.switches++; s.recognition.switches > maxSwitches {
		(*Conversation)(s).giveUp()
		return
	}
	(*Conversation)(s).wantLimits() // the parser may have asked for less
}

// Return implements protocol.Sink. Another parser may read what is returned, and return a part itself. Then this one goes on with its
// own chunk and its own directions.
func (s *sink) Return(c *protocol.Chunk) {
	chunk, returns := s.chunk, s.returns
	(*Conversation)(s).take(&transfer{
		direction: returns[c.Direction], bytes: c.Bytes, stamp: c.Stamp, missing: c.Missing, counted: true,
	})
	s.chunk, s.returns = chunk, returns
}

// ReturnGap implements protocol.Sink.
func (s *sink) ReturnGap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	if s.mute {
		return
	}
	chunk, returns := s.chunk, s.returns
	(*Conversation)(s).gap(returns[d], n, at, why)
	s.chunk, s.returns = chunk, returns
}
