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
	if x == nil || len(b) <= headerBytes || b[sequenceAt] != x.Value.sequence+1 {
		return false
	}
	return isReply(b)
}

// maxColumns is how many columns a table can have, and a result.
const maxColumns = 4096

// isReply reports whether a packet at the beginning of bytes can be the first of a reply. All of it has to be there.
func isReply(b []byte) bool {
	f := fields{rest: b}
	length := f.number(3)
	f.take(1)
	if body := f.take(length); f.over || length == 0 {
		return false
	} else {
		b = body
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
	n, _, ok := columnCount(b, length)
	if !ok || len(f.rest) < headerBytes+4 {
		return ok && n > 0 && len(f.rest) == 0
	}
	return string(f.rest[headerBytes:headerBytes+4]) == "\x03def" // the first description begins so
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
	p.phase = phaseLogin
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
		p.preparedAs(x, b, length)
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

func (p *parser) beginRows(x *item, columns uint64, described bool) {
	x.Value.listed = true
	r := &p.reply
	r.columns, r.between, r.state = columns, p.replacesEOF != yes, stateColumns
	if !described {
		r.state = stateRows
	}
}

// row reads a row, or what follows the last one.
func (p *parser) row(x *item, b []byte, length uint64) {
	e, r := &x.Value, &p.reply
	switch {
	case length == 0:
		p.garbled(x)
	case b[0] == headEOF && length == eofBytes:
		d := readEOF(b)
		p.replacesEOF = no
		if r.between && d.status&statusCursor == 0 {
			r.between = false
			return
		}
		p.result(x, d)
	case b[0] == headEOF && length <= mostRowEnd:
		p.replacesEOF = yes
		p.result(x, readOK(b, p.tracks()))
	default:
		if r.between {
			r.between, p.replacesEOF = false, yes
		}
		e.rows++
	}
}

// result ends a result, which may not be the last one.
func (p *parser) result(x *item, d done) {
	e := &x.Value
	if !d.known { // whether another one follows is not known either
		if p.frames[protocol.FromServer].Message.Missing == 0 {
			p.garbled(x)
		} else {
			p.loseReply()
		}
		return
	}
	p.note(d.status)
	if e.results++; d.moved {
		e.schema, e.moves = append(e.schema[:0], d.schema...), names
		e.tracked = true
	}
	if d.status&statusMore != 0 && e.command.reply == replyResult {
		p.reply = answer{item: x}
		return
	}
	p.complete(x)
}

// preparedAs reads the first packet of the reply to COM_STMT_PREPARE.
func (p *parser) preparedAs(x *item, b []byte, length uint64) {
	f := fields{rest: b}
	f.take(1)
	x.Value.prepared = uint32(f.number(4))
	columns, parameters := f.number(2), f.number(2)
	if f.over {
		p.garbled(x)
		return
	}
	if f.take(3); len(f.rest) > 0 && f.number(1) == 0 { // nothing is described
		columns, parameters = 0, 0
	}
	p.statements.add(x.Value.prepared, x.Value.statement)
	r := &p.reply
	r.state, r.columns, r.later = stateDescribed, parameters, columns
	if parameters == 0 {
		p.nextDescriptions(x)
	}
}

// description reads the description of a parameter or column, or what may follow the last one.
func (p *parser) description(x *item, b []byte, length uint64) {
	r := &p.reply
	switch isEOF := len(b) > 0 && b[0] == headEOF && length == eofBytes; {
	case isEOF && r.columns > 0:
		p.garbled(x)
	case isEOF:
		p.replacesEOF = no
		p.nextDescriptions(x)
	case r.columns == 0 && r.later == 0: // the next reply has begun
		p.replacesEOF = yes
		p.complete(x)
		p.replyPacket(&p.frames[protocol.FromServer].Message, length)
	case r.columns == 0: // the next ones have begun
		p.replacesEOF = yes
		p.nextDescriptions(x)
		p.description(x, b, length)
	default:
		if r.columns--; r.columns > 0 {
			return
		}
		switch {
		case p.replacesEOF == yes:
			p.nextDescriptions(x)
		case p.replacesEOF == open && r.later == 0: // whether a packet follows is seen then
			p.trailing, p.trailingAt = true, p.frames[protocol.FromServer].Message.Header[sequenceAt]+1
			p.complete(x)
		}
	}
}

func (p *parser) nextDescriptions(x *item) {
	r := &p.reply
	if r.columns, r.later = r.later, 0; r.columns == 0 {
		p.complete(x)
	}
}

// login reads what the server says to somebody who logs in.
func (p *parser) login(x *item, b []byte, length uint64) {
	switch {
	case length > 0 && b[0] == headOK:
		p.result(x, readOK(b, p.tracks()))
	case length > 0 && (b[0] == headEOF || b[0] == headMore): // the client answers
	default:
		p.garbled(x)
	}
}

// complete ends a reply.
func (p *parser) complete(x *item) {
	p.proven = true
	p.reply = answer{}
	p.order.Answered()
	e := &x.Value
	if e.replied = true; e.requested {
		p.finish(x)
	} // otherwise the exchange is handed over at the end of the request
}

// finish hands over an exchange that is complete, and follows what it changes.
func (p *parser) finish(x *item) {
	e := x.Value
	if e.command == connect && !e.failed { // it executes nothing
		p.Dropped(x)
	} else {
		p.emit(x, "", 0)
	}
	switch {
	case e.failed && e.results == 0:
		return
	case e.moves == names && (e.tracked || !e.failed && (e.batch <= 1 || e.results == e.batch)):
		p.use(e.schema)
	case e.moves != stays: // some of the statements may not have been executed
		p.schemaKnown = false
	}
	if e.failed {
		return
	}
	switch c := e.command; {
	case c == connect:
		p.compress()
	case c == commands[comChangeUser], c == commands[comResetConnection]:
		p.statements.clear()
		p.newest = nil
	case c.reply == replyForever && !p.over:
		p.stop()
	}
}

// garbled ends an exchange whose reply is none that the protocol allows.
func (p *parser) garbled(x *item) {
	if !p.proven && !p.joined {
		p.reject()
		return
	}
	p.sink.Error(protocol.Malformed)
	certain := p.order.Certain()
	p.reply = answer{}
	p.order.Answered()
	if p.unsettle(&x.Value); certain {
		p.emitAt(x, &p.now, protocol.MalformedResponse, 0)
		return
	}
	x.Value.capture = max(x.Value.capture, protocol.CaptureGap)
	p.emitAt(x, &p.now, "", 0)
}

// loseReply says that it is not known how the reply goes on that is being read.
func (p *parser) loseReply() {
	why := p.frames[protocol.FromServer].Message.Loss
	p.loss = max(p.loss, why.Capture())
	p.cutReply()
	p.order.LostResponses(why)
}

// cutReply notes that the rest of the reply that is being read is missing. If no other command is outstanding, the reply ends before the
// client's next command.
func (p *parser) cutReply() {
	x := p.reply.item
	p.reply, p.trailing = answer{}, false
	if x == nil || p.order.Outstanding() != 1 {
		return
	}
	p.order.Remove(x)
	x.Value.capture = max(x.Value.capture, p.loss)
	x.Value.end, x.Value.listed = p.now, false // not all rows are counted
	p.blind = x
}

// endBlind hands over an exchange the end of whose reply was not seen.
func (p *parser) endBlind() {
	x := p.blind
	if x == nil {
		return
	}
	p.blind = nil
	if p.rejected || x.Value.command == connect {
		p.Dropped(x)
		return
	}
	p.unsettle(&x.Value)
	p.emit(x, "", 0)
}
