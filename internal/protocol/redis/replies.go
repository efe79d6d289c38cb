package redis

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// replies reads what the server sends.
type replies struct {
	*parser
	item        *item  // whose reply is being read; nil: it has none
	message     *item  // the push that is being read
	subscribing *item  // some of its channels are not confirmed yet
	confirms    effect // what the push that is being read confirms
	premature   premature
	ending      *protocol.Ending
	garbled     bool // what the server has sent is no reply

	subscribed [kinds]int64 // by kind, how many subscriptions there are
	number     int64        // that the confirmation has
	top        byte         // type of the message; 0: only its attributes have been read
	resp3      bool
	unsure     bool // there may be subscriptions that are not known
	elements   int64
	known      bool // it is known what the message is
	queued     bool // it is QUEUED
	refused    bool // an element of it is an error
}

// line implements handler.
func (r *replies) line(l *framing.Line) bool {
	r.top, r.known, r.queued, r.refused, r.number, r.confirms = 0, false, false, false, 0, none
	return len(l.Bytes) == 0 // a master sends empty lines while a replica waits for its data
}

func (r *replies) stream() *reader { return &r.streams[protocol.FromServer] }

// head implements handler.
func (r *replies) head(line []byte, n int64) (want int, ok bool) {
	s := r.stream()
	kind := line[0]
	switch {
	case kind == '>' && s.depth() > 0:
		return 0, false
	case s.depth() == 0 && kind != '|':
		return r.begin(kind, line, n), true
	case s.depth() != 1 || r.top == 0 || kind == '|':
	case s.index == 0 && !r.known:
		if kind == '$' || kind == '+' {
			return maxWord + 1, true
		}
		r.pair(nil)
	case r.message != nil && s.index <= r.message.Value.message.names:
		return maxArgument, true
	}
	return 0, true
}

// begin reads the first line of a message.
func (r *replies) begin(kind byte, line []byte, n int64) (want int) {
	r.top, r.elements = kind, n
	switch kind {
	case '%', '~', '>', '_', '#', ',', '(', '=', '!':
		r.resp3 = true
	}
	if (kind == '>' || kind == '*') && n != 0 && string(line[1:]) != "-1" {
		return 0 // the first element decides
	}
	r.pair(nil)
	if x := r.item; x != nil && kind == '$' && x.Value.command != nil && x.Value.command.effect == replicates {
		r.complete() // the master's data follows
	}
	if kind == '!' {
		return maxName + 1
	}
	return 0
}

// pair decides what the message is, of which the first word is known if it has one.
func (r *replies) pair(word []byte) {
	r.known = true
	unasked := r.top == '>'
	m := pushes[string(word)]
	if m != nil && !unasked && (r.resp3 || !r.awaits(m)) {
		m = nil // an array that happens to begin with this word
	}
	early := false
	switch {
	case m == nil && !unasked:
		r.unsubscribed()
		if r.item, early = r.order.Response(); early {
			r.newItem(r.item)
		}
	case m != nil && m.confirm != none:
		r.confirms = m.confirm
		r.item = r.confirmed(m.confirm)
	default:
		if m == nil {
			m = otherPush
		}
		r.message = r.memory.items.Get()
		e := r.newItem(r.message)
		e.message, e.start, e.text = m, r.stream().start, append(e.text, m.name...)
	}
	if x := r.item; x != nil && x.Value.replyStart.Time == 0 {
		x.Value.replyStart = r.stream().start
		r.paired(x)
	}
}

// leaf implements handler.
func (r *replies) leaf(kind byte, value []byte, cut bool) {
	s := r.stream()
	if x := r.item; x != nil && cut {
		x.Value.capture = max(x.Value.capture, r.loss)
	}
	switch {
	case s.depth() == 0:
		r.queued = kind == '+' && string(value) == "QUEUED"
		if x := r.item; x != nil && (kind == '-' || kind == '!') {
			x.Value.failed, x.Value.code = true, r.memory.code(value)
		}
	case s.depth() > 1 || r.top == 0:
	case s.index == 0 && !r.known:
		r.pair(value)
	case r.message != nil && r.message.Value.message.names > 0:
		e := &r.message.Value
		class := byte('v')
		if s.index <= e.message.names && !cut {
			class = 'k'
		}
		e.text = appendArgument(e.text, value, class, len(value) >= maxArgument)
	case kind == ':' && s.index == 2:
		r.number, _ = ascii.Number(value)
	case kind == '-' || kind == '!':
		r.refused = true
	}
}

// done implements handler.
func (r *replies) done() {
	if !r.known {
		r.pair(nil)
	}
	if x := r.message; x != nil {
		r.message = nil
		x.Value.requestEnd, x.Value.end = r.memory.last, r.memory.last
		r.emit(x, "", 0)
		return
	}
	x := r.item
	if r.confirms != none {
		r.item = nil
		r.count()
		if x == nil {
			r.premature.end = r.memory.last
			return
		}
		if x.Value.replies--; x.Value.replies > 0 {
			x.Value.end = r.memory.last
			return
		}
		r.subscribing = nil
		r.item = x
	}
	if x != nil {
		r.complete()
	}
}

// complete ends the reply that is being read.
func (r *replies) complete() {
	x := r.item
	r.item = nil
	e := &x.Value
	e.replied, e.end = true, r.memory.last
	e.top, e.queued, e.refused, e.elements = r.top, r.queued, r.refused, r.elements
	r.proven = true
	r.order.Answered()
	if !e.requested {
		return // the request is handed over at its own end
	}
	r.finish(x)
}

// finish hands over an exchange that is complete, and follows what it changes.
func (p *parser) finish(x *item) {
	e, r := &x.Value, &p.replies
	database := p.database
	stop := false
	switch fx := e.command.effect; {
	case e.queued && fx == selects:
		p.queued = e.index
	case e.queued:
	case fx == executes && e.top == '*':
		e.batch = e.elements
		if p.queued != noDatabase {
			if database = p.queued; e.refused {
				database = noDatabase
			}
		}
		p.queued = noDatabase
	case fx == executes, fx == discards:
		p.queued = noDatabase
	case e.failed:
	case fx == selects:
		database = e.index
	case fx == resets:
		database, p.queued, r.resp3, r.unsure = 0, noDatabase, false, false
		r.subscribed = [kinds]int64{}
	case fx == greets:
		r.resp3 = e.top == '%'
	case fx == monitors, fx == replicates:
		stop = true
	}
	p.emit(x, "", 0)
	p.database = database
	if stop && !p.over {
		p.stop()
	}
}

// cut ends the message that is being read, because its rest is missing.
func (r *replies) cut() {
	if r.stream().within && r.top == '*' && !r.known {
		r.pair(nil)
	}
	if x := r.message; x != nil {
		r.message = nil
		switch {
		case r.rejected:
			r.release(x)
		case r.garbled:
			r.emitAt(x, &r.now, protocol.MalformedResponse, 0)
		case r.ending != nil && !r.ending.Unknown:
			r.emitFailed(x, r.ending)
		default:
			x.Value.capture = max(x.Value.capture, r.loss)
			r.emitAt(x, &r.now, "", 0)
		}
	}
	if x := r.item; x != nil && x.Value.outside {
		r.Unanswered(x)
	}
	r.item = nil
}
