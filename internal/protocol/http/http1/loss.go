package http1

import "github.com/socketflow/socketflow/internal/protocol"

// What is done after a gap is decided by what it may hide. In a body of known length it hides nothing. Any other hides the
// rest of one message, and it may hide more:
//
//   - In the requests, requests that are not known. Behind the responses to those before it come responses to them.
//   - In the responses, some of those to the requests outstanding; how many cannot be told.
//
// Clients that do not pipeline, which are nearly all, send a request only after the response to the one before. So unless
// a client has been seen to pipeline, a new request, or what is left of one, shows that those before it were answered: they
// are told without a status if it was not seen, and the next response is not theirs. This is assumed in a loose
// conversation only, that is after a gap, and where observation began in the middle. There a response that is seen before
// its request is taken for another's, and dropped. Once client and server have taken turns a few times counting goes on.
//
// If a client pipelines there is nothing later from which the pairing could be known again: with a window of n requests it
// takes turns with the server just as a client does that does not pipeline, only that each response is n requests late. So
// such a conversation is given up, after those of its requests were told that are certain.

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
	// Where whole calls were lost its response may be among them, and behind it a request, to which the next response belongs.
	// Otherwise the gap is within calls, and holds the beginning of its response if no other came before it.
	switch {
	case p.unseen, why == protocol.Lost:
		p.retire()
	case x == nil && others == 1:
		last.begun = true
		last.m.Raise(c)
	}
	p.loosen()
}

// loosen says that from now on there may be requests outstanding that are not known, or none where one is known.
func (p *parser) loosen() { p.loose, p.loosened, p.turns = true, p.calls, 0 }

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
