package mysql

import "github.com/socketflow/socketflow/internal/protocol"

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
	if p.frames[protocol.FromServer].Message.Missing > 0 { // it may well be one
		p.loseReply()
		return
	}
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
