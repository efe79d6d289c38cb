package conversation

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

// Conversation is what the data of one connection says, as far as it is understood. It is for one goroutine.
type Conversation struct {
	shard      *Shard
	connection Connection
	emitter    Emitter

	parser   protocol.Parser // nil: not recognised yet, given up, or over
	protocol int             // its index in Options.Protocols
	role     event.Role      // as the protocol shows it
	mute     bool            // given up: nothing is wanted any more
	joined   bool            // its beginning was not seen
	looked   int             // transfers that no protocol recognised
	streams  [event.Directions]stream
	kept     []transfer // before the protocol is known
	wanted   event.Want // what the kernel was asked for last

	chunk protocol.Chunk // reused
}

// Mute says whether the conversation was given up: it takes in no more data.
func (c *Conversation) Mute() bool { return c.mute }

// Role is the side that the connection is on, as the bytes show it; RoleUnknown: they have not.
func (c *Conversation) Role() event.Role { return c.role }

// End is the end of both directions: when (CLOCK_MONOTONIC, ns), and with which Linux error number, 0 if in good order.
// What was transferred since the kernel last reported data shows in the positions.
func (c *Conversation) End(e *event.Ending, at uint64, errno uint32) {
	if c.mute {
		return
	}
	for d := range c.streams {
		next := c.streams[d].next
		if ahead := e.Position[d] - min(next, e.Position[d]); ahead > 0 {
			c.lose(event.Direction(d), ahead, gapTime(e.LastUnreported[d], at), protocol.Lost)
		}
	}
	c.close(protocol.Ending{At: protocol.Stamp{Time: at}, Errno: errno})
}

// Abandon ends a conversation that is not followed any more (CLOCK_MONOTONIC, ns).
func (c *Conversation) Abandon(at uint64) {
	c.close(protocol.Ending{At: protocol.Stamp{Time: at}, Unknown: true})
}

func (c *Conversation) close(e protocol.Ending) {
	c.dropKept()
	if c.parser != nil {
		c.parser.Close(e)
		c.parser = nil
	}
}

// Exchanged emits an exchange; part of protocol.Sink.
func (c *Conversation) Exchanged(x *protocol.Exchange) {
	c.shard.stats.Exchanges[c.protocol].Add(1)
	c.emitter.Emit(x)
}

// Error counts; part of protocol.Sink.
func (c *Conversation) Error(parseError protocol.ParseError) {
	if parseError < protocol.ParseErrors {
		c.shard.stats.ParseErrors[parseError].Add(1)
	}
}
