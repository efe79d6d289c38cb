package conversation

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

// Conversation parses the data of one connection. It is for one goroutine.
type Conversation struct {
	shard      *Shard
	connection Connection
	emitter    Emitter

	parser   protocol.Parser // nil: not recognised yet, given up, or over
	protocol int             // its index in Options.Protocols
	role     event.Role      // as the payload shows it
	mute     bool            // given up: no data is wanted any more
	joined   bool            // the beginning was not seen
	looked   int             // transfers that no protocol recognised
	streams  [event.Directions]stream
	kept     []transfer // copies, until the protocol is known
	wanted   event.Want // what the kernel was last asked for

	chunk protocol.Chunk // reused
}

// Mute reports whether the conversation was given up: it ignores further data.
func (c *Conversation) Mute() bool { return c.mute }

// Role is the side of the connection that the payload has shown; RoleUnknown if it has shown none.
func (c *Conversation) Role() event.Role { return c.role }

// End ends both directions at a time (CLOCK_MONOTONIC, ns), with a Linux error number, or 0 if there was no error. The
// positions in e show how many bytes were transferred since the last data event.
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

// Abandon ends a conversation that is no longer tracked, at a time (CLOCK_MONOTONIC, ns).
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

// Exchanged emits an exchange. It implements protocol.Sink.
func (c *Conversation) Exchanged(x *protocol.Exchange) {
	c.shard.stats.Exchanges[c.protocol].Add(1)
	c.emitter.Emit(x)
}

// Error counts a parse error. It implements protocol.Sink.
func (c *Conversation) Error(parseError protocol.ParseError) {
	if parseError < protocol.ParseErrors {
		c.shard.stats.ParseErrors[parseError].Add(1)
	}
}
