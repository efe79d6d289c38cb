package fastcgi

import "github.com/socketflow/socketflow/internal/protocol"

// Gap implements protocol.Parser.
func (p *parser) Gap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	if p.over {
		return
	}
	p.now = at
	s := &p.streams[d]
	if !s.lost && s.inBody() {
		within := min(n, uint64(s.left))
		p.miss(s, d, int(within), &at, why)
		s.left -= int(within)
		padding := min(n-within, uint64(s.rest))
		s.rest -= int(padding)
		n -= within + padding
		if s.left == 0 && s.rest == 0 {
			last := at
			last.Position += within + padding - 1
			s.have = 0
			p.ended(s, d, &last)
		}
	}
	if n > 0 && !p.over {
		p.lose(d, max(why, protocol.Truncated))
	}
}

// lose says that it is not known where the next record of a direction begins, and what was before it.
func (p *parser) lose(d protocol.Direction, why protocol.Loss) {
	s := &p.streams[d]
	s.lost, s.have, s.left, s.rest = true, 0, 0, 0
	if d == protocol.FromClient {
		p.unsure = true
	}
	p.unhurt[d] = false
	p.forEach(func(e *entry) { p.hurt(e, d, why) })
}

// hurt notes that a part of a request or of its response may have been lost. If it may be so of both, a later response may be another one's.
func (p *parser) hurt(e *entry, d protocol.Direction, why protocol.Loss) {
	x := &e.Value
	if x.hurt[d] || d == protocol.FromServer && x.ended {
		return
	}
	x.hurt[d] = true
	if whole := d == protocol.FromClient && x.requested; !whole {
		x.message.Raise(why.Capture())
		x.message.CutBody(d)
	}
	switch {
	case !x.asked:
		p.sink.Error(protocol.Unpaired)
		p.drop(e)
		return
	case d == protocol.FromClient:
		p.describeOnce(x)
		x.requested = true
	case x.head <= headRead: // its beginning may be missing
		p.leaveHead(x)
	}
	switch {
	case x.ended:
		p.finish(e)
	case x.hurt[d.Opposite()]:
		p.endAt(x, &p.now)
		p.finish(e)
	}
}

// credible reports whether bytes, the first of a call, begin a record behind which the direction can be read: of the client the beginning of a request, of the
// server what is about a request that is known.
func (p *parser) credible(d protocol.Direction, b []byte) bool {
	if len(b) < headerBytes {
		return false
	}
	if d == protocol.FromClient {
		return isBegin(b)
	}
	r, ok := readHeader(b, d)
	if !ok || b[7] != 0 || r.padding > 7 || r.id == 0 || r.kind == typeEnd && !isEnd(b) {
		return false
	}
	e := p.open.Get(r.id)
	return e != nil && e.Value.asked
}

// passOver passes over bytes of which it is not known what they are, and gives the conversation up if they have been many without a request.
// While a request is open they are its body, and its response is still to come.
func (p *parser) passOver(d protocol.Direction, n int) {
	if p.unhurt[d] {
		p.lose(d, protocol.Lost)
	}
	if d == protocol.FromClient && p.open.Len() == 0 && p.garbage.Add(n, p.proven) {
		p.giveUp()
	}
}

// giveUp ends the reading of the conversation.
func (p *parser) giveUp() {
	p.Close(protocol.Ending{At: p.now, Unknown: true})
	p.sink.Ignore()
}

// malformed takes what the protocol does not allow. If it is the server's, its responses cannot be read.
func (p *parser) malformed(d protocol.Direction) {
	p.sink.Error(protocol.Malformed)
	if d == protocol.FromServer {
		p.forEach(func(e *entry) {
			if x := &e.Value; x.asked && !x.ended && !x.hurt[d] {
				x.message.Garbled()
				p.endAt(x, &p.now)
				p.finish(e)
			}
		})
	}
	p.lose(d, protocol.Lost)
}
