// Package proxyproto reads the header that a proxy sends before anything else, to name the client that it connects for: the PROXY
// protocol, versions 1 and 2 (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt; numbers are its sections).
package proxyproto

import (
	"net/netip"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/preamble"
)

// Protocol is the PROXY protocol.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name:       "proxy",
		Transports: protocol.Streams,
		Preamble:   true,
		Detect:     detect,
		Start: func(s *protocol.Settings) func(*protocol.Session) protocol.Parser {
			return func(c *protocol.Session) protocol.Parser {
				return &parser{sink: c.Sink, kept: preamble.New(c.Sink, max(s.HeadBytes, longest))}
			}
		},
	}
}

// longest is how long the part of a header is that is read.
const longest = 1 << 10

// parser keeps what the server sends until the header has ended, and of the header only what is not decided yet.
type parser struct {
	sink   protocol.Sink
	kept   preamble.Kept
	client netip.AddrPort
	behind bool // the addresses have been read
	more   int  // bytes of the header that follow then
}

// Data implements protocol.Parser.
func (p *parser) Data(c *protocol.Chunk) {
	rest := *c
	if p.behind && c.Direction == protocol.FromClient {
		n := min(p.more, len(c.Bytes))
		p.more -= n
		if n == len(c.Bytes) {
			p.finish()
			return
		}
		rest = c.Rest(n)
	}
	p.kept.Data(&rest)
	p.advance()
}

// Gap implements protocol.Parser.
func (p *parser) Gap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	if p.behind && d == protocol.FromClient {
		skipped := min(uint64(p.more), n)
		p.more -= int(skipped)
		n -= skipped
		at.Position += skipped
	}
	if n > 0 {
		p.kept.Gap(d, n, at, why)
	}
	p.advance()
}

func (p *parser) advance() {
	if !p.behind {
		p.read()
	}
	p.finish()
}

// read reads the header up to the addresses.
func (p *parser) read() {
	b, ended := p.kept.Bytes(protocol.FromClient)
	if len(b) == 0 && !ended {
		return
	}
	var h header
	r := incomplete
	if len(b) > 0 {
		h, r = parse(b)
	}
	switch {
	case r == malformed:
		p.sink.Error(protocol.Malformed)
		p.kept.Reject()
	case r == incomplete && ended:
		p.kept.Reject()
	case r == complete:
		p.behind, p.client = true, h.client
		p.kept.Read(protocol.FromClient, h.length)
		n := min(h.more, len(b)-h.length)
		p.kept.Read(protocol.FromClient, n)
		p.more = h.more - n
	}
}

// finish ends the preamble if all of it has come.
func (p *parser) finish() {
	if p.behind && p.more == 0 {
		p.kept.Switch(protocol.Switch{Client: p.client})
	}
}

// Close implements protocol.Parser.
func (p *parser) Close(protocol.Ending) { p.kept.Drop() }

// Demand implements protocol.Parser.
func (p *parser) Demand(protocol.Direction) protocol.Demand { return protocol.Demand{} }

// Held implements protocol.Parser.
func (p *parser) Held() int { return p.kept.Held() }
