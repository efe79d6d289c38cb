package conversation

import (
	"slices"

	"github.com/socketflow/socketflow/internal/protocol"
)

// What short connections need for a moment is lent by their shard: an allocation for each would be all that they cost the garbage collector.

const (
	// maxIdleParsers is how many parsers of a protocol wait for another conversation, at a kilobyte or two each.
	maxIdleParsers = 64
	// maxIdleKept is how many lists of kept transfers, and buffers of their bytes, wait for the next ones, and maxIdleBytes and maxIdleTransfers how large
	// they are at most.
	maxIdleKept      = 64
	maxIdleBytes     = 2 * recognitionBytes
	maxIdleTransfers = 8
)

// newParser returns a parser for a conversation of the shard's session.
func (s *Shard) newParser(of int) protocol.Parser {
	idle := s.idle[of]
	last := len(idle) - 1
	if last < 0 {
		return s.starts[of](&s.session)
	}
	p := idle[last]
	idle[last], s.idle[of] = nil, idle[:last]
	p.Reuse(&s.session)
	return p
}

// retire takes a parser back whose conversation is over, and which nobody calls any more.
func (s *Shard) retire(of int, p protocol.Parser) {
	if reusable, ok := p.(protocol.Reusable); ok && len(s.idle[of]) < maxIdleParsers {
		s.idle[of] = append(s.idle[of], reusable)
	}
}

// keptPool lends the memory of kept transfers.
type keptPool struct {
	lists   [][]transfer
	buffers [][]byte
}

// add appends a copy of a transfer to a list, which may be nil.
func (p *keptPool) add(list []transfer, t *transfer) []transfer {
	if last := len(p.lists) - 1; list == nil && last >= 0 {
		list, p.lists[last] = p.lists[last], nil
		p.lists = p.lists[:last]
	}
	list = append(list, *t)
	var buffer []byte
	if last := len(p.buffers) - 1; last >= 0 {
		buffer, p.buffers[last] = p.buffers[last], nil
		p.buffers = p.buffers[:last]
	}
	list[len(list)-1].bytes = append(slices.Grow(buffer, len(t.bytes)), t.bytes...)
	return list
}

// release takes a list back, and the bytes of its transfers.
func (p *keptPool) release(list []transfer) {
	for i := range list {
		if b := list[i].bytes; cap(b) <= maxIdleBytes && len(p.buffers) < maxIdleKept {
			p.buffers = append(p.buffers, b[:0])
		}
	}
	if cap(list) > 0 && cap(list) <= maxIdleTransfers && len(p.lists) < maxIdleKept {
		clear(list)
		p.lists = append(p.lists, list[:0])
	}
}
