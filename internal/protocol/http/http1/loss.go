package http1

import "github.com/socketflow/socketflow/internal/protocol"

// How parsing goes on after a gap depends on what the gap may hide. In a body of known length it hides nothing. Any other
// gap hides the rest of one message, and it may hide more:
//
//   - In the requests: unknown requests. Their responses come after the responses to the requests before them.
//   - In the responses: some of the responses to outstanding requests. How many is not known.
//
// Nearly all clients do not pipeline: they send a request only after the response to the one before. So unless a client has
// been seen to pipeline, a new request, or the rest of one, shows that the requests before it were answered. They are
// emitted without a status if it was not seen, and the next response is not theirs. This is assumed only in a loose
// conversation: after a gap, and where observation began in the middle. There, a response that is seen before its request
// is taken for another request's, and dropped. After client and server have taken turns a few times, counting is trusted
// again. See doubt.go for whether it is right.
//
// If a client pipelines, nothing later shows the pairing again: with a window of n requests it takes turns with the server
// just like a client that does not pipeline, only that each response is n requests late. So the parser stops following such
// a conversation, after it has emitted the exchanges that are certain.

// lose drops a direction's framing, because of a gap or of malformed bytes.
func (p *parser) lose(s *stream, why protocol.Loss) {
	if s.state == over {
		return
	}
	if p.switching != nil { // where the other protocol begins is not known
		p.switched(p.switching, nil)
		return
	}
	between := s.state == inStart
	s.newLine()
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
	p.raise(s, why.Capture())
	p.requestEnds(nil)
	// The held bytes may answer a request that was lost.
	if r := &p.streams[protocol.FromServer]; r.held != nil {
		if r.held.captured() {
			p.unpairedResponse()
		}
		p.drop(r)
	}
	if !p.pipelined {
		p.unseen = true
		p.loosen()
		p.distrust()
		return
	}
	p.closing = true
	s.state = over
	if p.queue.Len() == 0 {
		p.giveUp()
	}
}

func (p *parser) loseResponses(s *stream, why protocol.Loss) {
	p.obscured = p.calls
	c := why.Capture()
	p.raise(s, c)
	s.interim, s.orphan = false, false
	x := p.answering()
	if s.switches(x) && x != nil {
		p.switched(x, nil)
		return
	}
	if a := p.awaiting; a != nil && a.requested { // its outcome is not known
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
			p.distrust()
		}
		return
	case p.pipelined:
		p.giveUp()
		return
	}
	// All but the last one were answered before that one was sent.
	if x != nil {
		p.responseEnds(nil)
	}
	for p.waiting > 1 {
		p.retire()
	}
	last := p.oldest()
	// If whole calls were lost, the response may be among them, and after it a request to which the next response belongs.
	// Otherwise the gap is within calls, and holds the beginning of the response if no other came before it.
	switch {
	case p.unseen, why == protocol.Lost:
		p.retire()
	case x == nil && others == 1:
		last.begun = true
		last.m.Raise(c)
	}
	p.loosen()
	if why == protocol.Lost { // otherwise all calls were seen, and the client has not pipelined
		p.distrust()
	}
}

// loosen marks the pairing as uncertain: unknown requests may be outstanding, or a known one may already be answered.
func (p *parser) loosen() { p.loose, p.loosened, p.turns = true, p.calls, 0 }

// giveUp stops following the conversation.
func (p *parser) giveUp() {
	p.closing = false
	for p.queue.Len() > 0 {
		p.retire()
	}
	p.missing, p.reading, p.awaiting, p.switching = 0, nil, nil, nil
	for d := range p.streams {
		s := &p.streams[d]
		p.release(s)
		s.state = over
	}
}
