package mysql

import "github.com/socketflow/socketflow/internal/protocol"

// beginRows begins a result that has rows.
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
		p.garbled(x)
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
func (p *parser) preparedAs(x *item, b []byte) {
	f := fields{rest: b}
	f.take(1)
	x.Value.prepared = uint32(f.number(4))
	columns, parameters := f.number(2), f.number(2)
	if f.over {
		p.garbled(x)
		return
	}
	added := p.statements.add(x.Value.prepared)
	added.text, added.doubt, added.parameters = x.Value.statement, x.Value.doubt, parameters
	if f.take(3); len(f.rest) > 0 && f.number(1) == 0 { // nothing is described
		columns, parameters = 0, 0
	}
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
