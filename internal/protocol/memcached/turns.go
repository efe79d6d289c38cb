package memcached

import "github.com/socketflow/socketflow/internal/protocol"

// add adds an exchange; nil: it cannot be paired.
func (p *parser) add(c *command, start *protocol.Stamp, mute, quiet bool) *item {
	p.asked = true
	if mute {
		x := p.memory.items.Get()
		p.newItem(x).outside = true
		return p.start(x, c, start)
	}
	if p.order.Items() >= max(p.memory.limits.Outstanding, 1) { // there may be any number of quiet ones
		if x := p.order.Next(); x != nil && x.Value.quiet {
			p.order.Remove(x)
			p.silent(x)
		}
	}
	x, early := p.order.Request(start, func(x *item) bool { return x.Value.replied && x.Value.end.Time < start.Began })
	if x == nil {
		return nil
	}
	if !early {
		p.newItem(x)
	}
	e := &x.Value
	e.outside, e.quiet, e.doubt = early, quiet, p.order.Doubt()
	if early {
		e.capture = max(e.capture, e.doubt)
	}
	return p.start(x, c, start)
}

func (p *parser) start(x *item, c *command, start *protocol.Stamp) *item {
	x.Value.command, x.Value.start = c, *start
	p.begin(x)
	return x
}

// requested ends a request.
func (p *parser) requested(x *item, last *protocol.Stamp) {
	e := &x.Value
	e.requestEnd, e.requested = *last, true
	switch {
	case e.replied:
		p.finish(x)
	case e.outside && e.replyStart.Time == 0: // no reply is to come
		p.silent(x)
	}
}

// replied ends a reply.
func (p *parser) replied(last *protocol.Stamp) {
	x := p.reply.item
	p.reply = answer{}
	p.proven = true
	if x == nil {
		return
	}
	e := &x.Value
	e.end, e.replied = *last, true
	p.order.Answered()
	if e.requested { // otherwise the exchange is handed over at the end of the request
		p.finish(x)
	}
}

// finish hands over an exchange that is complete.
func (p *parser) finish(x *item) {
	stream := x.Value.command.reply == replyStream && x.Value.code == ""
	x.Value.outside = false
	if p.emit(x, "", 0); stream && !p.over {
		p.stop()
	}
}
