package mysql

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// answer is the reply that is being read.
type answer struct {
	item    *item // nil: none is
	state   state
	columns uint64 // descriptions that are still to come
	later   uint64 // others that follow those
	between bool   // between descriptions and rows there may be a packet
}

// state is what the next packet of a reply is.
type state uint8

const (
	stateHead      state = iota // the first of a result
	stateColumns                // the description of a column
	stateRows                   // a row, or the end
	stateDescribed              // the description of a parameter, or of a column
	stateLogin                  // a question, or the end
	stateLocal                  // nothing: the client sends a file
)

// beginsReply reports whether the reply that is waited for begins where a call's bytes do.
func (p *parser) beginsReply(b []byte) bool {
	x := p.order.Next()
	if x == nil || len(b) < headerBytes || b[sequenceAt] != x.Value.sequence+1 {
		return false
	}
	return p.isHeader(protocol.FromServer, b) || isReply(b)
}

// maxColumns is how many columns a table can have, and a result.
const maxColumns = 4096

// isReply reports whether a packet at the beginning of bytes can be the first of a reply. All of it has to be there.
func isReply(b []byte) bool {
	f := fields{rest: b}
	length := f.number(3)
	f.take(1)
	body := f.take(length)
	return !f.over && mayReply(body, f.rest)
}

// mayReply reports whether a packet can be the first of a reply, and be followed by other bytes.
func mayReply(b, behind []byte) bool {
	length := uint64(len(b))
	if length == 0 {
		return false
	}
	switch b[0] {
	case headOK:
		d := readOK(b, false)
		return length >= leastOK && d.known
	case headError:
		e, ok := readError(b)
		return ok && (e.code >= leastCode || e.code == progress) && printable(b[3:])
	case headEOF:
		return length == eofBytes
	case headLocal:
		return printable(b[1:])
	}
	if _, _, ok := columnCount(b, length); !ok || len(behind) == 0 {
		return ok
	}
	const described = "\x03def" // so the first description begins
	return len(behind) >= headerBytes+len(described) && string(behind[headerBytes:headerBytes+len(described)]) == described
}

// leastCode is the lowest code of an error of a server.
const leastCode = 1000

// columnCount reads how many columns a result has, and whether they are described. Either server has its own way of saying the latter.
func columnCount(b []byte, length uint64) (n uint64, described, ok bool) {
	f := fields{rest: b}
	first := f.length()
	if f.over {
		return 0, false, false
	}
	n, described = first, true
	if len(f.rest) > 0 {
		second := f.length()
		if first <= 1 && (second > 1 || first == 0) { // MySQL
			n, described = second, first == 1
		} else { // MariaDB
			described = second == 1
		}
		if second > 1 && first > 1 {
			return 0, false, false
		}
	}
	return n, described, !f.over && n > 0 && n <= maxColumns && uint64(len(b)-len(f.rest)) == length
}

// greet reads the server's first packet.
func (p *parser) greet(m *framing.Prefix) {
	if len(m.Body) > 0 && m.Body[0] == headError { // too many connections, or the client's host is not allowed
		return
	}
	g, ok := readGreeting(m.Body)
	if !ok {
		p.reject()
		return
	}
	p.phase, p.greeted, p.offered = phaseLogin, true, g.capabilities
	if p.note(g.status); g.mariaDB {
		p.system = systemMariaDB
	}
}

// replyPacket reads a packet of the server, or the beginning of one.
func (p *parser) replyPacket(m *framing.Prefix, length uint64) {
	x := p.reply.item
	if x == nil {
		if x = p.beginReply(m, length); x == nil {
			return
		}
	}
	x.Value.end = m.Last
	b := m.Body
	switch {
	case length > 0 && len(b) == 0:
		p.hidden(length)
	case length >= 3 && b[0] == headError && len(b) >= 3:
		p.refused(x, b)
	default:
		p.readReply(x, b, length)
	}
}

func (p *parser) readReply(x *item, b []byte, length uint64) {
	switch p.reply.state {
	case stateHead, stateLocal:
		p.head(x, b, length)
	case stateColumns:
		if p.reply.columns--; p.reply.columns == 0 {
			p.reply.state = stateRows
		}
	case stateRows:
		p.row(x, b, length)
	case stateDescribed:
		p.description(x, b, length)
	case stateLogin:
		p.login(x, b, length)
	}
}

// beginReply pairs a packet with the command that it is the reply to; nil: it is none, or the command is not known.
func (p *parser) beginReply(m *framing.Prefix, length uint64) *item {
	sequence := m.Header[sequenceAt]
	if p.trailing && sequence == p.trailingAt && length == eofBytes && len(m.Body) > 0 && m.Body[0] == headEOF {
		p.trailing, p.replacesEOF = false, no
		return nil
	}
	next := p.order.Next()
	if next == nil || next.Value.sequence+1 != sequence {
		// What the server sends before it closes the connection has the number 0.
		if p.order.Certain() && sequence == 1 {
			p.sink.Error(protocol.Unpaired)
		}
		return nil
	}
	x, _ := p.order.Response()
	e := &x.Value
	e.replyStart = m.First
	e.capture = max(e.capture, e.doubt)
	p.reply = answer{item: x}
	switch e.command.reply {
	case replyRows, replyColumns:
		p.reply.state, e.listed = stateRows, e.command.reply == replyRows
	case replyLogin:
		p.reply.state = stateLogin
	}
	return x
}

// hidden takes a packet of which nothing is known but its length.
func (p *parser) hidden(length uint64) {
	switch {
	case p.reply.state == stateColumns, p.reply.state == stateDescribed && p.reply.columns > 0:
		p.readReply(p.reply.item, nil, length)
	case p.reply.state == stateRows && length > replyBytes:
		p.reply.item.Value.rows++
	default:
		p.loseReply()
	}
}

// refused reads an error.
func (p *parser) refused(x *item, b []byte) {
	e := &x.Value
	var ok bool
	if e.failure, ok = readError(b); ok && e.failure.code != progress {
		e.failed = true
		p.complete(x)
	}
}

// head reads the first packet of a result.
func (p *parser) head(x *item, b []byte, length uint64) {
	e := &x.Value
	switch {
	case length == 0:
		p.garbled(x)
	case e.command.reply == replyForever:
		p.complete(x)
	case b[0] == headOK && e.command.reply == replyPrepare:
		p.preparedAs(x, b)
	case e.command.reply == replyPrepare:
		p.garbled(x)
	case b[0] == headOK && length >= leastOK:
		p.result(x, readOK(b, p.tracks()))
	case b[0] == headEOF && length == eofBytes:
		p.result(x, readEOF(b))
	case e.command.reply == replyOne: // text
		p.complete(x)
	case b[0] == headLocal:
		p.reply.state = stateLocal
	default:
		n, described, ok := columnCount(b, length)
		if !ok {
			p.garbled(x)
			return
		}
		p.beginRows(x, n, described)
	}
}
