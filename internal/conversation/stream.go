package conversation

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

// stream is one direction.
type stream struct {
	next      uint64             // position behind what was taken in
	direction protocol.Direction // once the protocol is known
	kept      int                // bytes in Conversation.kept
}

// transfer is what a system call adds to a stream.
type transfer struct {
	direction event.Direction
	bytes     []byte
	stamp     protocol.Stamp // of the first byte
	missing   uint64         // bytes behind them that were not captured
	why       protocol.Loss
}

// Data takes in what one system call transferred.
func (c *Conversation) Data(e *event.Event) {
	d := &e.Data
	stats := &c.shard.stats
	stats.Payload.Add(uint64(len(d.Payload)))
	if c.mute {
		c.want() // another socket has taken the slot
		return
	}
	next := c.streams[d.Direction].next
	stamp := protocol.Stamp{
		Time: e.Time, Position: d.Position, PID: e.Owner.PID, TID: d.TID, Start: e.Owner.Start, Goroutine: d.Goroutine,
	}
	payload, skipped, length := d.Payload, uint64(d.Skipped), uint64(d.Length)
	if d.Position < next {
		// Two threads used this direction at once, so that it cannot be known whose bytes came first.
		again := min(next-d.Position, length)
		stats.Overlapping.Add(again)
		length -= again
		if again <= skipped {
			skipped -= again
		} else {
			payload = payload[min(again-skipped, uint64(len(payload))):]
			skipped = 0
		}
		stamp.Position = next
		if length == 0 {
			return
		}
	}
	if ahead := stamp.Position - next; ahead > 0 {
		c.lose(d.Direction, ahead, gapTime(d.LastUnreported, e.Time), lossOf(d.GapReason))
	}
	if skipped > 0 {
		stats.countMissing(skipped, protocol.Skipped)
		c.gap(d.Direction, skipped, stamp, protocol.Skipped)
		stamp.Position += skipped
	}
	t := transfer{
		direction: d.Direction, bytes: payload, stamp: stamp,
		missing: length - skipped - uint64(len(payload)), why: lossOf(d.CutReason),
	}
	if c.parser == nil {
		c.recognise(&t)
		return
	}
	if t.missing > 0 {
		stats.countMissing(t.missing, t.why)
	}
	c.take(&t)
	c.adjust()
}

// take hands a transfer to the parser.
func (c *Conversation) take(t *transfer) {
	s := &c.streams[t.direction]
	behind := t.stamp
	behind.Position += uint64(len(t.bytes))
	s.next = behind.Position
	if len(t.bytes) > 0 {
		c.chunk = protocol.Chunk{Direction: s.direction, Bytes: t.bytes, Stamp: t.stamp}
		c.parser.Data(&c.chunk)
		c.chunk.Bytes = nil
	}
	if t.missing > 0 {
		c.gap(t.direction, t.missing, behind, t.why)
	}
}

// lose accounts for n bytes that follow and that the kernel did not report. The parser did not need those before
// Want.Until; why the others are missing is given.
func (c *Conversation) lose(d event.Direction, n, time uint64, why protocol.Loss) {
	stamp := protocol.Stamp{Time: time, Position: c.streams[d].next}
	if until := c.wanted.Until[d]; until > stamp.Position {
		skipped := min(until-stamp.Position, n)
		c.shard.stats.countMissing(skipped, protocol.Skipped)
		c.gap(d, skipped, stamp, protocol.Skipped)
		stamp.Position += skipped
		n -= skipped
	}
	if n > 0 {
		c.shard.stats.countMissing(n, why)
		c.gap(d, n, stamp, why)
	}
}

// gap says that the next n bytes, the first of which has this stamp, are not to be had.
func (c *Conversation) gap(d event.Direction, n uint64, stamp protocol.Stamp, why protocol.Loss) {
	s := &c.streams[d]
	s.next = stamp.Position + n
	if c.parser != nil {
		c.parser.Gap(s.direction, n, stamp, why)
	} else if why != protocol.Skipped {
		c.joined = true // what follows may be the middle of anything
		c.dropKept()
	}
}

// lossOf is the gravest of the kernel's reasons. Without a reason the kernel does not know of the bytes itself: they were
// transferred in a way that the hooks do not see.
func lossOf(m event.CutReason) protocol.Loss {
	if m == 0 || m&event.CutRingFull != 0 {
		return protocol.Lost
	}
	return protocol.Truncated
}

// gapTime is when the last byte of a gap was transferred: silent if the kernel knows it, otherwise now at the latest.
func gapTime(silent, now uint64) uint64 {
	if silent != 0 {
		return silent
	}
	return now
}
