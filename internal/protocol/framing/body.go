package framing

import "github.com/socketflow/socketflow/internal/protocol"

// Body reads a part of a message whose length is known, and of which at most the beginning is of interest. The rest may be
// missing.
type Body struct {
	carry Carry
	want  int    // bytes at the beginning that are of interest
	left  uint64 // bytes until the end
}

// NewBody returns a reader that carries in a buffer of the pool.
func NewBody(pool *Pool) Body { return Body{carry: NewCarry(pool)} }

// Begin starts with a body of a length, of which the first want bytes are of interest.
func (r *Body) Begin(length uint64, want int) {
	r.carry.Reset()
	r.left, r.want = length, int(min(uint64(max(want, 0)), length))
}

// Data takes bytes of the body and returns how many. At the body's end it returns the bytes that were wanted, as far as they are
// known: they are valid until the next call.
func (r *Body) Data(b []byte) (value []byte, n int, complete bool) {
	n = int(min(uint64(len(b)), r.left))
	r.left -= uint64(n)
	if r.left == 0 && r.carry.Empty() {
		return b[:min(n, r.want)], n, true
	}
	r.carry.Add(b[:n], r.want, &protocol.Stamp{})
	if r.left > 0 {
		return nil, n, false
	}
	return r.end(), n, true
}

// Gap takes missing bytes of the body, as Data does.
func (r *Body) Gap(missing uint64) (value []byte, n uint64, complete bool) {
	n = min(missing, r.left)
	r.left -= n
	r.carry.Miss(n, &protocol.Stamp{})
	if r.left > 0 {
		return nil, n, false
	}
	return r.end(), n, true
}

func (r *Body) end() []byte {
	value := r.carry.Bytes()
	r.carry.Reset()
	return value
}

// Skip is how many of the next bytes are of no interest.
func (r *Body) Skip() uint64 {
	if r.carry.Length() < uint64(r.want) {
		return 0
	}
	return r.left
}

// Reset drops the body.
func (r *Body) Reset() {
	r.carry.Reset()
	r.left, r.want = 0, 0
}

// Held is how many bytes of memory the reader holds.
func (r *Body) Held() int { return r.carry.Held() }
