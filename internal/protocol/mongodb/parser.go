package mongodb

import (
	"math"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
)

// maxEarly is how many replies wait for their request.
const maxEarly = 16

// parser implements protocol.Parser.
type parser struct {
	memory  *memory
	session protocol.Session
	sink    protocol.Sink
	readers [protocol.Directions]reader
	request request
	reply   reply
	waiting pairing.ByID[uint32, exchange]
	early   pairing.ByID[uint32, result] // replies that were seen before their request
	stream  *entry                       // the request to which several replies come
	now     protocol.Stamp
	ending  *protocol.Ending
	garbage framing.Garbage // of the client
	gaps    uint64          // after which replies were missing
	texts   int             // bytes of the texts of requests that wait

	lossOfReplies protocol.Capture // the last one
	proven        bool             // a message has been read
	paired        bool             // a reply has named a request
	pipelines     bool             // a request was sent before the reply to the one before
	garbled       bool             // the server has sent what is no message
	over          bool             // nothing is read any more
	rejected      bool
}

func newParser(m *memory, s *protocol.Session) *parser {
	p := &parser{memory: m, session: *s, sink: s.Sink}
	p.request.p, p.reply.p = p, p
	p.waiting.Limit, p.early.Limit = m.limits.Outstanding, maxEarly
	for d := range p.readers {
		p.readers[d].packed = framing.NewCarry(&m.buffers)
		p.readers[d].lost = s.Joined
	}
	return p
}

// Data implements protocol.Parser.
func (p *parser) Data(c *protocol.Chunk) {
	if p.over {
		return
	}
	p.now = c.Stamp
	for rest := *c; len(rest.Bytes) > 0 && !p.over; {
		n, ok := p.take(&rest)
		if !ok {
			p.malformed(c)
			break
		}
		rest.Bytes = rest.Bytes[n:]
		rest.Position += uint64(n)
	}
	if c.Direction == protocol.FromClient && !p.over {
		p.judge(c)
	}
}

// judge gives a conversation up in which nothing of the client has been read for long.
func (p *parser) judge(c *protocol.Chunk) {
	if !p.readers[protocol.FromClient].lost {
		p.garbage = framing.Garbage{}
	} else if p.garbage.Add(len(c.Bytes), p.proven) {
		p.stop()
		p.sink.Ignore()
	}
}

// take reads at least one byte; false: no message begins so.
func (p *parser) take(c *protocol.Chunk) (n int, ok bool) {
	r := &p.readers[c.Direction]
	if r.have == headerBytes {
		n = int(min(r.left, uint64(len(c.Bytes))))
		p.body(c.Direction, c.Bytes[:n], &c.Stamp)
		r.left -= uint64(n)
	} else {
		if r.lost && r.have == 0 && !credible(c.Bytes, c.Direction) {
			return len(c.Bytes), true
		}
		if r.have == 0 {
			r.first = c.Stamp
		}
		n = copy(r.head[r.have:], c.Bytes)
		if r.have += n; r.have < headerBytes {
			return n, true
		}
		h, valid := readHeader(r.head[:], c.Direction)
		switch {
		case !valid && r.lost: // it was none
			r.have = 0
			return len(c.Bytes), true
		case !valid:
			r.have = 0
			return n, false
		}
		p.begin(c.Direction, h)
	}
	if r.left == 0 {
		r.last = c.At(n - 1)
		p.complete(c.Direction)
	}
	return n, true
}

// begin starts with a message.
func (p *parser) begin(d protocol.Direction, h header) {
	r := &p.readers[d]
	r.header, r.left, r.lost, r.loss = h, uint64(h.length)-headerBytes, false, protocol.CaptureComplete
	if h.op != opCompressed {
		p.open(d, h.op, uint32(r.left))
	}
}

// open starts with the content of a message.
func (p *parser) open(d protocol.Direction, op opcode, length uint32) {
	r := &p.readers[d]
	l := layouts[op]
	if d == protocol.FromClient {
		p.request.begin(op, l)
	} else {
		h := r.header
		h.op = op
		p.reply.begin(&h)
	}
	r.content.begin(l, length)
}

func (p *parser) handler(d protocol.Direction) handler {
	if d == protocol.FromClient {
		return &p.request
	}
	return &p.reply
}

// body reads bytes behind the header of a message.
func (p *parser) body(d protocol.Direction, b []byte, at *protocol.Stamp) {
	r := &p.readers[d]
	if r.op == opCompressed {
		r.packed.Add(b, maxPacked, at)
		return
	}
	r.content.read(b, p.handler(d))
}

// complete ends a message.
func (p *parser) complete(d protocol.Direction) {
	r := &p.readers[d]
	r.have = 0
	p.proven = true
	if r.op == opCompressed && !p.unpack(d) {
		return
	}
	c := &r.content
	if c.torn {
		r.loss = max(r.loss, protocol.CaptureTruncated)
	}
	broken := c.broken || c.stage != stageRest
	if d == protocol.FromServer {
		p.reply.finish(broken)
		return
	}
	if !p.request.started { // not even its first flags are known
		p.request.start(nil)
	}
	p.request.end(broken)
}

// Gap implements protocol.Parser.
func (p *parser) Gap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	r := &p.readers[d]
	switch {
	case p.over:
		return
	case r.lost && r.have == 0:
		if why != protocol.Skipped && d == protocol.FromServer {
			p.doubt(why)
		}
		return
	}
	p.now = at
	if r.have < headerBytes {
		p.lose(d, why)
		return
	}
	missing := min(n, r.left)
	r.loss = max(r.loss, why.Capture())
	if r.op == opCompressed {
		r.packed.Miss(missing, &at)
	} else {
		r.content.miss(missing, p.handler(d))
	}
	if r.left -= missing; r.left > 0 {
		return
	}
	r.last = at
	r.last.Position += missing - 1
	if missing == 0 {
		r.last.Position = at.Position
	}
	p.complete(d)
	if n > missing && !p.over {
		p.lose(d, why)
	}
}

// lose says that it is not known where the next message of a direction begins.
func (p *parser) lose(d protocol.Direction, why protocol.Loss) {
	r := &p.readers[d]
	if r.have == headerBytes {
		r.packed.Reset()
		if d == protocol.FromClient && p.request.entry != nil {
			p.forget(p.request.entry)
		}
	}
	r.have, r.left, r.lost = 0, 0, true
	if d == protocol.FromServer {
		p.doubt(why)
	}
}

// doubt notes that replies may have been lost.
func (p *parser) doubt(why protocol.Loss) {
	p.reply.answers = nil
	p.lossOfReplies = why.Capture()
	p.gaps++
}

// malformed is called where a message begins with what cannot be one.
func (p *parser) malformed(c *protocol.Chunk) {
	p.sink.Error(protocol.Malformed)
	switch {
	case !p.proven && !p.session.Joined:
		p.rejected = true
		p.stop()
		p.sink.Reject()
		p.sink.Return(c)
	case c.Direction == protocol.FromServer && p.paired && !p.inDoubt():
		p.garbled = true
		p.endAll()
		p.garbled = false
		p.lose(c.Direction, protocol.Lost)
	default:
		p.lose(c.Direction, protocol.Lost)
	}
}

// inDoubt reports whether a reply may have been lost.
func (p *parser) inDoubt() bool {
	x := p.waiting.Oldest()
	return x != nil && p.doubts(x)
}

func (p *parser) endAll() {
	for x := p.waiting.Oldest(); x != nil; x = p.waiting.Oldest() {
		p.unanswered(x)
	}
}

// stop ends the reading of the conversation.
func (p *parser) stop() {
	p.over = true
	p.endAll()
	for e := p.early.Oldest(); e != nil; e = p.early.Oldest() {
		if !p.rejected {
			p.sink.Error(protocol.Unpaired)
		}
		p.early.Remove(e)
	}
	for d := range p.readers {
		p.readers[d].packed.Reset()
	}
	p.request.text.out, p.request.sequence = nil, nil
	p.waiting = pairing.ByID[uint32, exchange]{Limit: p.waiting.Limit}
	p.early = pairing.ByID[uint32, result]{Limit: maxEarly}
}

// Close implements protocol.Parser.
func (p *parser) Close(e protocol.Ending) {
	if p.over {
		return
	}
	p.ending = &e
	p.now = e.At
	p.stop()
}

// Demand implements protocol.Parser.
func (p *parser) Demand(d protocol.Direction) protocol.Demand {
	if p.over {
		return protocol.Demand{Skip: protocol.Forever}
	}
	r := &p.readers[d]
	switch {
	case r.have < headerBytes:
		return protocol.Demand{}
	case r.op != opCompressed:
		return protocol.Demand{Skip: min(r.content.skip(), r.left)}
	case r.packed.Length() >= maxPacked:
		return protocol.Demand{Skip: r.left}
	}
	return protocol.Demand{}
}

// Held implements protocol.Parser.
func (p *parser) Held() int {
	n := p.waiting.Entries()*entrySize + p.early.Entries()*earlySize + p.texts + cap(p.request.text.out)
	for d := range p.readers {
		n += p.readers[d].packed.Held()
	}
	return min(n, math.MaxInt32)
}
