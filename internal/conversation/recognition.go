package conversation

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

const (
	// recognitionBytes is how many bytes of a direction are kept at most until its protocol is known.
	recognitionBytes = 4096
	// recognitionTransfers is after how many unrecognised transfers a conversation is given up whose beginning was not seen.
	recognitionTransfers = 32
)

// recognise tries to recognise the protocol by the beginning of a transfer.
func (c *Conversation) recognise(t *transfer) {
	s := &c.streams[t.direction]
	s.next = t.stamp.Position + uint64(len(t.bytes)) + t.missing
	if len(t.bytes) == 0 {
		c.shard.stats.countMissing(t.missing, t.why)
		c.joined = true
		c.dropKept()
		return
	}
	first := !c.joined && t.stamp.Position == uint64(s.kept)
	bytes := t.bytes
	if s.kept > 0 {
		bytes = c.keptBytes(t)
	}
	switch confidence := c.detect(t.direction, bytes, first); {
	case confidence == protocol.Yes:
		c.keep(t)
		c.begin()
	case confidence == protocol.Maybe && s.kept+len(t.bytes) <= recognitionBytes:
		c.keep(t)
	case confidence == protocol.Maybe || !c.joined:
		c.giveUp()
	default:
		c.shard.stats.countMissing(t.missing, t.why)
		c.dropKept()
		if c.looked++; c.looked >= recognitionTransfers {
			c.giveUp()
		}
	}
}

// detect asks the protocols. If the role is not known, it tries both roles, and the bytes decide.
func (c *Conversation) detect(d event.Direction, bytes []byte, first bool) protocol.Confidence {
	maybe := protocol.No
	for _, role := range rolesOf[c.connection.Role] {
		for i := range c.shard.opts.Protocols {
			switch c.shard.opts.Protocols[i].Detect(directionOf(d, role), bytes, first) {
			case protocol.Yes:
				c.protocol, c.role = i, role
				return protocol.Yes
			case protocol.Maybe:
				maybe = protocol.Maybe
			}
		}
	}
	return maybe
}

// rolesOf lists the possible roles for a known role.
var rolesOf = [...][]event.Role{
	event.RoleUnknown: {event.RoleClient, event.RoleServer},
	event.RoleClient:  {event.RoleClient},
	event.RoleServer:  {event.RoleServer},
}

var sideOf = [...]protocol.Side{event.RoleClient: protocol.Client, event.RoleServer: protocol.Server}

func directionOf(d event.Direction, r event.Role) protocol.Direction {
	if (d == event.Sent) == (r == event.RoleClient) {
		return protocol.FromClient
	}
	return protocol.FromServer
}

// keep copies a transfer to parse it once the protocol is known.
func (c *Conversation) keep(t *transfer) {
	kept := *t
	kept.bytes = append([]byte(nil), t.bytes...)
	c.kept = append(c.kept, kept)
	c.streams[t.direction].kept += len(t.bytes)
}

// keptBytes returns the bytes kept of a transfer's direction, followed by those of the transfer.
func (c *Conversation) keptBytes(t *transfer) []byte {
	out := make([]byte, 0, c.streams[t.direction].kept+len(t.bytes))
	for i := range c.kept {
		if k := &c.kept[i]; k.direction == t.direction {
			out = append(out, k.bytes...)
		}
	}
	return append(out, t.bytes...)
}

func (c *Conversation) dropKept() {
	for i := range c.kept {
		c.shard.stats.countMissing(c.kept[i].missing, c.kept[i].why)
	}
	c.kept = nil
	for d := range c.streams {
		c.streams[d].kept = 0
	}
}

// begin creates the parser of the recognised protocol and gives it what was kept.
func (c *Conversation) begin() {
	for d := range c.streams {
		c.streams[d].direction = directionOf(event.Direction(d), c.role)
	}
	c.parser = c.shard.opts.Protocols[c.protocol].New(protocol.Conversation{
		Side: sideOf[c.role], Local: c.connection.Local, Remote: c.connection.Remote, Joined: c.joined, Sink: c,
		Settings: &c.shard.opts.Settings,
	})
	c.shard.stats.Recognised.Add(1)
	c.wantLimits()
	kept := c.kept
	c.dropKept() // it counts their missing bytes
	for i := range kept {
		c.take(&kept[i])
	}
	c.adjust()
}
