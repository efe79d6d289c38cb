// Package socks follows the request for a connection that a client sends to a SOCKS proxy, and the answers: SOCKS5 (RFC 1928, with the
// login of RFC 1929), SOCKS4 and SOCKS4a, which no RFC describes. What the connection carries then is in another protocol.
package socks

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/preamble"
)

// Protocol is SOCKS in all versions.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name:       "socks",
		Transports: protocol.Streams,
		Preamble:   true,
		Encloses:   true,
		Detect:     detect,
		Start: func(s *protocol.Settings) func(*protocol.Session) protocol.Parser {
			return func(c *protocol.Session) protocol.Parser {
				return &parser{sink: c.Sink, kept: preamble.New(c.Sink, max(s.HeadBytes, longest))}
			}
		},
	}
}

// longest is more than all the messages of a direction together.
const longest = 2 << 10

// parser reads messages one after the other, whichever direction they are in: each is a step.
type parser struct {
	sink    protocol.Sink
	kept    preamble.Kept
	step    step
	command byte // of the request
	secret  bool // the client may have sent credentials: nothing that it has sent is handed to another parser
}

type step uint8

const (
	greets step = iota // or, in SOCKS4, requests
	chooses
	logsIn
	accepts
	requests
	replies
	connects // a peer has, after bind
	requests4
	replies4
	connects4
	steps // that read a message
	done  // another protocol follows
	stops // nothing of interest does
)

// messages are those that the steps read.
var messages = [steps]struct {
	from    protocol.Direction
	measure measure
}{
	greets:    {protocol.FromClient, greeting5},
	chooses:   {protocol.FromServer, choice5},
	logsIn:    {protocol.FromClient, login},
	accepts:   {protocol.FromServer, loginAnswer},
	requests:  {protocol.FromClient, request5},
	replies:   {protocol.FromServer, addressed},
	connects:  {protocol.FromServer, addressed},
	requests4: {protocol.FromClient, request4},
	replies4:  {protocol.FromServer, reply4},
	connects4: {protocol.FromServer, reply4},
}

// after is the step that follows the message m.
func (p *parser) after(m []byte) step {
	switch p.step {
	case greets:
		p.secret = bytes.IndexByte(m[2:], password) >= 0
		return chooses
	case chooses:
		switch m[1] {
		case anonymous:
			p.secret = false
			return requests
		case password:
			return logsIn
		}
		return stops // no method was acceptable; or what follows may be wrapped
	case logsIn:
		return accepts
	case accepts:
		if m[1] != succeeded {
			return stops
		}
		return requests
	case requests, requests4:
		p.command = m[1]
		return p.step + 1
	case replies:
		switch {
		case m[1] != succeeded, p.command == associate: // then datagrams go elsewhere, and this connection only stays open
			return stops
		case p.command == bind:
			return connects
		}
		return done
	case replies4:
		switch {
		case m[1] != granted4:
			return stops
		case p.command == bind:
			return connects4
		}
		return done
	case connects:
		if m[1] == succeeded {
			return done
		}
	case connects4:
		if m[1] == granted4 {
			return done
		}
	}
	return stops
}

// Data implements protocol.Parser.
func (p *parser) Data(c *protocol.Chunk) {
	if p.step == stops {
		return
	}
	p.kept.Data(c)
	p.advance()
}

// Gap implements protocol.Parser.
func (p *parser) Gap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	if p.step == stops {
		return
	}
	p.kept.Gap(d, n, at, why)
	p.advance()
}

// advance reads the messages that have come, as far as they are those of the next steps.
func (p *parser) advance() {
	for p.step < steps {
		m := &messages[p.step]
		b, ended := p.kept.Bytes(m.from)
		n := 0
		if len(b) > 0 {
			if p.step == greets && b[0] == version4 {
				p.step = requests4
				continue
			}
			n = m.measure(b)
		}
		switch n {
		case bad:
			p.sink.Error(protocol.Malformed)
			p.fail()
			return
		case 0:
			if ended {
				p.fail()
			}
			return
		}
		p.step = p.after(b[:n])
		p.kept.Read(m.from, n)
	}
	switch p.step {
	case done:
		p.kept.Switch(protocol.Switch{})
	case stops:
		p.kept.Drop()
	}
}

// fail ends the parsing of what is not SOCKS after all, or cannot be followed.
func (p *parser) fail() {
	if p.secret {
		p.step = stops
		p.kept.Drop()
		return
	}
	p.kept.Reject()
}

// Close implements protocol.Parser.
func (p *parser) Close(protocol.Ending) { p.kept.Drop() }

// Demand implements protocol.Parser.
func (p *parser) Demand(protocol.Direction) protocol.Demand {
	if p.step == stops {
		return protocol.Demand{Skip: protocol.Forever}
	}
	return protocol.Demand{}
}

// Held implements protocol.Parser.
func (p *parser) Held() int { return p.kept.Held() }
