package http1

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/http"
)

// Responses come in the order of the requests (RFC 9112, 9.3.2). While nothing is lost, counting pairs them, whatever the
// order in which the directions are seen.
//
// What a gap may hide decides what is done after it. A gap in a body of known length hides nothing. Any other may hide the
// rest of one message, and then:
//
//   - In the requests, requests that are not known. The responses to those before it come first, and are still paired by
//     counting. Behind them come responses to none that is known.
//   - In the responses, some of those to the requests outstanding, how many cannot be told.
//
// Clients that do not pipeline, which are nearly all, send a request only after the response to the one before. Until such
// a client has been seen to pipeline, a new request shows that all before it were answered, so those are told without
// a status, and the next response belongs to the new one. That assumption is made in a loose conversation only: after
// a gap, and where observation began in the middle. It holds until a request that came afterwards has been paired with its
// response; then counting goes on.
//
// If a client pipelines there is nothing later from which the pairing could be known again: with a window of n requests it
// takes turns with the server just as a client does that does not pipeline, only that each response is n requests late. So
// such a conversation is given up, after those of its requests were told that are certain.

// exchange is a request, and what is known of its response.
type exchange struct {
	m    *http.Message
	next *exchange
	born uint64 // the call in which its request line ended

	head, connect bool // the request's method
	follows       bool // requests that are not known came before it
	named         bool // its target is known
	requested     bool // the request is complete, or where it ends is not known
	heard         bool // something of a response has come
	begun         bool // its response began in a gap
	responded     bool // the final response's status is known
	answered      bool // the final response is complete
}

// pairing holds the requests that are not answered, in their order. The first one may be in the middle of its response, or
// have been answered before it was complete.
type pairing struct {
	first, last *exchange
	waiting     int       // how many have no final response
	missing     int       // requests before those, dropped because there were too many
	reading     *exchange // the one whose request is read
	awaiting    *exchange // the one whose response decides what comes behind it: CONNECT, or an upgrade

	ended     uint64 // the call in which a request ended last
	obscured  uint64 // the last call in which bytes of responses could not be read
	loosened  uint64 // the last call that made the conversation loose
	expecting bool   // the body that begins now may be left out: Expect: 100-continue
	pipelined bool   // there were requests behind one that was not answered
	loose     bool   // what is outstanding is not known for certain
	unseen    bool   // the last requests are not known
	closing   bool   // requests are not read any more: those outstanding are the last that can be paired
	paired    bool   // a response was
}

// answering returns the exchange whose final response is read.
func (q *pairing) answering() *exchange {
	if q.first != nil && q.first.responded && !q.first.answered {
		return q.first
	}
	return nil
}

// oldest returns the first exchange that waits for its response.
func (q *pairing) oldest() *exchange {
	if q.first != nil && q.first.responded {
		return q.first.next
	}
	return q.first
}

// ready says whether it is the time for what comes next in a direction.
func (p *parser) ready(s *stream) bool {
	switch {
	case s.state != inStart:
		return true
	case s.direction == protocol.FromClient:
		return p.awaiting == nil
	default:
		return p.loose || p.waiting+p.missing > 0
	}
}

// push adds a request. Without a target that is not known.
func (p *parser) push(s *stream, method, target []byte, version string) {
	if p.waiting >= p.memory.outstanding && !p.dropOldest() {
		return
	}
	p.garbage.bytes, p.garbage.chunks = 0, 0
	x := p.memory.newExchange(&p.c)
	x.born, x.follows = p.calls, p.unseen
	p.unseen = false
	x.head, x.connect = string(method) == "HEAD", string(method) == "CONNECT"
	x.m.Start, x.m.End = s.mark, s.mark
	x.m.SetMethod(method)
	if len(target) > 0 {
		x.named = true
		x.m.SetTarget(target)
		x.m.SetVersion(version)
	}
	if p.first == nil {
		p.first = x
	} else {
		p.last.next = x
	}
	p.last, p.reading = x, x
	p.waiting++
}

// supersede draws the conclusion from a new request, however little of it is known: those before it were answered.
func (p *parser) supersede() {
	if p.pipelined {
		return
	}
	if x := p.answering(); x != nil && p.streams[protocol.FromServer].state == lost {
		p.responseEnds(nil)
	}
	for p.loose && p.waiting > 0 && p.answering() == nil {
		p.retire()
	}
}

// dropOldest makes room for a request, and says whether it could.
func (p *parser) dropOldest() bool {
	p.c.Sink.Troubled(protocol.TooMany)
	p.pipelined = true
	x := p.oldest()
	if x == nil || x.head || x.connect || x == p.awaiting { // how its response ends could not be told without it
		p.giveUp()
		return false
	}
	if x == p.first {
		p.unlink()
	} else {
		p.first.next = x.next
		if p.last == x {
			p.last = p.first
		}
		p.waiting--
	}
	p.missing++
	p.memory.putExchange(x)
	return true
}

// requestEnds is the end of the request that is read; without last it is not known where that is.
func (p *parser) requestEnds(last *protocol.Mark) {
	x := p.reading
	if x == nil {
		return
	}
	p.reading, p.expecting = nil, false
	x.requested = true
	if last != nil {
		p.ended = p.calls
		if !x.heard {
			x.m.End = *last
		}
	}
	if x.answered {
		p.tell()
	}
}

// answer pairs the final response that begins with its request.
func (p *parser) answer(x *exchange, status int) {
	x.responded, x.heard = true, true
	if status != statusSwitchingProtocols { // behind that one there may be another, in HTTP/2
		x.m.SetStatus(status)
	}
	p.waiting--
	p.paired = true
	p.loose = p.loose && x.born <= p.loosened
	if p.awaiting == x && !p.streams[protocol.FromServer].switches(x) {
		p.awaiting = nil
	}
}

// responseEnds is the end of the response that is read; without last it is where it was thought to be so far.
func (p *parser) responseEnds(last *protocol.Mark) {
	x := p.answering()
	if x == nil {
		return
	}
	if last != nil {
		x.m.End = *last
	}
	x.answered = true
	if x.requested {
		p.tell()
	}
}

// unpairedResponse counts a response without a request. Where observation began in the middle it is none's fault.
func (p *parser) unpairedResponse() {
	if p.paired || !p.c.Joined {
		p.c.Sink.Troubled(protocol.Unpaired)
	}
}

// tell hands over the first exchange.
func (p *parser) tell() {
	x := p.unlink()
	e := &p.memory.exchange
	e.Reset()
	x.m.Fill(e)
	p.c.Sink.Exchanged(e)
	p.memory.putExchange(x)
	if p.closing && p.first == nil {
		p.giveUp()
	}
}

// unlink takes the first exchange out.
func (p *parser) unlink() *exchange {
	x := p.first
	if p.first = x.next; p.first == nil {
		p.last = nil
	}
	if !x.responded {
		p.waiting--
	}
	if p.awaiting == x {
		p.awaiting = nil
	}
	if p.reading == x {
		p.reading = nil
	}
	x.next = nil
	return x
}

// retire ends the first exchange. What it lacks of its response cannot be told any more, which is no error. If it is only
// the end of the body, that was said before.
func (p *parser) retire() {
	x := p.first
	if !x.answered && (!x.responded || p.streams[protocol.FromServer].state != lost) {
		x.m.Raise(protocol.CaptureGap)
	}
	if !x.named && !x.responded { // there is nothing to tell
		p.c.Sink.Troubled(protocol.Unpaired)
		p.memory.putExchange(p.unlink())
		return
	}
	p.tell()
}

// conclude ends the first exchange at the end of the conversation. It failed only if it is certain that there was no more
// of its response: nothing could have been in a gap.
func (p *parser) conclude(x *exchange, e *protocol.Ending) {
	state := p.streams[protocol.FromServer].state
	switch {
	case x.answered, x.responded && state == lost:
	case e.Unknown, !x.responded && p.obscured >= x.born:
		p.retire()
		return
	case x.responded && state == untilClose && e.Error == "": // RFC 9112, 8: that is its end
	default:
		reason := e.Error
		if reason == "" {
			reason = closed
		}
		x.m.Failed(reason)
		if e.At.Time > x.m.End.Time {
			position := x.m.End.Position
			x.m.End = e.At
			x.m.End.Position = position
		}
	}
	p.tell()
}

// closed is the reason where the connection ended in good order.
const closed = "connection_closed"

// lose gives up a direction's framing, because of a gap or of bytes that make no sense.
func (p *parser) lose(s *stream, why protocol.Loss) {
	if s.state == over {
		return
	}
	between := s.state == inStart
	p.dropLine(s)
	s.candidate = startLine{}
	s.state = lost
	if s.direction == protocol.FromClient {
		if x := p.oldest(); between || x != nil && x.begun {
			p.supersede()
		}
		p.loseRequests(s, why)
	} else {
		p.loseResponses(s, why)
	}
}

func (p *parser) loseRequests(s *stream, why protocol.Loss) {
	p.raise(s, captureOf(why))
	p.requestEnds(nil)
	// What is held may answer a request that was lost.
	if r := &p.streams[protocol.FromServer]; r.held != nil {
		if r.held.captured() {
			p.unpairedResponse()
		}
		p.drop(r)
	}
	if !p.pipelined {
		p.unseen = true
		p.loosen()
		return
	}
	p.closing = true
	s.state = over
	if p.first == nil {
		p.giveUp()
	}
}

func (p *parser) loseResponses(s *stream, why protocol.Loss) {
	p.obscured = p.calls
	c := captureOf(why)
	p.raise(s, c)
	s.interim, s.orphan = false, false
	x := p.answering()
	if s.switches(x) && x != nil {
		p.switched(x, nil)
		return
	}
	if a := p.awaiting; a != nil && a.requested { // what it has decided is not known
		p.awaiting = nil
		if r := &p.streams[protocol.FromClient]; r.state == inStart {
			r.state = lost
		}
	}
	others := p.waiting + p.missing
	switch {
	case others == 0:
		if why == protocol.Lost { // requests may have been lost with it
			p.loosen()
		}
		return
	case p.pipelined:
		p.giveUp()
		return
	}
	// All but the last one were answered before that was sent.
	if x != nil {
		p.responseEnds(nil)
	}
	for p.waiting > 1 {
		p.retire()
	}
	last := p.oldest()
	// If no other came before it, the gap holds the beginning of its response; and if whole calls were lost, a request behind
	// it may have been lost too, which then is the one that the next response belongs to.
	first := x == nil && others == 1 && !last.follows
	switch {
	case p.unseen, first && why == protocol.Lost:
		p.retire()
	case first:
		last.begun = true
		last.m.Raise(c)
	}
	p.loosen()
}

// loosen says that from now on there may be requests outstanding that are not known, or none where one is known.
func (p *parser) loosen() { p.loose, p.loosened = true, p.calls }

// giveUp ends what is of interest in the conversation.
func (p *parser) giveUp() {
	p.closing = false
	for p.first != nil {
		p.retire()
	}
	p.missing, p.reading, p.awaiting = 0, nil, nil
	for d := range p.streams {
		s := &p.streams[d]
		p.release(s)
		s.state = over
	}
}
