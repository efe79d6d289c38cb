package fastcgi

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// headState is how far the head of a response has been read (RFC 3875, 6).
type headState uint8

const (
	headNone    headState = iota // no line has come
	headRead                     // a line has been read
	headWhole                    // it is complete
	headUnknown                  // it is not known what it says
)

const (
	statusOK    = 200 // RFC 3875, 6.3.3: without Status
	statusFound = 302 // RFC 3875, 6.2.3: of a redirect
	maxHeadLine = 1 << 10
)

// readStdout reads what a response has: its head, and how long its body is.
func (p *parser) readStdout(x *request, c *protocol.Chunk) {
	for at := 0; at < len(c.Bytes); {
		if x.head == headWhole || x.head == headUnknown {
			if x.head == headWhole {
				x.message.AddBody(protocol.FromServer, uint64(len(c.Bytes)-at))
			}
			return
		}
		n, whole := x.lines.Read(c, at, maxHeadLine, &p.memory.line)
		at += n
		x.headBytes += n
		switch {
		case x.headBytes > p.memory.headBytes:
			p.sink.Error(protocol.HeadTooLong)
			x.message.Raise(protocol.CaptureTruncated)
			p.leaveHead(x)
		case !whole:
		case len(p.memory.line.Bytes) == 0:
			p.endHead(x)
		case p.readHeadLine(x):
			x.head = headRead
		default:
			x.garbled = true
			p.leaveHead(x)
		}
	}
}

// leaveHead gives the head up: what it has not said so far is not known.
func (p *parser) leaveHead(x *request) {
	x.lines.Reset()
	x.head = headUnknown
	x.message.CutBody(protocol.FromServer)
}

// readHeadLine reads a line of the head. It returns false if that is none.
func (p *parser) readHeadLine(x *request) bool {
	line := p.memory.line.Bytes
	if rest, ok := bytes.CutPrefix(line, []byte("HTTP/")); ok && x.head == headNone { // the whole response as HTTP has it (RFC 3875, 5)
		_, rest, _ = bytes.Cut(rest, []byte{' '})
		x.message.SetStatus(statusOf(rest))
		return x.message.Status() != 0
	}
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok || len(name) == 0 {
		return false
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	value = bytes.Trim(value, " \t")
	switch {
	case ascii.Is(name, "status"):
		x.message.SetStatus(statusOf(value))
		return x.message.Status() != 0
	case ascii.Is(name, "location"):
		x.redirect = redirectTo
		if len(value) > 0 && value[0] == '/' {
			x.redirect = redirectWithin
		}
	}
	x.message.ResponseHeader(name, value)
	return true
}

// redirect is where a response without a status leads.
type redirect uint8

const (
	redirectNone   redirect = iota
	redirectTo              // the client is to go elsewhere
	redirectWithin          // the web server does (RFC 3875, 6.2.2), or has its client do so: it decides the status
)

// endHead ends the head: without a status it says what the specification has for that.
func (p *parser) endHead(x *request) {
	x.head = headWhole
	if x.message.Status() != 0 {
		return
	}
	switch x.redirect {
	case redirectNone:
		x.message.SetStatus(statusOK)
	case redirectTo:
		x.message.SetStatus(statusFound)
	}
}

// statusOf is the code at the beginning of "404 Not Found"; 0: there is none.
func statusOf(value []byte) int {
	if len(value) < 3 || len(value) > 3 && value[3] != ' ' {
		return 0
	}
	code, ok := ascii.Number(value[:3])
	if !ok {
		return 0
	}
	return int(code)
}
