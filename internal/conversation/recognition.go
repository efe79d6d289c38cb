package conversation

import (
	"sync/atomic"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

const (
	// recognitionBytes is how many bytes of a direction are kept at most until its protocol is known.
	recognitionBytes = 4096
	// recognitionTransfers is after how many unrecognised transfers a conversation is given up whose beginning was not seen.
	recognitionTransfers = 32
	// searchTransfers is after how many transfers a conversation is given up whose beginning is in no known protocol. Until then one that may
	// begin anywhere is looked for. XMPP becomes TLS with its 7th transfer, SMTP and IMAP with their 6th (STARTTLS).
	searchTransfers = 16
	// maxSwitches is how many protocols may follow each other on one connection: a proxy's preamble, the request for a tunnel, an
	// upgrade in it ...
	maxSwitches = 8
)

// recognition looks for the protocol of a conversation, or of its rest.
type recognition struct {
	kept     []transfer // copies, until the protocol is known
	size     [event.Directions]int
	looked   int    // transfers that no protocol recognised
	searches bool   // the beginning is in no known protocol: what may begin anywhere is looked for
	switches int    // protocols before this one
	rejected uint64 // set of the protocols that have rejected these bytes
}

// recognise tries to recognise the protocol by the beginning of a transfer.
func (c *Conversation) recognise(t *transfer) {
	r := &c.recognition
	s := &c.streams[t.direction]
	s.next = t.stamp.Position + uint64(len(t.bytes)) + t.missing
	if len(t.bytes) == 0 {
		c.countMissing(t)
		c.joined = true
		c.dropKept()
		return
	}
	c.keep(t)
	found, best := c.detect(t.direction)
	full := r.size[t.direction] >= recognitionBytes
	switch {
	case best >= protocol.Strong, best == protocol.Weak && full:
		c.begin(found)
	case best != protocol.No && !full:
	default:
		c.name()
		c.dropKept()
		c.lookOn()
	}
}

// lookOn goes on with the next transfer, which may be the beginning of a protocol.
func (c *Conversation) lookOn() {
	r := &c.recognition
	r.looked++
	switch {
	case r.searches && r.looked < searchTransfers && (c.shard.anywhere || c.naming != nil):
	case r.searches:
		c.giveUp()
	case c.joined && r.looked < recognitionTransfers:
	case !c.joined && (c.shard.anywhere || c.naming != nil) && !c.connection.Datagrams:
		r.searches = true
		c.wantLimits()
	default:
		c.giveUp()
	}
}

// candidate is a protocol, and which side speaks as its client.
type candidate struct {
	protocol int
	role     event.Role // of the observed socket, in the protocol
}

// detect asks the protocols, for both assignments of the roles. That of the connection comes first. The most certain answer counts.
// An answer that is not certain waits for the other direction if another protocol is as certain, as does every weak one.
func (c *Conversation) detect(latest event.Direction) (found candidate, best protocol.Confidence) {
	for d := range c.recognition.size {
		c.shard.sample[d] = c.keptBytes(event.Direction(d))
	}
	tied := false
	for _, role := range rolesOf[c.connection.Role] {
		sample := &c.shard.judged
		*sample = c.sampleFor(role)
		for i := range c.shard.protocols {
			p := &c.shard.protocols[i]
			if p.Transports&c.transport() == 0 || c.recognition.rejected>>i&1 != 0 || c.recognition.searches && !p.Anywhere {
				continue
			}
			switch confidence := p.Detect(sample); {
			case confidence > best:
				found, best, tied = candidate{i, role}, confidence, false
			case confidence == best && i != found.protocol:
				tied = true
			}
		}
	}
	both := c.recognition.size[latest^1] > 0
	switch {
	case both && best == protocol.Weak:
		best = protocol.Strong
	case !both && best == protocol.Strong && tied:
		best = protocol.Weak
	}
	return found, best
}

// sampleFor is what is known of the beginning if the observed socket has this role.
func (c *Conversation) sampleFor(role event.Role) protocol.Sample {
	s := protocol.Sample{
		Joined: c.joined, Datagrams: c.connection.Datagrams, Reversed: c.connection.Role != event.RoleUnknown && role != c.connection.Role,
		Port: c.serverPort(role),
	}
	for d := range c.streams {
		in := directionOf(event.Direction(d), role)
		s.Bytes[in] = c.shard.sample[d]
		s.Ended[in] = c.recognition.size[d] >= recognitionBytes
	}
	if len(c.recognition.kept) > 0 {
		s.First = directionOf(c.recognition.kept[0].direction, role)
	}
	return s
}

// serverPort is the port of the server if the observed socket has this role.
func (c *Conversation) serverPort(role event.Role) uint16 {
	if role == event.RoleServer {
		return c.connection.Local.Port()
	}
	return c.connection.Remote.Port()
}

func (c *Conversation) transport() protocol.Transports {
	if c.connection.Datagrams {
		return protocol.Datagrams
	}
	return protocol.Streams
}

// rolesOf lists the roles that a socket may have in a protocol, by its role in the connection. A program may connect and then serve.
var rolesOf = [...][]event.Role{
	event.RoleUnknown: {event.RoleClient, event.RoleServer},
	event.RoleClient:  {event.RoleClient, event.RoleServer},
	event.RoleServer:  {event.RoleServer, event.RoleClient},
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
	c.recognition.kept = c.shard.kept.add(c.recognition.kept, t)
	c.recognition.size[t.direction] += len(t.bytes)
}

// keptBytes returns the bytes of a direction that protocols look at: of datagrams the first.
func (c *Conversation) keptBytes(d event.Direction) []byte {
	r := &c.recognition
	out := c.shard.joined[d][:0]
	for i := range r.kept {
		k := &r.kept[i]
		if k.direction != d {
			continue
		}
		if len(k.bytes) == r.size[d] || c.connection.Datagrams {
			return k.bytes
		}
		out = append(out, k.bytes...)
	}
	c.shard.joined[d] = out
	return out
}

func (c *Conversation) dropKept() { c.shard.kept.release(c.takeKept()) }

// takeKept returns what is kept, counts its missing bytes, and keeps it no longer.
func (c *Conversation) takeKept() []transfer {
	r := &c.recognition
	kept := r.kept
	for i := range kept {
		c.countMissing(&kept[i])
	}
	r.kept, r.size = nil, [event.Directions]int{}
	return kept
}

// countResult counts what became of the conversation, once: of a tunnel in an unknown protocol, the request for it was recognised.
func (c *Conversation) countResult(as *atomic.Uint64) {
	if !c.counted {
		as.Add(1)
		c.counted = true
	}
}

// identify notes which protocol was recognised.
func (c *Conversation) identify(p *protocol.Protocol) {
	c.endNaming()
	if !p.Preamble {
		c.countResult(&c.shard.stats.Recognised)
	}
	if !p.Preamble || p.Encloses && c.identity.Name == "" {
		c.identity, c.enclosed = protocol.Identity{Name: p.Name}, p.Preamble
	}
	c.unnamed = !p.Preamble
}

// begin creates the parser of the recognised protocol and gives it what was kept.
func (c *Conversation) begin(found candidate) {
	c.protocol, c.role = found.protocol, found.role
	c.recognition.searches = false
	for d := range c.streams {
		c.streams[d].direction = directionOf(event.Direction(d), c.role)
	}
	c.shard.session = protocol.Session{
		Side: sideOf[c.role], Datagrams: c.connection.Datagrams, Local: c.connection.Local, Remote: c.connection.Remote,
		Joined: c.joined, TLS: c.connection.TLS, Sink: (*sink)(c),
	}
	c.parser = c.shard.newParser(c.protocol)
	c.waiter, _ = c.parser.(protocol.Waiter)
	c.identify(&c.shard.protocols[c.protocol])
	c.wantLimits()
	kept := c.takeKept()
	for i := range kept {
		c.take(&kept[i]) // the parser may hand the rest back
	}
	c.shard.kept.release(kept)
}
