package mysql

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// beginsCommand reports whether a command begins where a call's bytes do.
func beginsCommand(b []byte) bool {
	if len(b) <= headerBytes || b[sequenceAt] != 0 {
		return false
	}
	f := fields{rest: b}
	length := f.number(3)
	return plausible(length, b[headerBytes:min(uint64(len(b)), headerBytes+length)])
}

// mostUnseen is the length of a packet that is taken for one by its header alone.
const mostUnseen = 1 << 20

// isHeader reports whether a call's bytes are the header of a packet and no more: many servers, and some clients, read it first. Whether the
// packet is one that can be there is judged when it is complete.
func (p *parser) isHeader(d protocol.Direction, b []byte) bool {
	f := fields{rest: b}
	length := f.number(3)
	p.unsure[d] = len(b) == headerBytes && length > 0 && length <= mostUnseen
	return p.unsure[d]
}

// beginsRequest reports whether a command begins where a call's bytes do, after a loss.
func (p *parser) beginsRequest(b []byte) bool {
	return len(b) >= headerBytes && b[sequenceAt] == 0 && p.isHeader(protocol.FromClient, b) || beginsCommand(b)
}

// isWrong reports whether a packet of which only the header was judged is none that can be there.
func (p *parser) isWrong(d protocol.Direction, m *framing.Prefix, length uint64) bool {
	if !p.unsure[d] {
		return false
	}
	p.unsure[d] = false
	if d == protocol.FromClient {
		return !plausible(length, m.Body)
	}
	return m.Missing == 0 && !mayReply(m.Body, nil)
}

// measure says how much of a client's packet is read: of files, of what goes on, and of answers to questions about who logs in nothing is.
func (p *parser) measure(header []byte) (want int, ok bool) {
	if p.phase == phaseCommands && header[sequenceAt] != 0 {
		return 0, true
	}
	return p.memory.limits.HeadBytes, true
}

// request reads a packet of the client, if it does not go on with the one before.
func (p *parser) request(m *framing.Prefix, length uint64) {
	sequence := m.Header[sequenceAt]
	switch x := p.reply.item; {
	case p.phase != phaseCommands:
		p.logIn(m, length)
	case x != nil && p.reply.state == stateLocal:
		if x.Value.requestEnd = m.Last; length == 0 { // the file has ended
			x.Value.sequence, p.reply.state = sequence, stateHead
		}
	case sequence != 0: // what the server has asked for when somebody logs in, or was not seen to ask for
	case length == 0:
		p.ask(commands[0], m)
	case len(m.Body) == 0:
		p.lose(protocol.FromClient, m.Loss)
	default:
		p.ask(commands[m.Body[0]], m)
	}
}

// requestGoesOn reads a packet that belongs to the one before.
func (p *parser) requestGoesOn(m *framing.Prefix) {
	x := p.sending
	if x == nil {
		return
	}
	p.extend(x, m)
}

// extend adds a packet to a request.
func (p *parser) extend(x *item, m *framing.Prefix) {
	e := &x.Value
	e.requestEnd, e.sequence = m.Last, m.Header[sequenceAt]
	if p.goesOn[protocol.FromClient] {
		p.sending = x
		return
	}
	p.sending, e.requested = nil, true
	switch {
	case e.outside:
		e.end = e.requestEnd
		p.emit(x, "", 0)
	case e.replied:
		p.finish(x)
	}
}

// ask begins a command.
func (p *parser) ask(c *command, m *framing.Prefix) {
	x := p.add(c, &m.First)
	p.preparing, p.newestParent = p.newestParent, protocol.TraceContext{}
	if x == nil {
		p.schemaKnown, p.newest = false, nil
		return
	}
	p.readBody(&x.Value, m)
	p.begin(x)
	p.extend(x, m)
}

// add adds an exchange; nil: it cannot be paired.
func (p *parser) add(c *command, first *protocol.Stamp) *item {
	p.endBlind()
	p.trailing = false
	var x *item
	if c.reply == replyNone {
		x = p.memory.items.Get()
	} else {
		if p.order.Outstanding() >= max(p.memory.limits.Outstanding, 1) {
			p.sink.Error(protocol.TooMany)
			p.order.LostRequests()
		}
		doubt := p.order.Doubt()
		if x, _ = p.order.Request(first, func(*item) bool { return true }); x == nil {
			return nil
		}
		if doubt != protocol.CaptureComplete && p.order.Doubt() == protocol.CaptureComplete {
			p.schemaKnown = false // another command's reply may have said which one
		}
	}
	e := p.newItem(x)
	e.command, e.start, e.outside = c, *first, c.reply == replyNone
	e.doubt = p.order.Doubt()
	return x
}

// readBody reads what follows the command's number.
func (p *parser) readBody(e *exchange, m *framing.Prefix) {
	cut := m.Missing > 0 || p.goesOn[protocol.FromClient]
	b := m.Body[min(len(m.Body), 1):]
	switch e.command.body {
	case bodySQL:
		if cut {
			p.noteCut(e, m)
		}
		p.readSQL(e, b, cut)
	case bodySchema:
		if e.command == commands[comInitDB] {
			e.moves = names
		}
		if len(b) > maxSchema || cut {
			e.moves = unknown
			return
		}
		e.schema = append(e.schema, b...)
	case bodyStatement:
		f := fields{rest: b}
		if e.prepared = uint32(f.number(4)); f.over {
			return
		}
		known := p.useStatement(e)
		if known != nil && e.command == commands[comStmtBulkExecute] && !cut {
			e.batch = known.executions(f)
		}
	case bodyLogin:
		e.moves = unknown
		if schema, ok := schemaOfUser(b, p.capabilities); ok && len(schema) <= maxSchema && p.agreed {
			e.schema, e.moves = append(e.schema, schema...), names
		}
	}
}

// noteCut notes that the statement is longer than what is read of it.
func (p *parser) noteCut(e *exchange, m *framing.Prefix) {
	if e.capture = protocol.CaptureTruncated; m.Loss == protocol.Lost {
		e.capture = protocol.CaptureGap
	}
	p.sink.Error(protocol.HeadTooLong)
}

func (p *parser) readSQL(e *exchange, b []byte, cut bool) {
	if p.attributed(b) {
		if e.command.reply == replyResult { // not when it is prepared
			var ok bool
			if b, ok = behindAttributes(b); !ok {
				cut = true
			}
		}
	}
	if isSQL(b) {
		p.read(e, b, cut)
		if !cut {
			e.parent, _ = protocol.CommentedParent(b)
		}
	} else if e.command.reply == replyResult {
		e.moves = unknown
	}
	if e.command.reply == replyPrepare {
		p.newest, p.newestParent = e.statement, e.parent
	}
}

// lastPrepared stands for the statement that was prepared last, in MariaDB: its number need not be known yet.
const lastPrepared = 1<<32 - 1

// useStatement notes which statement a command is about, and returns it if its number is known.
func (p *parser) useStatement(e *exchange) (known *statement) {
	if e.command == commands[comStmtClose] {
		p.statements.remove(e.prepared)
		return nil
	}
	if e.prepared == lastPrepared {
		// The client does not wait for the number of what it has just prepared: it executes it at once. A statement whose number it has
		// waited for may be executed by somebody else, who is not the parent in the statement's comment.
		e.statement, e.parent = p.newest, p.preparing
	} else if known = p.statements.get(e.prepared); known != nil {
		e.statement, e.capture = known.text, known.doubt
	}
	switch {
	case e.statement != nil:
		if string(e.statement.Operation) == "USE" && e.command.reply == replyResult {
			e.uses(e.statement.Text)
		}
	case e.command == commands[comStmtExecute] || e.command == commands[comStmtBulkExecute]:
		p.sink.Error(protocol.Undecodable)
		e.capture = p.whyUnknown()
	}
	return known
}

// whyUnknown is why a statement is not known.
func (p *parser) whyUnknown() protocol.Capture {
	switch {
	case p.joined:
		return protocol.CaptureJoined
	case p.gaps:
		return protocol.CaptureGap
	case p.statements.forgotten:
		return protocol.CaptureTruncated
	}
	return protocol.CaptureComplete // the client has made it up
}

// cutRequest ends the command that is being read, because its rest is missing.
func (p *parser) cutRequest() {
	x := p.sending
	if x == nil {
		return
	}
	p.sending = nil
	e := &x.Value
	e.requested, e.capture = true, max(e.capture, p.loss)
	switch {
	case e.outside:
		e.end = p.now
		p.emit(x, "", 0)
	case e.replied:
		p.finish(x)
	default: // the number of its last packet is not known, and the reply is found by that
		p.order.Remove(x)
		p.Unanswered(x)
	}
}

// dropRequest ends the command that is being read at the end of the conversation.
func (p *parser) dropRequest() {
	x := p.sending
	switch {
	case x == nil:
	case x.Value.replied:
		p.finish(x)
	case x.Value.outside:
		p.Unanswered(x)
	}
}

// mostLogins is the number of the packet that logs in, if one before it has asked for TLS.
const mostLogins = 2

// logIn reads the client's answer to the greeting.
func (p *parser) logIn(m *framing.Prefix, length uint64) {
	l, ok := readLogin(m.Body, length)
	switch {
	case !ok || m.Header[sequenceAt] == 0 || m.Header[sequenceAt] > mostLogins:
		p.reject()
		return
	case l.tls:
		p.switched, p.over = true, true
		return
	}
	p.agree(&l)
	p.phase = phaseCommands
	x := p.add(connect, &m.First)
	if x == nil {
		return
	}
	e := &x.Value
	if e.moves = unknown; len(l.schema) <= maxSchema {
		e.schema, e.moves = append(e.schema, l.schema...), names
	}
	p.begin(x)
	p.extend(x, m)
}
