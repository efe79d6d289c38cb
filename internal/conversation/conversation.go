package conversation

import (
	"net/netip"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/protocol"
)

// Conversation parses the data of one connection. It is for one goroutine.
type Conversation struct {
	shard      *Shard
	connection Connection
	emitter    Emitter

	parser      protocol.Parser // nil: not recognised yet, given up, or over
	waiter      protocol.Waiter // the parser, if it is one
	protocol    int             // its index in Shard.protocols
	role        event.Role      // as the payload shows it
	mute        bool            // given up, or over: no data is wanted any more
	joined      bool            // the beginning was not seen
	counted     bool            // in Stats.Recognised or Stats.Unrecognised
	streams     [event.Directions]stream
	recognition recognition
	wanted      event.Want     // what the kernel was last asked for
	client      netip.AddrPort // see protocol.Switch
	tls         *protocol.TLS  // nil: none is known
	identity    protocol.Identity
	enclosed    bool    // identity is that of a preamble: what follows may have another
	unnamed     bool    // it is decided whether the first bytes name a protocol that is not parsed
	naming      *naming // nil: there are none of interest
	last        protocol.ID
	inProgress  int    // exchanges that have begun
	lost        uint64 // bytes that were wanted by a parser

	chunk protocol.Chunk // reused
	// returns are the directions of the parser that hands the conversation back.
	returns [protocol.Directions]event.Direction

	held       int // bytes of memory, as counted in the shard
	class      int // of held
	bySize     intrusive.Links[Conversation]
	deadline   uint64 // see protocol.Waiter; 0: none, and the conversation is not in byDeadline
	byDeadline intrusive.Links[Conversation]
}

// Mute reports whether the conversation was given up, or is over: it ignores further data.
func (c *Conversation) Mute() bool { return c.mute }

// Protocol is the index in Options.Protocols of the protocol that the conversation is in at present; ok is false while none is known.
func (c *Conversation) Protocol() (index int, ok bool) { return c.protocol, c.parser != nil }

// Role is the side of the connection that the payload has shown; RoleUnknown if it has shown none.
func (c *Conversation) Role() event.Role { return c.role }

// Account is how many bytes of a stream the conversation has followed, and how many of them its parsers have wanted and not got.
func (c *Conversation) Account() (followed, lost uint64) {
	if c.connection.Datagrams {
		return 0, 0
	}
	for d := range c.streams {
		followed += c.streams[d].next - c.connection.Position[d]
	}
	return followed, c.lost
}

// InProgress is how many exchanges have begun and not ended, the attributes of those of their protocol (nil: it is in none at present), and the
// database that speaks it.
func (c *Conversation) InProgress() (n int, keys *protocol.Keys, system string) {
	if c.parser == nil {
		return 0, nil, ""
	}
	p := &c.shard.opts.Protocols[c.protocol]
	system = p.Name
	if d, ok := c.parser.(protocol.Database); ok {
		system = d.System()
	}
	return c.inProgress, p.Settings.Keys, system
}

// TLS is what is known of TLS on the connection; nil: there is none, or it was not seen. It may change with the next event, and stays until the
// Conversation is used for another connection.
func (c *Conversation) TLS() *protocol.TLS { return c.tls }

// Closer is who ended a connection: the end that closed first, or that reset it.
type Closer uint8

// The ends.
const (
	CloserUnknown Closer = iota
	CloserLocal
	CloserRemote
)

// End ends both directions at a time (CLOCK_MONOTONIC, ns), with a Linux error number, or 0 if there was no error. The
// positions in e show how many bytes were transferred since the last data event.
func (c *Conversation) End(e *event.Ending, at uint64, errno uint32, by Closer) {
	if c.mute {
		return
	}
	if !c.connection.Datagrams { // the ends of flows have no positions
		for d := range c.streams {
			next := c.streams[d].next
			if ahead := e.Position[d] - min(next, e.Position[d]); ahead > 0 {
				c.lose(event.Direction(d), ahead, gapTime(e.LastUnreported[d], at), protocol.Lost)
			}
		}
	}
	byClient := by == CloserLocal && c.role == event.RoleClient || by == CloserRemote && c.role == event.RoleServer
	c.close(protocol.Ending{At: protocol.Stamp{Time: at, Began: at}, Errno: errno, ByClient: byClient})
}

// IgnoreUnrecognised gives the conversation up if its protocol is not known by now.
func (c *Conversation) IgnoreUnrecognised() {
	if c.parser != nil || c.mute {
		return
	}
	c.giveUp()
	c.settle()
	c.shard.relieve()
}

// Abandon ends a conversation whose end was lost, at a time (CLOCK_MONOTONIC, ns).
func (c *Conversation) Abandon(at uint64) {
	c.close(protocol.Ending{At: protocol.Stamp{Time: at, Began: at}, Unknown: true})
}

// Cut ends a conversation that is under way, and is not followed beyond a time (CLOCK_MONOTONIC, ns).
func (c *Conversation) Cut(at uint64) {
	c.close(protocol.Ending{At: protocol.Stamp{Time: at, Began: at}, Unknown: true, Cut: true})
}

func (c *Conversation) close(e protocol.Ending) {
	if c.parser == nil {
		c.name()
	}
	c.dropKept()
	c.endNaming()
	c.closeParser(&e)
	c.mute, c.wanted.Until = true, nothing.Until // if there is more
	c.settle()
	c.shard.relieve()
}

// closeParser ends the parser, if there is one.
func (c *Conversation) closeParser(e *protocol.Ending) {
	if c.parser == nil {
		return
	}
	of, p := c.protocol, c.parser
	p.Close(*e)
	c.parser, c.waiter = nil, nil
	c.shard.retire(of, p)
}

// settle does what is due after the parser has been called: it asks the kernel for what the parser needs next, and counts the memory.
// Shard.relieve has to follow.
func (c *Conversation) settle() {
	if c.parser != nil {
		c.adjust()
	}
	c.setDeadline()
	c.account()
}
