package conversation

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/unparsed"
)

// naming has the first bytes of a conversation in no protocol that is parsed, until it is decided whether they name one.
type naming struct {
	bytes [event.Directions][]byte
	ended [event.Directions]bool
	first event.Direction
}

// namingBytes is what a naming takes.
const namingBytes = int(event.Directions) * unparsed.PrefixBytes

// idleNamings bounds those that a shard keeps to use them again.
const idleNamings = 64

// Identity names the protocol that the conversation is in, as far as its bytes have shown it. If it is in several, one after the other, it is
// that of the last one with exchanges; else the first one.
func (c *Conversation) Identity() protocol.Identity {
	if t := c.tls; t != nil && t.Protocol != "" && c.enclosed && c.identity.Name == tlsName {
		return protocol.Identity{Name: t.Protocol, Version: t.Version}
	}
	return c.identity
}

// tlsName is the name of TLS, of which the parser reads the version.
const tlsName = "tls"

// name looks at what was kept of a conversation that no parser has recognised, for the name of its protocol. Of a stream only
// the beginning shows it.
func (c *Conversation) name() {
	kept := c.recognition.kept
	switch {
	case c.unnamed || len(kept) == 0 || c.identity.Name != "" && !c.enclosed:
	case c.connection.Datagrams:
		for i := range kept {
			c.nameDatagram(&kept[i])
		}
	case c.joined:
		c.endNaming()
	default:
		c.nameStream(kept)
	}
}

// nameDatagram looks at a datagram, which is a whole message wherever in a conversation it is.
func (c *Conversation) nameDatagram(t *transfer) {
	sample := unparsed.Sample{Datagrams: true, Size: len(t.bytes) + int(t.missing)}
	for _, role := range rolesOf[c.connection.Role] {
		in := directionOf(t.direction, role)
		sample.Bytes = [protocol.Directions][]byte{}
		sample.Bytes[in] = t.bytes[:min(len(t.bytes), unparsed.PrefixBytes)]
		sample.First, sample.Port = in, c.serverPort(role)
		if found, _ := unparsed.Identify(&sample); found.Name != "" {
			c.identity = found
			c.endNaming()
			return
		}
	}
}

func (c *Conversation) nameStream(kept []transfer) {
	n := c.naming
	if n == nil {
		n = c.shard.newNaming()
		n.first = kept[0].direction
		c.naming = n
	}
	for i := range kept {
		n.add(&kept[i])
	}
	undecided := false
	for _, role := range namedRoles[c.connection.Role] {
		var sample unparsed.Sample
		for d := range n.bytes {
			in := directionOf(event.Direction(d), role)
			sample.Bytes[in], sample.Ended[in] = n.bytes[d], n.ended[d]
		}
		sample.First, sample.Port = directionOf(n.first, role), c.serverPort(role)
		found, more := unparsed.Identify(&sample)
		if found.Name != "" {
			c.identity = found
			c.endNaming()
			return
		}
		undecided = undecided || more
	}
	if !undecided {
		c.endNaming()
	}
}

// namedRoles lists the roles that a socket may have in a protocol that is not parsed.
var namedRoles = [...][]event.Role{
	event.RoleUnknown: {event.RoleClient, event.RoleServer},
	event.RoleClient:  {event.RoleClient},
	event.RoleServer:  {event.RoleServer},
}

func (n *naming) add(t *transfer) {
	b := &n.bytes[t.direction]
	if n.ended[t.direction] {
		return
	}
	*b = append(*b, t.bytes[:min(len(t.bytes), unparsed.PrefixBytes-len(*b))]...)
	n.ended[t.direction] = t.missing > 0 || len(*b) == unparsed.PrefixBytes
}

// endNaming frees what was kept. Nothing that comes later names the protocol.
func (c *Conversation) endNaming() {
	c.unnamed = true
	if c.naming != nil {
		c.shard.freeNaming(c.naming)
		c.naming = nil
	}
}

func (s *Shard) newNaming() *naming {
	if last := len(s.namings) - 1; last >= 0 {
		n := s.namings[last]
		s.namings = s.namings[:last]
		return n
	}
	n := new(naming)
	for d := range n.bytes {
		n.bytes[d] = make([]byte, 0, unparsed.PrefixBytes)
	}
	return n
}

// freeNaming keeps a naming to use it again. Secrets do not stay in memory.
func (s *Shard) freeNaming(n *naming) {
	if len(s.namings) >= idleNamings {
		return
	}
	for d := range n.bytes {
		clear(n.bytes[d])
		n.bytes[d] = n.bytes[d][:0]
	}
	n.ended = [event.Directions]bool{}
	s.namings = append(s.namings, n)
}
