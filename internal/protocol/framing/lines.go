package framing

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
)

// Lines reads lines that end with LF, or CR LF.
type Lines struct {
	carry Carry
	cr    bool // the carried part ends with CR
}

// Line is a complete line without its end.
type Line struct {
	Bytes  []byte         // its beginning; valid until the next call
	Length uint64         // of all of it
	Start  protocol.Stamp // of its first byte
}

// Cut reports whether Bytes is not the whole line.
func (l *Line) Cut() bool { return l.Length > uint64(len(l.Bytes)) }

// NewLines returns a reader that carries incomplete lines in a buffer of the pool.
func NewLines(pool *Pool) Lines { return Lines{carry: NewCarry(pool)} }

// Read takes bytes of a chunk from an index on, and returns how many. If they end a line, it fills l. Of each line the first
// limit bytes are read.
func (r *Lines) Read(c *protocol.Chunk, from, limit int, l *Line) (n int, complete bool) {
	b := c.Bytes[from:]
	end := bytes.IndexByte(b, '\n')
	if end >= 0 && r.carry.Empty() {
		l.Start, l.Bytes = c.At(from), b[:end]
		if end > 0 && b[end-1] == '\r' {
			l.Bytes = b[:end-1]
		}
		l.Length = uint64(len(l.Bytes))
		l.Bytes = l.Bytes[:min(len(l.Bytes), limit)]
		return end + 1, true
	}
	n = end + 1
	if end < 0 {
		n, end = len(b), len(b)
	}
	at := c.At(from)
	// The CR may be the only byte beyond the limit.
	r.carry.Add(b[:end], limit+1, &at)
	if end > 0 {
		r.cr = b[end-1] == '\r'
	}
	if n == end {
		return n, false
	}
	l.Bytes, l.Length, l.Start = r.carry.Bytes(), r.carry.Length(), r.carry.start
	if r.cr {
		l.Length--
	}
	l.Bytes = l.Bytes[:min(uint64(len(l.Bytes)), l.Length, uint64(limit))]
	r.Reset()
	return n, true
}

// Begun reports whether a part of a line has been read.
func (r *Lines) Begun() bool { return !r.carry.Empty() }

// Reset drops the line that has begun.
func (r *Lines) Reset() {
	r.carry.Reset()
	r.cr = false
}

// Held is how many bytes of memory the reader holds.
func (r *Lines) Held() int { return r.carry.Held() }
