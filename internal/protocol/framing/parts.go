package framing

import (
	"unsafe"

	"github.com/socketflow/socketflow/internal/protocol"
)

// MaxParts is how many calls Parts has one by one.
const MaxParts = 64

// Part is the bytes of a call that are kept, or a gap.
type Part struct {
	Direction protocol.Direction
	Missing   bool
	Why       protocol.Loss // of a gap
	N         uint64        // bytes
	Stamp     protocol.Stamp
}

// Parts is what bytes that are kept for later came in, so that they can be read then as if they came now.
type Parts []Part

// Add adds a part, which may become one with the last one of its direction from an index on: gaps if nothing is between them, and bytes
// if there are MaxParts. They then have the later time.
func (p *Parts) Add(q Part, from int) {
	all := *p
	for i := len(all) - 1; i >= from && (q.Missing || len(all) >= MaxParts); i-- {
		before := &all[i]
		if before.Direction != q.Direction {
			continue
		}
		if before.Missing != q.Missing {
			break
		}
		q.Stamp.Position = before.Stamp.Position
		q.N += before.N
		q.Why = max(q.Why, before.Why)
		*before = q
		return
	}
	*p = append(*p, q)
}

// Full reports whether there are so many parts that gaps lie between them. Bytes that would be one more are then not worth keeping.
func (p Parts) Full() bool { return len(p) >= 2*MaxParts }

// Held is how many bytes of memory the parts have.
func (p Parts) Held() int { return cap(p) * int(unsafe.Sizeof(Part{})) }
