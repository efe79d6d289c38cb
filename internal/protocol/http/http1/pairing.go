package http1

import (
	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/http"
)

// Responses come in the order of the requests (RFC 9112, 9.3.2). While nothing is lost, counting pairs them, whatever the
// order in which the directions are seen. loss.go describes the pairing after a loss.

// exchange is a request, and the known part of its response.
type exchange struct {
	m     *http.Message
	id    protocol.ID               // 0: it has been ended, or forgotten
	links intrusive.Links[exchange] // in the order of the requests
	born  uint64                    // the call in which its request line ended
	doubt protocol.Capture          // of its pairing: see parser.doubt

	head, connect bool // the request's method
	settings      bool // the request has settings for HTTP/2, and offers to go on in it (RFC 7540, 3.2)
	named         bool // its target is known
	requested     bool // the request is complete, or its end is not known
	heard         bool // a part of a response has come
	begun         bool // its response began in a gap
	responded     bool // the final response's status is known
	answered      bool // the final response is complete
}

// enoughTurns in a row show that the pairing is right if the client does not pipeline: if a response had been paired with the request
// before its own, the next request would have found its own request waiting. They do not show that it does not pipeline.
const enoughTurns = 4

// unanswered holds the requests without a response, in their order in the queue. The first one may be in the middle of its response, or have been
// answered before the request was complete.
type unanswered struct {
	queue     intrusive.List[exchange]
	waiting   int       // how many have no final response
	missing   int       // requests before those, dropped because there were too many
	reading   *exchange // its request is being read
	awaiting  *exchange // its response decides which protocol follows: CONNECT, or an upgrade
	switching *exchange // another protocol follows as soon as its request has been read

	ended     uint64           // the call in which a request ended last
	obscured  uint64           // the last call in which bytes of responses could not be read
	active    uint64           // when something was transferred last, in either direction
	loosened  uint64           // the last call that made the conversation loose
	turns     int              // requests since then that were paired, one after the other
	expecting bool             // the body that begins now may be left out: Expect: 100-continue
	pipelined bool             // requests were sent before the response to the one before
	loose     bool             // it is not certain which requests are outstanding
	unseen    bool             // after the last known request there may have been others
	closing   bool             // requests are not read any more: the outstanding ones are the last that can be paired
	paired    bool             // a response was paired
	doubt     protocol.Capture // degree of requests that begin now, because they may be paired wrongly; CaptureComplete: it is certain
}

// answering returns the exchange whose final response is being read.
func (q *unanswered) answering() *exchange {
	if x := q.queue.First(); x != nil && x.responded && !x.answered {
		return x
	}
	return nil
}

// oldest returns the first exchange that waits for its response.
func (q *unanswered) oldest() *exchange {
	x := q.queue.First()
	if x != nil && x.responded {
		return x.links.Next()
	}
	return x
}

// ready reports whether a direction's next bytes can be read now.
func (p *parser) ready(s *stream) bool {
	switch {
	case p.switching != nil && s.direction == protocol.FromServer:
		return false
	case s.state != inStart:
		return true
	case s.direction == protocol.FromClient:
		return p.awaiting == nil
	default:
		return p.loose || p.waiting+p.missing > 0
	}
}

// push adds a request. Without a target, the target is not known.
func (p *parser) push(start *protocol.Stamp, method, target []byte, version string) {
	if p.waiting >= p.memory.outstanding && !p.dropOldest() {
		return
	}
	p.garbage = framing.Garbage{}
	x := p.memory.newExchange(&p.c, &p.account)
	p.memory.request.Start, p.memory.request.Content = *start, contentOf(method, target)
	x.id = p.c.Sink.Begin(&p.memory.request)
	x.born, x.doubt = p.calls, p.doubt
	p.unseen = false
	x.head, x.connect = string(method) == "HEAD", string(method) == "CONNECT"
	x.m.Start, x.m.End = *start, *start
	x.m.SetMethod(method)
	if len(target) > 0 {
		x.named = true
		x.m.SetTarget(target)
		x.m.SetVersion(version)
	}
	p.queue.Append(&x.links, x)
	p.reading = x
	p.waiting++
}

// supersede marks the requests before a new one as answered, however little is known of the new one.
func (p *parser) supersede() {
	if p.pipelined {
		return
	}
	if x := p.answering(); x != nil && p.streams[protocol.FromServer].state == lost {
		p.responseEnds(nil)
	}
	for p.loose && p.waiting > 0 && p.answering() == nil {
		p.turns = 0
		p.retire()
	}
}

// dropOldest makes room for a request, and reports whether it could.
func (p *parser) dropOldest() bool {
	p.c.Sink.Error(protocol.TooMany)
	p.pipelined = true
	x := p.oldest()
	if x == nil || x.head || x.connect || x == p.awaiting { // the end of its response depends on its request
		p.giveUp()
		return false
	}
	p.unlink(x)
	p.missing++
	p.c.Sink.Forget(x.id)
	p.memory.putExchange(x)
	return true
}

// requestEnds ends the request that is being read. Without last its end is not known.
func (p *parser) requestEnds(last *protocol.Stamp) {
	x := p.reading
	if x == nil {
		return
	}
	p.reading, p.expecting = nil, false
	x.requested = true
	if last != nil {
		p.ended = p.calls
		x.m.RequestEnd = *last
		x.m.EndBody(protocol.FromClient)
		if !x.heard {
			x.m.End = *last
		}
	}
	if p.switching == x {
		p.leave()
		return
	}
	if x.answered {
		p.emit()
	}
}

// answer pairs a final response with its request.
func (p *parser) answer(x *exchange, status int) {
	x.responded, x.heard = true, true
	if status != statusSwitchingProtocols { // after a 101 another final response may follow, in HTTP/2
		x.m.SetStatus(status)
	}
	p.waiting--
	p.paired = true
	x.m.Raise(x.doubt)
	if p.loose && x.born > p.loosened {
		p.turns++
		p.loose = p.turns < enoughTurns
	}
	if p.awaiting == x && !p.streams[protocol.FromServer].switches(x) {
		p.awaiting = nil
	}
}

// responseEnds ends the response that is being read. Without last its end is the last byte seen of it.
func (p *parser) responseEnds(last *protocol.Stamp) {
	x := p.answering()
	if x == nil {
		return
	}
	if last != nil {
		x.m.End = *last
		x.m.EndBody(protocol.FromServer)
	}
	x.answered = true
	if x.requested {
		p.emit()
	}
}

// unpairedResponse counts a response without a request. If observation began in the middle, this is no error.
func (p *parser) unpairedResponse() {
	p.turns = 0
	if p.paired || !p.c.Joined {
		p.c.Sink.Error(protocol.Unpaired)
	}
}

// emit hands over the first exchange.
func (p *parser) emit() {
	x := p.queue.First()
	p.unlink(x)
	e := &p.memory.exchange
	x.m.Fill(e)
	p.c.Sink.End(x.id, e)
	p.memory.putExchange(x)
	if p.closing && p.queue.Len() == 0 {
		p.giveUp()
	}
}

// unlink removes an exchange from the queue.
func (p *parser) unlink(x *exchange) {
	p.queue.Remove(&x.links)
	if !x.responded {
		p.waiting--
	}
	if p.awaiting == x {
		p.awaiting = nil
	}
	if p.reading == x {
		p.reading = nil
	}
}

// retire ends the first exchange. The missing part of its response will not be known any more, which is no error unless the server has
// sent what cannot be read. If only the end of the body is missing, the capture degree already says so.
func (p *parser) retire() {
	x := p.queue.First()
	switch s := &p.streams[protocol.FromServer]; {
	case x.answered, x.responded && s.state == lost:
	case x.named && s.garbled:
		x.m.Garbled()
	default:
		x.m.Raise(protocol.CaptureGap)
	}
	if !x.named && !x.responded { // there is nothing to emit
		p.c.Sink.Error(protocol.Unpaired)
		p.c.Sink.Forget(x.id)
		p.unlink(x)
		p.memory.putExchange(x)
		return
	}
	p.emit()
}

// conclude ends the first exchange at the end of the conversation. The exchange failed only if no part of its response can
// have been in a gap.
func (p *parser) conclude(x *exchange, e *protocol.Ending) {
	s := &p.streams[protocol.FromServer]
	state := s.state
	switch {
	case x.answered, x.responded && state == lost:
	case s.garbled && !x.responded:
		if !x.heard {
			x.endAt(&e.At)
		}
		p.retire()
		return
	case e.Cut && (x.named || x.responded):
		x.m.Raise(e.Capture())
		x.endAt(&e.At)
	case e.Unknown, !x.responded && p.obscured >= x.born:
		p.retire()
		return
	case x.responded && state == untilClose && e.Errno == 0: // RFC 9112, 8: the close ends this response
	default:
		x.m.CutOff(e)
		x.endAt(&e.At)
	}
	p.emit()
}

// endAt sets when an exchange ended whose last byte was not seen.
func (x *exchange) endAt(at *protocol.Stamp) {
	if at.Time > x.m.End.Time {
		position := x.m.End.Position
		x.m.End = *at
		x.m.End.Position = position
	}
}
