// Package framing has what parsers of streams share: it puts messages together that calls and gaps have cut, within bounds.
package framing

import "github.com/socketflow/socketflow/internal/protocol"

const (
	maxFree = 64 // buffers that a Pool keeps
	// MaxIdle is how many bytes a buffer has that is kept. Larger ones are rare, and those who need them pay for an allocation.
	MaxIdle = 16 << 10
)

// Pool lends buffers to the conversations of one goroutine. So an idle conversation has none.
type Pool struct{ free [][]byte }

func (p *Pool) get() []byte {
	if last := len(p.free) - 1; last >= 0 {
		b := p.free[last]
		p.free = p.free[:last]
		return b
	}
	return nil
}

func (p *Pool) put(b []byte) {
	if cap(b) > 0 && cap(b) <= MaxIdle && len(p.free) < maxFree {
		p.free = append(p.free, b[:0])
	}
}

// Carry keeps the beginning of a message that is not complete yet.
type Carry struct {
	pool   *Pool
	bytes  []byte
	length uint64
	start  protocol.Stamp
}

// NewCarry returns a Carry that borrows its buffer from a pool.
func NewCarry(pool *Pool) Carry { return Carry{pool: pool} }

// Add continues the message. Only its first limit bytes are kept, the others are counted. The stamp is that of b's first byte.
func (c *Carry) Add(b []byte, limit int, at *protocol.Stamp) {
	if c.length == 0 {
		c.start = *at
	}
	if room := limit - len(c.bytes); room > 0 && c.length == uint64(len(c.bytes)) && len(b) > 0 {
		if c.bytes == nil {
			c.bytes = c.pool.get()
		}
		c.bytes = append(c.bytes, b[:min(len(b), room)]...)
	}
	c.length += uint64(len(b))
}

// Miss continues the message with n bytes that are not known. What follows them is counted only.
func (c *Carry) Miss(n uint64, at *protocol.Stamp) {
	if c.length == 0 {
		c.start = *at
	}
	c.length += n
}

// Empty reports whether no message has begun.
func (c *Carry) Empty() bool { return c.length == 0 }

// Bytes are those that are kept, until the next Add or Reset.
func (c *Carry) Bytes() []byte { return c.bytes }

// Length is that of the message so far.
func (c *Carry) Length() uint64 { return c.length }

// Cut reports whether Bytes are not all of the message.
func (c *Carry) Cut() bool { return c.length > uint64(len(c.bytes)) }

// Start is the stamp of the message's first byte.
func (c *Carry) Start() *protocol.Stamp { return &c.start }

// Reset ends the message and gives the buffer back. Bytes stay until the next Add of any Carry of the pool.
func (c *Carry) Reset() {
	if c.length > 0 { // mostly nothing is carried
		c.pool.put(c.bytes)
		c.bytes, c.length = nil, 0
	}
}

// Held is how many bytes of memory the buffer has.
func (c *Carry) Held() int { return cap(c.bytes) }
