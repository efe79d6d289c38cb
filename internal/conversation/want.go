package conversation

import "github.com/socketflow/socketflow/internal/event"

// worthSkipping is how many bytes must be skipped to make it worth a write to the kernel's map.
const worthSkipping = 8 << 10

// nothing asks for none of the data.
var nothing = event.Want{Until: [event.Directions]uint64{event.Never, event.Never}}

// want writes c.wanted to the kernel.
func (c *Conversation) want() { c.shard.opts.Want(c.connection.Cookie, c.wanted) }

// giveUp ignores a conversation of which nothing is recognised, or the rest cannot be read.
func (c *Conversation) giveUp() {
	c.dropKept()
	c.endNaming()
	c.ignore()
	c.countResult(&c.shard.stats.Unrecognised)
}

// ignore asks the kernel for no more data, and ignores what still comes.
func (c *Conversation) ignore() {
	c.mute = true
	c.wanted.Until = nothing.Until
	c.want()
}

// wantLimits asks for all data within the limits, or for what is enough for a search. What the kernel was asked to skip it skips all the same.
func (c *Conversation) wantLimits() {
	w := event.Want{Until: c.wanted.Until, Burst: c.shard.opts.PayloadBurst}
	for d := range w.Limit {
		w.Limit[d] = c.shard.opts.PayloadLimit
		if c.recognition.searches {
			w.Limit[d] = min(w.Limit[d], recognitionBytes)
		}
		c.streams[d].form = nil
	}
	if w != c.wanted {
		c.wanted = w
		c.want()
	}
}

// adjust asks the kernel only for what the parser needs next.
func (c *Conversation) adjust() {
	changed := false
	for d := range c.streams {
		s := &c.streams[d]
		limit := c.shard.opts.PayloadLimit
		demand := c.parser.Demand(s.direction)
		if demand.Enough > 0 {
			limit = min(limit, uint32(demand.Enough))
		}
		if limit != c.wanted.Limit[d] {
			c.wanted.Limit[d] = limit
			changed = true
		}
		if c.wantFrames(event.Direction(d), &demand) {
			changed = true
		}
		if demand.Skip < worthSkipping {
			continue
		}
		until := uint64(event.Never - 1) // unlike Never, this still records the time of the last byte
		if demand.Skip < until-s.next {
			until = s.next + demand.Skip
		}
		if until > c.wanted.Until[d] {
			c.wanted.Until[d] = until
			changed = true
		}
	}
	if changed {
		c.want()
	}
}
