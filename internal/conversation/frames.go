package conversation

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

// FrameForm is a protocol's form of frames as the kernel takes it.
func FrameForm(f *protocol.FrameForm) event.FrameForm {
	form := event.FrameForm{
		Header: f.Header, LengthOffset: f.LengthAt, LengthWidth: f.LengthBytes, LittleEndian: f.LittleEndian, Bias: f.Bias,
		TypeOffset: uint8(f.TypeAt), Unwanted: f.Unwanted,
	}
	if f.TypeAt < 0 {
		form.TypeOffset = f.Header
	}
	return form
}

// takeFrames takes the bytes of a call from which the kernel has left out the bodies of unwanted frames.
func (c *Conversation) takeFrames(d *event.Data, stamp protocol.Stamp) {
	stats := &c.shard.stats
	next := c.streams[d.Direction].next
	if stamp.Position > next {
		c.lose(d.Direction, stamp.Position-next, gapTime(d.LastUnreported, stamp.Time), lossOf(d.GapReason))
		next = c.streams[d.Direction].next
	}
	if from := d.Position + uint64(d.Skipped); from > next {
		stats.countMissing(from-next, protocol.Skipped)
		stamp.Position = next
		c.gap(d.Direction, from-next, stamp, protocol.Skipped)
		next = from
	}
	pieces := d.Pieces()
	for piece, ok := pieces.Next(); ok; piece, ok = pieces.Next() {
		size := max(piece.Gap, uint64(len(piece.Bytes)))
		if piece.Position < next { // two threads used this direction at the same time: see Data
			overlap := min(next-piece.Position, size)
			stats.Overlapping.Add(overlap)
			if size -= overlap; size == 0 {
				continue
			}
			piece.Position += overlap
			if piece.Bytes != nil {
				piece.Bytes = piece.Bytes[overlap:]
			}
		}
		stamp.Position = piece.Position
		next = piece.Position + size
		t := transfer{direction: d.Direction, stamp: stamp, bytes: piece.Bytes}
		if piece.Bytes == nil {
			t.missing, t.why = size, lossOf(d.CutReason)
			if piece.Unwanted {
				t.why = protocol.Skipped
			}
		}
		c.take(&t)
	}
}

// wantFrames asks the kernel to leave out the bodies of frames that the parser does not want, or to capture everything if the parser does
// not know where frames begin. It reports whether that is a change.
func (c *Conversation) wantFrames(d event.Direction, demand *protocol.Demand) (changed bool) {
	s := &c.streams[d]
	w := &c.wanted
	switch {
	case demand.Frames == nil && !s.framed && w.Form[d].Header == 0:
		return false // there are no frames
	case demand.Frames == nil:
		changed = w.Form[d].Header != event.NoFrames
		s.form = nil
		w.Form[d] = event.FrameForm{Header: event.NoFrames}
		w.Next[d] = event.FrameUnknown
		return changed
	}
	if s.form != demand.Frames {
		s.form = demand.Frames
		w.Form[d], changed = FrameForm(demand.Frames), true
	}
	// The kernel knows where frames begin, or gets the next position with every transfer until it has found one.
	if s.framed || demand.NextFrame == protocol.UnknownFrame {
		return changed
	}
	if next := s.next + demand.NextFrame; w.Next[d] != next {
		w.Next[d], changed = next, true
	}
	return changed
}
