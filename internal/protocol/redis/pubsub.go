package redis

import "github.com/socketflow/socketflow/internal/protocol"

// push is what a message begins with that the server sends unasked: in RESP3 with the type >, in RESP2 as an array.
type push struct {
	name    []byte
	span    string
	names   uint32 // elements after the first one that are names; the others are data
	confirm effect // it confirms this command
}

// pushes are the known ones. Without names: see Redis' documentation of pub/sub and of client-side caching.
var pushes = func() map[string]*push {
	all := make(map[string]*push)
	for _, m := range []push{
		{span: "message", names: 1}, {span: "pmessage", names: 2}, {span: "smessage", names: 1}, {span: "invalidate"},
		{span: "subscribe", confirm: subscribe}, {span: "psubscribe", confirm: psubscribe}, {span: "ssubscribe", confirm: ssubscribe},
		{span: "unsubscribe", confirm: unsubscribe}, {span: "punsubscribe", confirm: punsubscribe},
		{span: "sunsubscribe", confirm: sunsubscribe},
	} {
		m.name = []byte(m.span)
		all[m.span] = &m
	}
	return all
}()

// otherPush stands for all others.
var otherPush = &push{name: []byte("push"), span: "push"}

const (
	maxWord = 12 // bytes of the first word of a push; the longest known one has 12
	kinds   = 3  // of subscriptions: channels, patterns, channels of a shard
	shard   = 2
)

// unsubscribed ends a command of which more confirmations were expected: another reply has begun.
func (r *replies) unsubscribed() {
	x := r.subscribing
	if r.subscribing = nil; x == nil {
		return
	}
	x.Value.replied = true
	r.order.Answered()
	if x.Value.requested {
		r.finish(x)
	}
}

// awaits reports whether an array in RESP2 can be what its first word says.
func (r *replies) awaits(m *push) bool {
	next := r.order.Next()
	switch {
	case m.confirm != none:
		return r.subscribing != nil || next == nil || next.Value.command != nil && next.Value.command.effect == m.confirm
	case m.names == 0: // only in RESP3
		return false
	}
	return r.total() > 0 || r.unsure && next == nil
}

func (r *replies) total() int64 { return r.subscribed[0] + r.subscribed[1] + r.subscribed[shard] }

// confirmed returns the command that is confirmed, if it is known.
func (r *replies) confirmed(by effect) *item {
	if r.subscribing != nil {
		return r.subscribing
	}
	next := r.order.Next()
	if next == nil || next.Value.command == nil || next.Value.command.effect != by {
		if next == nil && r.order.Certain() {
			r.premature.add(by, &r.stream().start)
		}
		return nil
	}
	x, _ := r.order.Response()
	r.expect(&x.Value)
	r.subscribing = x
	return x
}

// expect sets how many confirmations a command gets: one for each channel. If it ends all subscriptions, each of them is confirmed, or
// that there is none.
func (r *replies) expect(e *exchange) {
	if e.replies = e.arguments; e.replies == 0 {
		e.replies = int(max(1, r.subscribed[(e.command.effect-subscribe)%kinds]))
	}
}

// premature is confirmations that were seen before their command.
type premature struct {
	by         effect
	count      int
	start, end protocol.Stamp
}

func (c *premature) add(by effect, start *protocol.Stamp) {
	if c.by != by || c.count == 0 {
		*c = premature{by: by, start: *start}
	}
	c.count++
}

// claim gives a command the confirmations that were seen before it, and reports whether these were all.
func (r *replies) claim(x *item) bool {
	c := &r.premature
	e := &x.Value
	if c.count == 0 || c.by != e.command.effect || c.end.Time < e.start.Began || r.order.Next() != x {
		c.count = 0
		return false
	}
	x, _ = r.order.Response()
	r.paired(x)
	r.expect(e)
	e.replies -= c.count
	e.replyStart, e.end = c.start, c.end
	c.count = 0
	if e.replies > 0 {
		r.subscribing = x
		return false
	}
	e.replied = true
	r.order.Answered()
	return true
}

// count follows the number of subscriptions, which every confirmation has: for channels and patterns together.
func (r *replies) count() {
	kind := (r.confirms - subscribe) % kinds
	n := r.number
	if kind != shard {
		n -= r.subscribed[kind^1]
	}
	r.subscribed[kind] = max(n, 0)
}
