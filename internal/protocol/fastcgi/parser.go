package fastcgi

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/http"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
)

// parser implements protocol.Parser.
type parser struct {
	memory  *memory
	session protocol.Session
	sink    protocol.Sink
	account http.Account
	streams [protocol.Directions]stream
	open    pairing.ByID[uint16, request]
	held    int
	now     protocol.Stamp
	garbage framing.Garbage // of the client

	// unhurt: requests have begun since something of a direction was lost.
	unhurt [protocol.Directions]bool
	unsure bool // there may be requests that were not seen
	proven bool // a request was seen
	over   bool // nothing is read any more
}

func newParser(m *memory, s *protocol.Session) *parser {
	p := &parser{memory: m, session: *s, sink: s.Sink, unsure: s.Joined}
	p.open.Limit = m.limit
	for d := range p.streams {
		p.streams[d].lost = s.Joined
	}
	return p
}

// Data implements protocol.Parser.
func (p *parser) Data(c *protocol.Chunk) {
	if p.over {
		return
	}
	p.now = c.Stamp
	s := &p.streams[c.Direction]
	if s.lost && !p.credible(c.Direction, c.Bytes) {
		p.passOver(c.Direction, len(c.Bytes))
		return
	}
	s.lost = false
	for at := 0; at < len(c.Bytes); {
		n, ok := p.step(s, c, at)
		if at += n; !ok {
			p.malformed(c.Direction)
			return
		}
	}
	if c.Direction == protocol.FromClient {
		p.garbage = framing.Garbage{}
	}
}

// step reads a part of a record at an index, and returns how long it is. It returns false if there is none.
func (p *parser) step(s *stream, c *protocol.Chunk, at int) (n int, ok bool) {
	b := c.Bytes[at:]
	switch {
	case s.have < headerBytes:
		if s.have == 0 {
			s.first, s.stale = c.At(at), false
		}
		n = copy(s.header[s.have:], b)
		if s.have += n; s.have < headerBytes {
			return n, true
		}
		r, ok := readHeader(s.header[:], c.Direction)
		if !ok {
			return n, false
		}
		s.begin(r)
	case s.left > 0:
		n = min(s.left, len(b))
		p.content(s, c, at, n)
		s.left -= n
	default:
		n = min(s.rest, len(b))
		s.rest -= n
	}
	if s.left == 0 && s.rest == 0 {
		last := c.At(at + n - 1)
		s.have = 0
		p.ended(s, c.Direction, &last)
	}
	return n, true
}

// content reads n bytes of a record's body.
func (p *parser) content(s *stream, c *protocol.Chunk, at, n int) {
	b := c.Bytes[at:][:n]
	if s.kind == typeBegin || s.kind == typeEnd {
		s.got += copy(s.body[s.got:], b)
		return
	}
	e := p.of(s, c.Direction)
	if e == nil {
		return
	}
	x := &e.Value
	switch s.kind {
	case typeParams:
		if before := x.params.Length(); !x.described && before <= uint64(p.memory.headBytes) && before+uint64(n) > uint64(p.memory.headBytes) {
			p.sink.Error(protocol.HeadTooLong)
			x.message.Raise(protocol.CaptureTruncated)
		}
		if !x.described {
			stamp := c.At(at)
			x.params.Add(b, p.memory.headBytes, &stamp)
		}
	case typeStdin:
		x.message.AddBody(protocol.FromClient, uint64(n))
	case typeStdout:
		m := p.memory
		m.chunk = protocol.Chunk{Direction: c.Direction, Bytes: b, Stamp: c.At(at)}
		p.readStdout(x, &m.chunk)
	case typeStderr:
		x.stderr += uint64(n)
	}
	p.count(x)
}

// miss takes n bytes of a record's body that are missing.
func (p *parser) miss(s *stream, d protocol.Direction, n int, at *protocol.Stamp, why protocol.Loss) {
	if n == 0 {
		return
	}
	if s.kind == typeBegin || s.kind == typeEnd {
		s.torn = true
	}
	e := p.of(s, d)
	if e == nil {
		return
	}
	x := &e.Value
	switch s.kind {
	case typeParams:
		if !x.described {
			x.params.Miss(uint64(n), at)
			x.message.Raise(max(why, protocol.Truncated).Capture())
		}
	case typeStdin:
		x.message.AddBody(protocol.FromClient, uint64(n))
	case typeStdout:
		if x.head == headWhole {
			x.message.AddBody(protocol.FromServer, uint64(n))
		} else if x.head != headUnknown {
			x.message.Raise(max(why, protocol.Truncated).Capture())
			p.leaveHead(x)
		}
	case typeStderr:
		x.stderr += uint64(n)
	}
}

// of is the request that a record is about; nil: it is not known. A response may be seen before its request, if no request can have been missed.
func (p *parser) of(s *stream, d protocol.Direction) *entry {
	if s.id == 0 || s.stale {
		return nil
	}
	e := p.open.Get(s.id)
	if d == protocol.FromClient {
		if e == nil || !e.Value.asked {
			return nil
		}
		return e
	}
	if e == nil {
		if p.unsure {
			return nil
		}
		e = p.add(s.id)
	}
	if x := &e.Value; x.arrived == 0 {
		x.arrived = max(s.first.Time, 1)
		x.message.ResponseStart = s.first
	}
	return e
}

// ended reads a record that is complete.
func (p *parser) ended(s *stream, d protocol.Direction, last *protocol.Stamp) {
	if s.kind == typeBegin {
		p.proven = true
		p.begin(s)
		if s.torn {
			p.open.Get(s.id).Value.message.Raise(protocol.CaptureGap)
		}
		return
	}
	e := p.of(s, d)
	if e == nil {
		if s.kind == typeEnd && p.proven && !s.stale {
			p.sink.Error(protocol.Unpaired)
		}
		return
	}
	x := &e.Value
	if d == protocol.FromServer && !x.ended {
		x.message.End = *last
	}
	switch s.kind {
	case typeParams:
		if s.length == 0 {
			p.describeOnce(x)
			if x.role == authorizer {
				p.endRequest(e, last)
			}
		}
	case typeStdin:
		if s.length == 0 && x.role != filter {
			p.endRequest(e, last)
		}
	case typeData:
		if s.length == 0 {
			p.endRequest(e, last)
		}
	case typeAbort:
		x.aborted = true
		x.message.Cancelled()
		if x.ended {
			p.finish(e)
		}
	case typeEnd:
		if !x.ended {
			p.endResponse(e, s, last)
		}
	}
}

// Close implements protocol.Parser.
func (p *parser) Close(e protocol.Ending) {
	if p.over {
		return
	}
	p.now = e.At
	p.forEach(func(of *entry) {
		x := &of.Value
		switch {
		case !x.asked:
			p.sink.Error(protocol.Unpaired)
			p.drop(of)
			return
		case x.ended:
		case e.Unknown:
			x.message.Raise(e.Capture())
			p.endAt(x, &e.At)
		case x.hurt[protocol.FromServer]:
			p.endAt(x, &e.At)
		default:
			p.endAt(x, &e.At)
			x.message.CutOff(&e)
		}
		p.finish(of)
	})
	p.over = true
}

// Demand implements protocol.Parser.
func (p *parser) Demand(d protocol.Direction) protocol.Demand {
	s := &p.streams[d]
	switch {
	case p.over:
		return protocol.Demand{Skip: protocol.Forever}
	case s.lost || !s.inBody() || p.wants(s):
		return protocol.Demand{}
	}
	return protocol.Demand{Skip: uint64(s.left + s.rest)}
}

// wants reports whether something of the body of a record is of interest.
func (p *parser) wants(s *stream) bool {
	switch s.kind {
	case typeBegin, typeEnd:
		return s.left > 0
	case typeParams:
		e := p.open.Get(s.id)
		return s.left > 0 && e != nil && !e.Value.described && !e.Value.params.Cut()
	case typeStdout:
		e := p.open.Get(s.id)
		return s.left > 0 && (e == nil && !p.unsure || e != nil && e.Value.head <= headRead)
	}
	return false
}

// Held implements protocol.Parser.
func (p *parser) Held() int { return p.held + p.account.Bytes }
