package http2

import (
	"unsafe"

	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/http"
)

// stream is a request and its response (RFC 9113, 8.1), while they are under way.
type stream struct {
	id       uint32
	exchange protocol.ID // 0: it has not begun, or it has been ended or forgotten
	message  *http.Message
	born     uint64 // the losses until then

	asked        bool // the beginning of the request was seen; otherwise the response came before it
	requestEnded bool
	headed       bool // the final response's head was seen
	heads        uint8
	answered     bool   // the response has ended
	failure      string // of a response before its request

	links intrusive.Links[stream] // in the order in which they were opened
}

const streamBytes = int(unsafe.Sizeof(stream{}))

// seen is how far the client's requests were seen.
type seen struct {
	highest uint32 // stream
	unseen  bool   // there may be unseen requests beyond it,
	missed  bool   // because of a loss
}

// streams are the open streams.
type streams struct {
	byID  map[uint32]*stream
	most  int
	open  intrusive.List[stream] // ascending, since the client numbers them so (RFC 9113, 5.1.1)
	early intrusive.List[stream] // their response came before the request

	seen

	away   bool // the server processes no stream beyond final any more (RFC 9113, 6.8)
	final  uint32
	losses uint64 // so far
	latest struct{ truncated, lost uint64 }
}

// add opens a stream. If there are too many, the oldest is dropped: one whose request was not seen, if there is one.
func (p *parser) add(id uint32) *stream {
	if len(p.byID) >= p.most {
		p.evict()
	}
	s := p.shared.free.Take()
	if s == nil {
		s = new(stream)
	}
	*s = stream{id: id, message: p.shared.pool.Get(&p.c, p.account), born: p.losses}
	p.byID[id] = s
	p.early.Append(&s.links, s)
	return s
}

// ask says that a stream's request has begun.
func (p *parser) ask(s *stream) {
	s.asked = true
	p.early.Remove(&s.links)
	p.open.Append(&s.links, s)
	p.seen = seen{highest: s.id}
}

func (p *parser) drop(s *stream) {
	if s.asked {
		p.open.Remove(&s.links)
	} else {
		p.early.Remove(&s.links)
	}
	delete(p.byID, s.id)
	for i := range p.directions {
		if k := &p.directions[i].block; k.stream == s {
			k.stream = nil
		}
	}
	if s.exchange != 0 {
		p.c.Sink.Forget(s.exchange)
	}
	p.shared.pool.Put(s.message)
	*s = stream{}
	if p.shared.free.Len() < spareStreams {
		p.shared.free.Put(&s.links, s)
	}
}

// spareStreams are kept for others. What many streams at a time have taken beyond that is given back.
const spareStreams = 1024

func (p *parser) evict() {
	s, why := p.early.First(), protocol.Unpaired
	if s == nil {
		s = p.open.First()
		if s.answered { // only the end of the request is missing
			p.finish(s)
			return
		}
		if p.touched(s) == protocol.CaptureComplete {
			why = protocol.TooMany
		}
	}
	p.c.Sink.Error(why)
	p.drop(s)
}

// lossy records that any part of the open streams may have been lost.
func (p *parser) lossy(why protocol.Capture) {
	p.losses++
	if why == protocol.CaptureTruncated {
		p.latest.truncated = p.losses
	} else {
		p.latest.lost = p.losses
	}
}

// touched is the degree of capture of a stream after losses.
func (p *parser) touched(s *stream) protocol.Capture {
	switch {
	case p.latest.lost > s.born:
		return protocol.CaptureGap
	case p.latest.truncated > s.born:
		return protocol.CaptureTruncated
	}
	return protocol.CaptureComplete
}

// requested is the stream that a client's HEADERS frame opens; nil if it opens none.
func (p *parser) requested(id uint32, start protocol.Stamp) *stream {
	if id <= p.highest { // trailers, or a stream that is not followed
		return nil
	}
	s := p.byID[id]
	if s == nil {
		s = p.add(id)
	}
	p.ask(s)
	s.message.Start = start
	s.message.SetVersion("2")
	p.shared.request.Start = start
	s.exchange = p.c.Sink.Begin(&p.shared.request)
	return s
}

// responding is the stream that a server's frame belongs to; nil if it is not followed.
func (p *parser) responding(id uint32) *stream {
	if s := p.byID[id]; s != nil {
		return s
	}
	// Two threads can share a socket so that the response is seen first. But the request may also have been missed.
	if id <= p.highest || id&1 == 0 || p.unseen {
		return nil
	}
	return p.add(id)
}

// request continues a stream whose request's head is complete, or will get no more fields.
func (p *parser) request(s *stream) {
	switch {
	case s.failure != "":
		p.fail(s, s.failure, s.message.End)
	case s.answered && s.requestEnded:
		p.finish(s)
	case p.away && s.id > p.final:
		p.fail(s, errorNames[refusedStream], s.message.Start)
	}
}

// ended records that a side has sent all of a stream.
func (p *parser) ended(from protocol.Direction, id uint32, m protocol.Stamp) {
	s := p.byID[id]
	if s == nil || !s.asked && from == protocol.FromClient {
		return
	}
	if from == protocol.FromClient {
		s.message.RequestEnd = m
		s.message.EndBody(from)
		if !s.requestEnded {
			p.c.Sink.Requested(s.exchange, &s.message.RequestEnd)
		}
		s.requestEnded = true
	} else if !s.answered {
		s.answered = true
		s.message.End = m
		s.message.EndBody(from)
	}
	if s.asked && s.requestEnded && s.answered {
		p.finish(s)
	}
}

// reset is a RST_STREAM frame.
type reset struct {
	code  uint32
	known bool // otherwise the code was lost
	at    protocol.Stamp
}

// cancels says whether a client means by a code that it does not want the response any more. CANCEL is meant for that (RFC 9113, 7); Node's
// close has NO_ERROR as default, and curl sends STREAM_CLOSED.
func cancels(code uint32) bool { return code == cancel || code == noError || code == streamClosed }

// reset ends a stream both ways (RFC 9113, 6.4).
func (p *parser) reset(d *direction, id uint32, r reset) {
	s := p.byID[id]
	if s == nil && d.from == protocol.FromServer {
		s = p.responding(id)
	}
	if s == nil || !s.asked && d.from == protocol.FromClient {
		return
	}
	if !s.answered { // otherwise the response is complete, and the rest of the request was not needed (RFC 9113, 8.1)
		s.message.End = r.at
		switch {
		case !r.known:
			s.message.Raise(protocol.CaptureGap)
		case r.code == noError && p.touched(s) != protocol.CaptureComplete: // the response's end was lost
		default:
			s.failure = errorName(r.code)
			if d.from == protocol.FromClient && cancels(r.code) {
				s.message.Cancelled()
			}
		}
	}
	s.answered, s.requestEnded = true, true
	if s.asked {
		p.request(s)
	}
}

// goAway ends the streams that the server has not processed and will not process (RFC 9113, 6.8). Their reason is
// REFUSED_STREAM, which says the same of a single stream (RFC 9113, 8.7).
func (p *parser) goAway(final uint32, m protocol.Stamp) {
	if p.away {
		final = min(final, p.final)
	}
	p.away, p.final = true, final
	for s := p.open.Last(); s != nil && s.id > final; {
		next := s.links.Prev()
		if s.answered {
			p.finish(s)
		} else {
			p.fail(s, errorNames[refusedStream], m)
		}
		s = next
	}
}

func (p *parser) fail(s *stream, reason string, at protocol.Stamp) {
	s.message.Failed(reason)
	s.message.End = at
	p.finish(s)
}

// carry counts the bytes of a DATA frame. How many of them are padding is in its payload, which is not read.
func (p *parser) carry(d *direction) {
	f := &d.frame
	s := p.byID[f.stream]
	switch {
	case s == nil:
	case f.has(padded):
		s.message.CutBody(d.from)
	default:
		s.message.AddBody(d.from, uint64(f.length))
	}
}

// finish hands over an exchange.
func (p *parser) finish(s *stream) {
	if touched := p.touched(s); touched != protocol.CaptureComplete {
		s.message.Raise(touched)
		s.message.CutBody(protocol.FromClient)
		s.message.CutBody(protocol.FromServer)
	}
	s.message.Fill(&p.shared.exchange)
	p.c.Sink.End(s.exchange, &p.shared.exchange)
	s.exchange = 0
	p.drop(s)
}

// maximumShared bounds the texts of unanswered streams that the end of a connection emits, as far as streams share them. A reference to
// a text of 4 kB costs one byte on the wire, and each exchange has a copy.
const maximumShared = 1 << 17

// flush ends all streams.
func (p *parser) flush(e protocol.Ending) {
	shared := 0
	for s := p.open.First(); s != nil; s = p.open.First() {
		if !s.answered {
			shared += s.message.SharedBytes()
		}
		switch {
		case s.answered:
			p.finish(s)
		case shared > maximumShared:
			p.c.Sink.Error(protocol.TooMany)
			p.drop(s)
		case p.directions[protocol.FromServer].garbled:
			s.message.Garbled()
			s.message.End = e.At
			p.finish(s)
		case e.Unknown:
			s.message.Raise(e.Capture())
			s.message.End = e.At
			p.finish(s)
		case p.touched(s) != protocol.CaptureComplete: // the end may have been lost
			s.message.End = e.At
			p.finish(s)
		default:
			s.message.CutOff(&e)
			s.message.End = e.At
			p.finish(s)
		}
	}
	for s := p.early.First(); s != nil; s = p.early.First() {
		p.c.Sink.Error(protocol.Unpaired)
		p.drop(s)
	}
}
