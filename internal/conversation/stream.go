package conversation

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

// stream is the state of one direction.
type stream struct {
	next      uint64              // position of the next byte
	heard     bool                // bytes have come
	framed    bool                // the kernel knows where frames begin, and leaves out the bodies of unwanted ones
	direction protocol.Direction  // once the protocol is known
	form      *protocol.FrameForm // that the kernel was asked to leave out bodies of; nil: none
}

// transfer is the bytes that one system call adds to a stream.
type transfer struct {
	direction event.Direction
	bytes     []byte
	stamp     protocol.Stamp // of the first byte
	missing   uint64         // bytes after these that were not captured
	why       protocol.Loss
	counted   bool // the missing bytes have been counted
}

// Data processes the bytes that one system call transferred.
func (c *Conversation) Data(e *event.Event) {
	d := &e.Data
	stats := &c.shard.stats
	stats.Payload.Add(uint64(len(d.Payload)))
	if c.mute {
		c.want() // another socket has overwritten the slot in the kernel's map
		return
	}
	c.shard.now = e.Time
	s := &c.streams[d.Direction]
	s.framed = d.Form.Header != 0
	if !s.heard { // the connection may have been joined in the middle of a call, which is reported whole
		s.heard, s.next = true, min(s.next, d.Position)
	}
	stamp := protocol.Stamp{
		Time: e.Time, Began: min(d.Began, e.Time), Position: d.Position,
		PID: e.Owner.PID, TID: d.TID, Start: e.Owner.Start, Goroutine: protocol.Goroutine(d.Goroutine), Unread: d.Unread, Cause: causeOf(&d.Cause),
	}
	if d.Form.Header != 0 {
		c.takeFrames(d, stamp)
	} else {
		c.takeCall(d, stamp)
	}
	c.settle()
	c.shard.relieve()
}

// takeCall takes the bytes of a call, of which the first are captured.
func (c *Conversation) takeCall(d *event.Data, stamp protocol.Stamp) {
	stats := &c.shard.stats
	next := c.streams[d.Direction].next
	payload, skipped, length := d.Payload, uint64(d.Skipped), uint64(d.Length)
	switch {
	case d.Position >= next:
	case c.connection.Datagrams: // two threads used this direction at the same time, and each has transferred a whole datagram
		stamp.Position = next
	default: // the same, and the order of their bytes is not known
		overlap := min(next-d.Position, length)
		stats.Overlapping.Add(overlap)
		length -= overlap
		if overlap <= skipped {
			skipped -= overlap
		} else {
			payload = payload[min(overlap-skipped, uint64(len(payload))):]
			skipped = 0
		}
		stamp.Position = next
		if length == 0 {
			return
		}
	}
	if ahead := stamp.Position - next; ahead > 0 {
		c.lose(d.Direction, ahead, gapTime(d.LastUnreported, stamp.Time), lossOf(d.GapReason))
	}
	if skipped > 0 {
		stats.countMissing(skipped, protocol.Skipped)
		c.gap(d.Direction, skipped, stamp, protocol.Skipped)
		stamp.Position += skipped
	}
	c.take(&transfer{
		direction: d.Direction, bytes: payload, stamp: stamp,
		missing: length - skipped - uint64(len(payload)), why: lossOf(d.CutReason),
	})
}

// take passes a transfer on: to the parser, or to the recognition of one.
func (c *Conversation) take(t *transfer) {
	switch {
	case c.mute:
		c.countMissing(t)
	case c.parser == nil:
		c.recognise(t)
	case c.connection.Datagrams:
		c.takeDatagram(t)
	default:
		c.takeBytes(t)
	}
}

func (c *Conversation) takeBytes(t *transfer) {
	s := &c.streams[t.direction]
	behind := t.stamp
	behind.Position += uint64(len(t.bytes))
	s.next = behind.Position
	c.countMissing(t)
	if len(t.bytes) > 0 {
		c.parse(t, s.direction, 0)
	}
	if t.missing > 0 {
		c.gap(t.direction, t.missing, behind, t.why)
	}
}

func (c *Conversation) takeDatagram(t *transfer) {
	s := &c.streams[t.direction]
	s.next = t.stamp.Position + uint64(len(t.bytes)) + t.missing
	c.countMissing(t)
	if len(t.bytes) > 0 {
		c.parse(t, s.direction, t.missing)
	} else {
		c.gap(t.direction, t.missing, t.stamp, t.why)
	}
}

// parse gives bytes of a transfer to the parser.
func (c *Conversation) parse(t *transfer, d protocol.Direction, missing uint64) {
	k := &c.chunk
	k.Direction, k.Bytes, k.Missing, k.Stamp = d, t.bytes, missing, t.stamp
	c.parser.Data(k)
	k.Bytes = nil
}

func (c *Conversation) countMissing(t *transfer) {
	if t.missing > 0 && !t.counted {
		c.shard.stats.countMissing(t.missing, t.why)
		c.noteLoss(t.missing, t.why)
		t.counted = true
	}
}

// lose accounts for the next n bytes, which the kernel did not report. Those before Want.Until were not wanted; why is the
// reason for the others.
func (c *Conversation) lose(d event.Direction, n, time uint64, why protocol.Loss) {
	stamp := protocol.Stamp{Time: time, Began: time, Position: c.streams[d].next}
	if until := c.wanted.Until[d]; until > stamp.Position {
		skipped := min(until-stamp.Position, n)
		c.shard.stats.countMissing(skipped, protocol.Skipped)
		c.gap(d, skipped, stamp, protocol.Skipped)
		stamp.Position += skipped
		n -= skipped
	}
	if n > 0 {
		c.shard.stats.countMissing(n, why)
		c.noteLoss(n, why)
		c.gap(d, n, stamp, why)
	}
}

// noteLoss notes that a parser does not get bytes which it has wanted.
func (c *Conversation) noteLoss(n uint64, why protocol.Loss) {
	if c.parser != nil && why == protocol.Lost {
		c.lost += n
	}
}

// gap reports to the parser that the next n bytes, the first of which has this stamp, are not available.
func (c *Conversation) gap(d event.Direction, n uint64, stamp protocol.Stamp, why protocol.Loss) {
	s := &c.streams[d]
	s.next = stamp.Position + n
	if c.parser != nil {
		c.parser.Gap(s.direction, n, stamp, why)
	} else {
		c.joined = true // the next bytes may be the middle of a message
		c.dropKept()
	}
}

// lossOf is the most serious of the kernel's reasons. If there is no reason, the hooks did not see the transfer: the bytes
// are lost.
func lossOf(m event.CutReason) protocol.Loss {
	if m == 0 || m&event.CutRingFull != 0 {
		return protocol.Lost
	}
	return protocol.Truncated
}

// gapTime is when the last byte of a gap was transferred: lastUnreported, or at the latest now if the kernel does not know.
func gapTime(lastUnreported, now uint64) uint64 {
	if lastUnreported != 0 {
		return lastUnreported
	}
	return now
}

func causeOf(c *event.Cause) protocol.Cause {
	return protocol.Cause{
		Socket: c.Socket, Position: c.Position, Length: c.Length, Pending: c.Pending, Row: c.Row,
		Waited: c.Waited, Polled: c.Polled, Connect: c.Connect, Carrier: c.Carrier, Deferred: c.Deferred, Answered: c.Answered, Loop: c.Loop,
	}
}
