package http1

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

const (
	statusContinue           = 100
	statusSwitchingProtocols = 101
	statusNoContent          = 204
	statusResetContent       = 205
	statusNotModified        = 304

	statusDigits = 3
)

// statusLine reads a status line (RFC 9112, 4), and finds the request that it answers.
func (p *parser) statusLine(s *stream, start *protocol.Stamp, text []byte) bool {
	code, ok := statusCode(text)
	if !ok {
		return false
	}
	if p.waiting+p.missing == 0 {
		p.unpairedResponse()
		p.lose(s, protocol.Truncated)
		return true
	}
	s.status, s.orphan = code, false
	s.interim = isInterim(s.status)
	p.pipelined = p.pipelined || !p.loose && p.waiting+p.missing > 1
	x := p.oldest()
	switch {
	case s.interim:
		if s.status == statusContinue && x == p.reading {
			p.expecting = false
		}
	case p.missing > 0:
		p.missing--
		s.orphan = true
	default:
		x.m.ResponseStart = *start
		p.answer(x, s.status)
	}
	return true
}

// icy begins the status line of SHOUTcast, which has no version. Otherwise it is a server of HTTP.
var icy = []byte("ICY ")

// statusCode reads a status line. Clients take any white space for a space (RFC 9112, 4).
func statusCode(text []byte) (code int, ok bool) {
	n := len(version1)
	switch {
	case bytes.HasPrefix(text, icy):
		text = text[len(icy):]
	case len(text) < statusEnd || !isVersion(text[:n]) || !ascii.IsDigit(text[n]) || !ascii.IsSpace(text[n+1]):
		return 0, false
	default:
		text = trim(text[n+2:])
	}
	if len(text) < statusDigits || len(text) > statusDigits && !ascii.IsSpace(text[statusDigits]) {
		return 0, false
	}
	number, ok := ascii.Number(text[:statusDigits])
	return int(number), ok && number >= 100
}

// isVersion reports whether a status line may begin so. Some programs write the version of another connection, and clients read on.
func isVersion(b []byte) bool {
	for i, c := range b {
		if !inVersionAt(i, c) {
			return false
		}
	}
	return true
}

func inVersionAt(i int, c byte) bool { return c == version1[i] || i == majorAt && c == '2' }

const majorAt = len("HTTP/")

// mayBeResponse says whether a response, or an empty line before it, can begin with b.
func mayBeResponse(b []byte) bool {
	if b[0] == '\r' || b[0] == '\n' {
		return true
	}
	var l startLine
	n := min(len(b), len(icy))
	return l.response(b) != differs || bytes.Equal(b[:n], icy[:n])
}

// isInterim reports whether another response follows this status (RFC 9110, 15.2).
func isInterim(status int) bool { return status < 200 && status != statusSwitchingProtocols }

// responseHead ends a response's head (RFC 9112, 6.3).
func (p *parser) responseHead(s *stream, last *protocol.Stamp) {
	x := p.answering()
	switch {
	case s.interim:
		if x = p.oldest(); x != nil && p.missing == 0 {
			x.heard, x.m.End = true, *last
		}
		s.interim, s.state = false, inStart
	case s.switches(x):
		p.switched(x, last)
	case s.status == statusNoContent, s.status == statusNotModified, x != nil && x.head:
		s.surplus = surplus{size: s.size, chunked: s.chunked}
		p.messageEnds(s, last)
	case s.status == statusResetContent && !s.chunked && !s.coded && !s.hasLength: // it has no content (RFC 9110, 15.3.6)
		p.messageEnds(s, last)
	case s.chunked:
		s.nextChunk()
	case s.coded:
		s.state = untilClose
	case s.invalid && s.long: // a part of the length may be missing
		p.tooMuch(s)
	case s.invalid:
		p.malformed(s)
	case !s.hasLength:
		s.state = untilClose
	case s.size > 0:
		p.addBody(s, s.size)
		s.bodyOf(s.size)
	default:
		p.messageEnds(s, last)
	}
}

// switches reports whether HTTP/1.x ends after the response to x: another protocol follows (RFC 9110, 7.8), or a tunnel
// (9.3.6).
func (s *stream) switches(x *exchange) bool {
	return s.status == statusSwitchingProtocols || x != nil && x.connect && s.status >= 200 && s.status < 300
}

// switched is called after the response to x that ends HTTP/1.x. last is the last byte of the response's head, if the whole head
// was read.
func (p *parser) switched(x *exchange, last *protocol.Stamp) {
	s := &p.streams[protocol.FromServer]
	if x == nil || last == nil {
		if x != nil {
			x.m.SetStatus(s.status)
			x.answered = true
		}
		p.giveUp()
		return
	}
	x.m.End = *last
	s.state, p.switching = inStart, x
	if x.requested { // otherwise the rest of its body follows (RFC 7540, 3.2)
		p.leave()
	}
}

// leave ends HTTP/1.x: what follows is recognised anew. If the client has sent settings for HTTP/2, the request goes on as its first
// stream (RFC 7540, 3.2). Some programs upgrade to h2c without settings, and begin HTTP/2 anew.
func (p *parser) leave() {
	x := p.switching
	p.switching = nil
	if s := &p.streams[protocol.FromServer]; s.h2c && x.settings && s.status == statusSwitchingProtocols {
		m, id := x.m, x.id
		x.m = nil
		p.unlink(x)
		p.memory.putExchange(x)
		p.next = p.memory.upgraded.Continue(&p.c, m, id, &p.account)
	} else {
		x.m.SetStatus(s.status)
		x.answered = true
		p.emit()
		p.left = true
	}
	for p.queue.Len() > 0 { // none: a request after this one waits for the decision
		p.retire()
	}
	p.reading, p.awaiting = nil, nil
	for d := range p.streams {
		p.streams[d].newLine()
		p.streams[d].state = over
	}
	if p.left {
		p.c.Sink.Switch(protocol.Switch{})
	}
}
