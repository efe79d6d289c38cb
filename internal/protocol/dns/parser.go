package dns

import (
	"encoding/binary"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
)

// parser follows one conversation. It implements protocol.Waiter.
type parser struct {
	*memory
	session protocol.Session
	sink    protocol.Sink
	frames  *[protocol.Directions]framing.Prefixed // nil: datagrams
	waiting pairing.ByID[key, query]
	gaps    [protocol.Directions]uint64
	paired  bool       // a query has had its response
	early   []received // the last responses without a query, the oldest first, each in memory of its own; at most mostEarly
}

// mostEarly is for responses that wait for their queries: as many threads may send at a time, and be late to be seen.
const mostEarly = 8

// mostLate (ns) is how long a datagram may have been sent before that is seen. On loopback its receiver may have answered by then, and another
// thread may have received the answer.
const mostLate = 100_000_000

var _ protocol.Waiter = (*parser)(nil)

// key names a query: each side has ids of its own.
type key struct {
	from protocol.Direction
	id   uint16
}

type outstanding = pairing.Entry[key, query]

// query is one that waits for its response.
type query struct {
	exchange   protocol.ID
	start, end protocol.Stamp
	name       []byte // in wire form, as asked
	kind       dnsmessage.Type
	class      dnsmessage.Class
	op         uint8
	asks       bool // there is a question
	capture    protocol.Capture
	gaps       uint64 // of the direction of responses, when it began
	garbled    bool   // there was a response that cannot be read
	transfer   transfer
	first      protocol.Stamp // of the responses so far, if there may be more
	last       protocol.Stamp
}

// received is a message as it came.
type received struct {
	from        protocol.Direction
	bytes       []byte
	first, last protocol.Stamp
	capture     protocol.Capture
}

// Data implements protocol.Parser.
func (p *parser) Data(c *protocol.Chunk) {
	if p.frames == nil {
		r := received{from: c.Direction, bytes: c.Bytes, first: c.Stamp, last: c.At(len(c.Bytes) - 1)}
		if c.Missing > 0 {
			r.last.Position += c.Missing
			r.capture = protocol.CaptureTruncated
		}
		p.message(&r)
		return
	}
	rest := *c
	for f := &p.frames[c.Direction]; ; {
		switch f.Next(&rest) {
		case framing.Nothing:
			return
		case framing.Whole:
			p.framed(c.Direction)
		}
	}
}

// Gap implements protocol.Parser.
func (p *parser) Gap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	if why != protocol.Skipped {
		p.gaps[d]++
	}
	if p.frames != nil && p.frames[d].Gap(n, at, why) {
		p.framed(d)
	}
}

// framed reads a message of a stream.
func (p *parser) framed(d protocol.Direction) {
	m := &p.frames[d].Message
	r := received{from: d, bytes: m.Body, first: m.First, last: m.Last, capture: m.Loss.Capture()}
	if m.Missing > 0 {
		r.capture = max(r.capture, protocol.CaptureTruncated)
	}
	p.message(&r)
}

func (p *parser) message(r *received) {
	m := &p.memory.message
	switch {
	case !m.read(r.bytes):
		if r.capture == protocol.CaptureComplete {
			p.sink.Error(protocol.Malformed)
			p.garbled(r)
		} else {
			p.sink.Error(protocol.HeadTooLong)
		}
	case p.toGroup(m):
		p.alone(m, r)
	case m.response():
		p.answer(m, r)
	default:
		p.ask(m, r)
	}
	m.bytes, m.name, m.reader = nil, nil, dnsmessage.Parser{}
}

// garbled notes a message that cannot be read with the query that it seems to answer. Clients go on waiting for one that can.
func (p *parser) garbled(r *received) {
	if len(r.bytes) < 4 || binary.BigEndian.Uint16(r.bytes[2:])&bitResponse == 0 {
		return
	}
	if e := p.waiting.Get(key{r.from.Opposite(), binary.BigEndian.Uint16(r.bytes)}); e != nil {
		e.Value.garbled = true
	}
}

// ask begins an exchange.
func (p *parser) ask(m *message, r *received) {
	k := key{r.from, m.id}
	if earlier := p.waiting.Get(k); earlier != nil {
		// The client asks once more, or uses the id for another question: it has stopped waiting.
		p.unanswered(earlier, r.first)
	}
	if p.waiting.Full() {
		oldest := p.waiting.Oldest()
		p.sink.Forget(oldest.Value.exchange)
		p.sink.Error(protocol.TooMany)
		p.waiting.Remove(oldest)
	}
	e := p.waiting.Add(k, r.first.Time+p.timeout)
	e.Value = query{
		start: r.first, end: r.last, name: append(e.Value.name[:0], m.name...), kind: m.kind, class: m.class, op: m.op(),
		asks: m.counts[0] > 0, capture: r.capture, gaps: p.gaps[r.from.Opposite()],
	}
	early := p.answered(m, k, &e.Value)
	if early >= 0 {
		start := &e.Value.start
		start.Began = min(start.Began, p.early[early].first.Time)
	}
	p.request = protocol.Request{Kind: protocol.Call, Initiator: r.from, Start: e.Value.start}
	e.Value.exchange = p.sink.Begin(&p.request)
	if early >= 0 {
		response := p.early[early]
		p.release(early)
		p.answer(m, &response)
	}
}

// answered finds the response to a query among those that were seen before it, and reads it into m; -1: there is none, and m is any.
func (p *parser) answered(m *message, k key, q *query) int {
	began := q.start.Began
	if began == q.start.Time { // not known
		began -= min(began, mostLate)
	}
	for i := range p.early {
		early := &p.early[i]
		if early.from != k.from && early.last.Time >= began && m.read(early.bytes) && m.id == k.id && q.fits(m) {
			return i
		}
	}
	return -1
}

// release takes a response out of those that wait; its memory stays for the next one.
func (p *parser) release(i int) {
	free := received{bytes: p.early[i].bytes[:0]}
	last := len(p.early) - 1
	copy(p.early[i:], p.early[i+1:])
	p.early[last] = free
	p.early = p.early[:last]
}

// hold keeps a response that nobody has asked for. If one thread sends and another receives, the response may be seen before its query.
func (p *parser) hold(r *received) {
	if p.session.Joined && !p.paired {
		return // the query may have been sent before
	}
	if len(p.early) == mostEarly {
		p.release(0)
		p.sink.Error(protocol.Unpaired)
	}
	if len(p.early) < cap(p.early) {
		p.early = p.early[:len(p.early)+1]
	} else {
		p.early = append(p.early, received{})
	}
	held := &p.early[len(p.early)-1]
	mine := held.bytes
	*held = *r
	if most := p.settings.HeadBytes; len(r.bytes) > most {
		held.bytes, held.capture = r.bytes[:most], max(r.capture, protocol.CaptureTruncated)
	}
	held.bytes = append(mine[:0], held.bytes...)
}

// unhold drops the responses whose queries have not come.
func (p *parser) unhold() {
	for range p.early {
		p.sink.Error(protocol.Unpaired)
	}
	p.early = p.early[:0]
}

// answer ends the exchange that a response belongs to.
func (p *parser) answer(m *message, r *received) {
	e := p.waiting.Get(key{r.from.Opposite(), m.id})
	if e == nil {
		p.hold(r)
		return
	}
	if !e.Value.fits(m) {
		p.sink.Error(protocol.Unpaired)
		return
	}
	p.paired = true
	q := &e.Value
	q.capture = max(q.capture, r.capture)
	if q.first.Time == 0 {
		q.first = r.first
	}
	q.last = r.last
	if p.transfers(q) && m.bits&maskCode == noError && !q.transfer.last(m, q.kind) {
		p.waiting.Renew(e, r.last.Time+p.timeout)
		return
	}
	x := p.fill(e)
	code := m.code()
	p.code(x, code)
	if !p.transfers(q) {
		p.addresses(x, m)
	}
	if code == noError {
		if r.capture == protocol.CaptureComplete && !m.readable() {
			p.sink.Error(protocol.Malformed)
			x.Error = protocol.MalformedResponse
		}
		p.resolve(e, m)
	}
	p.end(e, x)
}

// transfers reports whether several messages may answer the query.
func (p *parser) transfers(q *query) bool {
	return p.frames != nil && q.op == opQuery && (q.kind == dnsmessage.TypeAXFR || q.kind == typeIXFR)
}

// fits reports whether a response is one to the query. It may lack the question if it has an error to report, or is not the
// first of several (RFC 5936, section 2.2.1).
func (q *query) fits(m *message) bool {
	switch {
	case q.op != m.op():
		return false
	case m.counts[0] == 0:
		return !q.asks || q.op != opQuery || m.bits&maskCode != noError || q.first.Time != 0
	}
	return m.asks(q.name, q.kind, q.class)
}

// Deadline implements protocol.Waiter.
func (p *parser) Deadline() uint64 {
	if e := p.waiting.Oldest(); e != nil {
		return e.Deadline
	}
	return 0
}

// Expire implements protocol.Waiter.
func (p *parser) Expire(now uint64) {
	for e := p.waiting.Oldest(); e != nil && e.Deadline <= now; e = p.waiting.Oldest() {
		p.unanswered(e, later(e.Value.start, e.Value.start.Time+p.timeout))
	}
}

// Close implements protocol.Parser.
func (p *parser) Close(e protocol.Ending) {
	p.unhold()
	for o := p.waiting.Oldest(); o != nil; o = p.waiting.Oldest() {
		at := later(e.At, o.Value.start.Time)
		if !e.Unknown && e.Errno == 0 {
			p.unanswered(o, at) // who closes the socket of a query has stopped waiting for the response
			continue
		}
		x := p.fill(o)
		if x.End = at; e.Unknown {
			x.Capture = max(x.Capture, e.Capture())
		} else {
			x.Errno = e.Errno
		}
		p.end(o, x)
	}
}

// later is the stamp, but not before a time.
func later(s protocol.Stamp, t uint64) protocol.Stamp {
	s.Time = max(s.Time, t)
	s.Began = max(s.Began, t)
	return s
}

// Demand implements protocol.Parser.
func (p *parser) Demand(d protocol.Direction) protocol.Demand {
	if p.frames == nil {
		return protocol.Demand{}
	}
	return protocol.Demand{Skip: p.frames[d].Skip()}
}

// Held implements protocol.Parser.
func (p *parser) Held() int {
	held := p.waiting.Entries() * entryBytes
	for i := range p.early[:cap(p.early)] {
		held += cap(p.early[:cap(p.early)][i].bytes)
	}
	if p.frames != nil {
		held += p.frames[protocol.FromClient].Held() + p.frames[protocol.FromServer].Held()
	}
	return held
}
