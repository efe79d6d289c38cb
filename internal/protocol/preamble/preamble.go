// Package preamble keeps the first bytes of a conversation until it is known where the preamble in them ends. It then gives the rest
// back, for the protocol that follows.
package preamble

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// Kept is what has been kept of a conversation. Once limit bytes of a direction are, further calls count as cut off.
type Kept struct {
	sink  protocol.Sink
	limit int
	parts framing.Parts // in the order in which they came
	bytes [protocol.Directions][]byte
	whole [protocol.Directions]int // how many of bytes come before the first gap
	gaps  [protocol.Directions]bool
	read  [protocol.Directions]int // how many of bytes belong to the preamble
}

// New returns a Kept without bytes.
func New(sink protocol.Sink, limit int) Kept { return Kept{sink: sink, limit: limit} }

// Data keeps a chunk.
func (k *Kept) Data(c *protocol.Chunk) {
	d := c.Direction
	if len(k.bytes[d]) >= k.limit || k.parts.Full() && k.gaps[d] {
		k.Gap(d, uint64(len(c.Bytes)), c.Stamp, protocol.Truncated)
		return
	}
	k.bytes[d] = append(k.bytes[d], c.Bytes...)
	if !k.gaps[d] {
		k.whole[d] += len(c.Bytes)
	}
	k.parts.Add(framing.Part{Direction: d, N: uint64(len(c.Bytes)), Stamp: c.Stamp}, 0)
}

// Gap keeps a gap.
func (k *Kept) Gap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	k.gaps[d] = true
	k.parts.Add(framing.Part{Direction: d, Missing: true, Why: why, N: n, Stamp: at}, 0)
}

// Bytes are those of a direction that have not been read, up to the first gap. ended: a gap follows them.
func (k *Kept) Bytes(d protocol.Direction) (b []byte, ended bool) {
	return k.bytes[d][k.read[d]:k.whole[d]], k.gaps[d]
}

// Read says that the next n of Bytes belong to the preamble.
func (k *Kept) Read(d protocol.Direction, n int) { k.read[d] += n }

// Switch gives back what comes after the preamble.
func (k *Kept) Switch(s protocol.Switch) {
	k.sink.Switch(s)
	k.giveBack()
}

// Reject gives everything back.
func (k *Kept) Reject() {
	k.read = [protocol.Directions]int{}
	k.sink.Reject()
	k.giveBack()
}

func (k *Kept) giveBack() {
	var at [protocol.Directions]int
	for i := range k.parts {
		p := &k.parts[i]
		d := p.Direction
		if p.Missing {
			k.sink.ReturnGap(d, p.N, p.Stamp, p.Why)
			continue
		}
		c := protocol.Chunk{Direction: d, Bytes: k.bytes[d][at[d] : at[d]+int(p.N)], Stamp: p.Stamp}
		if read := k.read[d] - at[d]; read < len(c.Bytes) {
			c = c.Rest(max(read, 0))
			k.sink.Return(&c)
		}
		at[d] += int(p.N)
	}
	k.Drop()
}

// Drop forgets everything. Secrets do not stay in memory.
func (k *Kept) Drop() {
	for d := range k.bytes {
		clear(k.bytes[d])
	}
	*k = New(k.sink, k.limit)
}

// Held is about how many bytes of memory are held.
func (k *Kept) Held() int {
	n := k.parts.Held()
	for d := range k.bytes {
		n += cap(k.bytes[d])
	}
	return n
}
