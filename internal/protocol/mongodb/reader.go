package mongodb

import (
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// reader cuts one direction into messages.
type reader struct {
	header
	head [headerBytes]byte
	have int    // bytes of the header
	left uint64 // bytes of the message that are still to come
	lost bool   // where the next message begins is not known

	first protocol.Stamp
	last  protocol.Stamp
	loss  protocol.Capture // of the message

	packed  framing.Carry // of a compressed message
	content content
}

// handler reads what a message has. Its documents come to it as to a visitor.
type handler interface {
	visitor
	// flags are those of OP_MSG and of OP_REPLY, and come before anything else; false: it cannot be.
	flags(uint32) bool
	// namespace is that of a message of an early opcode.
	namespace([]byte)
	// document begins: of a sequence with a name, of which there may be any number, or without one.
	document(sequence []byte, w *walker)
	// ended is called at the end of a document.
	ended()
	// counted is how many documents an OP_REPLY has.
	counted(n uint32)
}

// content reads what a message has behind its header, as it comes.
type content struct {
	layout   *layout
	part     int
	stage    stage
	left     uint32 // bytes of the content
	tail     uint32 // bytes of the checksum
	sequence uint32 // bytes that are left of a sequence of documents; 0: the document is no part of one
	broken   bool   // it is not as it has to be
	torn     bool   // bytes are missing whose meaning is not known
	need     int    // bytes of small
	have     int
	small    [maxNamespace]byte
	named    int // bytes of small that are the name of a sequence
	walker   walker
}

// maxNamespace is how much of a namespace, or the name of a sequence, is kept. A server allows 255 bytes and that of a database.
const maxNamespace = 64 + 1 + 255

// stage is what is read next.
type stage uint8

const (
	stageFixed stage = iota
	stageText        // of a namespace
	stageKind        // of a section
	stageSize        // of a sequence
	stageName        // likewise
	stageDocument
	stageRest // of no interest
)

// begin starts with the content of a message.
func (c *content) begin(l *layout, length uint32) {
	c.layout, c.part, c.left, c.tail, c.sequence, c.broken, c.torn = l, -1, length, 0, 0, false, false
	c.next()
}

// next goes on with the next part.
func (c *content) next() {
	c.part++
	c.have, c.need = 0, 0
	at := partEnd
	if c.part < len(c.layout.parts) {
		at = c.layout.parts[c.part]
	}
	switch at {
	case partFixed4:
		c.stage, c.need = stageFixed, 4
	case partFixed8:
		c.stage, c.need = stageFixed, 8
	case partFixed20:
		c.stage, c.need = stageFixed, 20
	case partNamespace:
		c.stage = stageText
	case partSections:
		c.section()
	case partDocument:
		if c.document(0); c.left == 0 {
			c.stage = stageRest
		}
	case partEnd:
		c.stage = stageRest
	}
}

// section goes on with the next section of OP_MSG, or with what follows the last.
func (c *content) section() {
	if c.stage = stageKind; c.left <= c.tail {
		c.stage = stageRest
	}
}

// document goes on with a document, of a sequence if that has bytes left.
func (c *content) document(sequence uint32) {
	c.stage, c.sequence = stageDocument, sequence
	limit := sequence
	if sequence == 0 {
		limit = c.left - min(c.left, c.tail)
	}
	c.walker.begin(limit)
}

// read takes bytes of the content.
func (c *content) read(b []byte, h handler) {
	for len(b) > 0 && c.left > 0 && !c.broken {
		n := c.take(b[:min(uint64(len(b)), uint64(c.left))], h)
		b = b[n:]
	}
}

// take takes at least one byte.
func (c *content) take(b []byte, h handler) int {
	n := len(b)
	switch c.stage {
	case stageFixed, stageSize:
		n = copy(c.small[c.have:c.need], b)
		c.left -= uint32(n)
		if c.have += n; c.have == c.need {
			c.fixed(h)
		}
	case stageText, stageName:
		n = c.takeText(b, h)
	case stageKind:
		n = 1
		c.left--
		c.kind(b[0], h)
	case stageDocument:
		n = c.walker.read(b, h)
		c.passed(uint32(n), h)
	case stageRest:
		c.left -= uint32(n)
	}
	return n
}

// fixed reads numbers.
func (c *content) fixed(h handler) {
	little := binary.LittleEndian
	first := little.Uint32(c.small[:])
	switch {
	case c.stage == stageSize:
		if first < 4 || first-4 > c.left-min(c.left, c.tail) || first-4 < 1 {
			c.broken = true
			return
		}
		c.sequence, c.stage, c.have = first-4, stageName, 0
		return
	case c.layout.parts[0] == partFixed20:
		c.broken = !h.flags(first)
		h.counted(little.Uint32(c.small[16:]))
	case c.layout.parts[1] == partSections:
		c.broken = !h.flags(first)
		if first&flagChecksum != 0 {
			c.tail = checksumBytes
		}
	}
	if !c.broken {
		c.next()
	}
	if c.stage == stageDocument && c.left > 0 {
		h.document(nil, &c.walker)
	}
}

// takeText reads a text up to its zero byte.
func (c *content) takeText(b []byte, h handler) int {
	n := 0
	for n < len(b) && b[n] != 0 {
		n++
	}
	ended := n < len(b)
	if c.have+n > maxNamespace {
		c.broken = true
		return n
	}
	copy(c.small[c.have:], b[:n])
	c.have += n
	if ended {
		n++
	}
	c.left -= uint32(n)
	switch {
	case c.stage == stageName && (uint32(n) > c.sequence || c.left == 0 && !ended):
		c.broken = true
	case c.stage == stageName:
		c.sequence -= uint32(n)
		if ended {
			c.named = c.have
			c.follow(h)
		}
	case ended:
		h.namespace(c.small[:c.have])
		c.next()
	}
	return n
}

// follow goes on with the next document of the sequence, or behind it.
func (c *content) follow(h handler) {
	if c.sequence == 0 {
		c.section()
		return
	}
	c.document(c.sequence)
	h.document(c.small[:c.named], &c.walker)
}

// kind reads that of a section.
func (c *content) kind(kind byte, h handler) {
	switch kind {
	case 0:
		c.document(0)
		h.document(nil, &c.walker)
	case 1:
		c.stage, c.need, c.have = stageSize, 4, 0
	default:
		c.broken = true
	}
}

// passed takes bytes of a document.
func (c *content) passed(n uint32, h handler) {
	c.left -= n
	sequel := c.sequence > 0
	if sequel {
		c.sequence -= min(n, c.sequence)
	}
	switch w := &c.walker; {
	case w.step == stepBroken:
		c.broken = true
	case w.step != stepDone:
	default:
		h.ended()
		c.sequel(sequel, h)
	}
}

// sequel goes on behind a document.
func (c *content) sequel(within bool, h handler) {
	switch {
	case within:
		c.follow(h)
	case c.layout.parts[c.part] == partSections:
		c.section()
	default:
		c.next()
	}
}

// miss takes missing bytes of the content.
func (c *content) miss(n uint64, h handler) {
	for n > 0 && c.left > 0 && !c.broken {
		switch {
		case c.stage == stageRest:
			c.left -= uint32(min(n, uint64(c.left)))
			return
		case c.stage == stageDocument && c.walker.step == stepLength, c.stage != stageDocument: // what follows is not known
			c.torn = true
			c.stage, c.left = stageRest, c.left-uint32(min(n, uint64(c.left)))
			return
		}
		missing := c.walker.miss(n, h)
		n -= missing
		c.torn = c.torn || c.walker.lost
		c.passed(uint32(min(missing, uint64(c.left))), h)
	}
}

// skip is how many of the next bytes are not needed.
func (c *content) skip() uint64 {
	switch {
	case c.broken || c.stage == stageRest:
		return uint64(c.left)
	case c.stage == stageDocument:
		return min(c.walker.skip(), uint64(c.left))
	}
	return 0
}
