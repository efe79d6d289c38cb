package memcached

import (
	"encoding/binary"
	"fmt"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// The first bytes of messages of the binary protocol.
const (
	magicRequest = 0x80
	magicReply   = 0x81
)

// The header of a message has 24 bytes. The last 8 of them, which are of no interest, are taken for the beginning of the body.
const (
	headerBytes = 16
	unreadBytes = 8
	maxExtras   = 20
	maxKey      = 250
	maxBody     = unreadBytes + maxExtras + maxKey
)

var frameForm = protocol.FrameForm{Header: headerBytes, LengthAt: 8, LengthBytes: 4, Bias: unreadBytes, TypeAt: -1}

// The states of replies that are no errors.
var mild = map[uint16]bool{
	0x00: true, // success
	0x01: true, // there is no such key
	0x02: true, // there is
	0x05: true, // not stored
	0x21: true, // authentication goes on
}

// header is that of a message.
type header struct {
	magic, number, extras, kind byte
	key, status                 uint16
	total, opaque               uint32
}

func readHeader(b []byte) header {
	big := binary.BigEndian
	return header{b[0], b[1], b[4], b[5], big.Uint16(b[2:]), big.Uint16(b[6:]), big.Uint32(b[8:]), big.Uint32(b[12:])}
}

// valid reports whether the header can be that of a message.
func (h *header) valid(magic byte) bool {
	return h.magic == magic && h.kind == 0 && h.extras <= maxExtras && h.key <= maxKey && uint32(h.key)+uint32(h.extras) <= h.total && h.total <= maxData
}

// measures judges the headers of each direction, and says how much of the body is kept.
var measures = [protocol.Directions]func([]byte) (int, bool){
	protocol.FromClient: func(b []byte) (int, bool) {
		h := readHeader(b)
		return maxBody, h.valid(magicRequest)
	},
	protocol.FromServer: func(b []byte) (int, bool) {
		h := readHeader(b)
		return 0, h.valid(magicReply)
	},
}

// credible judges the first bytes of a call after a loss, of each direction.
var credible = [protocol.Directions]func([]byte) bool{
	protocol.FromClient: func(b []byte) bool { return begins(b, magicRequest) },
	protocol.FromServer: func(b []byte) bool { return begins(b, magicReply) },
}

func begins(b []byte, magic byte) bool {
	if len(b) < headerBytes+unreadBytes {
		return false
	}
	h := readHeader(b)
	return h.valid(magic) && binaries[h.number] != other
}

// readFrames reads a call's bytes.
func (p *parser) readFrames(c *protocol.Chunk) {
	d, rest := c.Direction, *c
	for {
		switch p.frames[d].Next(&rest) {
		case framing.Nothing:
			return
		case framing.Invalid:
			p.malformed(d)
		case framing.Whole:
			p.frame(d)
		}
		if p.over {
			return
		}
	}
}

// missFrames takes missing bytes, and returns how many of them do not belong to a message that is known.
func (p *parser) missFrames(d protocol.Direction, n uint64, at *protocol.Stamp, why protocol.Loss) uint64 {
	f := &p.frames[d]
	unread := f.Unread
	if f.Gap(n, *at, why) {
		if p.frame(d); p.over {
			return 0
		}
	}
	return f.Unread - unread
}

func (p *parser) frame(d protocol.Direction) {
	m := &p.frames[d].Message
	h := readHeader(m.Header)
	if d == protocol.FromClient {
		p.ask(&h, m)
	} else {
		p.answered(&h, m)
	}
}

// ask begins a command.
func (p *parser) ask(h *header, m *framing.Prefix) {
	c := binaries[h.number]
	x := p.add(c, &m.First, c.reply == replyNone, c.quiet)
	if x == nil {
		return
	}
	e := &x.Value
	e.opaque, e.number = h.opaque, h.number
	e.text = append(e.text, c.text...)
	from := unreadBytes + int(h.extras)
	if key := from + int(h.key); h.key > 0 && key <= len(m.Body) && !c.secret {
		e.appendKey(m.Body[from:key])
	}
	if h.extras > 0 || uint32(h.key)+uint32(h.extras) < h.total {
		e.text = append(e.text, " ?"...)
	}
	p.requested(x, &m.Last)
}

// answered reads a reply.
func (p *parser) answered(h *header, m *framing.Prefix) {
	if p.reply.item == nil || p.reply.state != stateLines {
		if !p.pairFrame(h, m) {
			return
		}
	}
	x := p.reply.item
	if x == nil {
		p.replied(&m.Last)
		return
	}
	e := &x.Value
	switch {
	case !mild[h.status]:
		e.code = statusText(h.status)
	case h.status == 0:
		e.rows = 1
	}
	if binaries[h.number].reply == replyLines && h.key > 0 && e.code == "" { // another one follows
		p.reply.state = stateLines
		return
	}
	p.replied(&m.Last)
}

// pairFrame finds the command that a reply belongs to; false: it is not known.
func (p *parser) pairFrame(h *header, m *framing.Prefix) bool {
	next := p.order.Next()
	for next != nil && next.Value.quiet && (next.Value.opaque != h.opaque || next.Value.number != h.number) {
		p.order.Remove(next)
		p.silent(next)
		next = p.order.Next()
	}
	if next != nil && next.Value.command != nil && (next.Value.opaque != h.opaque || next.Value.number != h.number) {
		p.sink.Error(protocol.Unpaired)
		return false
	}
	if p.respond(&m.First); p.reply.item != nil && p.reply.item.Value.command == nil {
		p.reply.item.Value.opaque, p.reply.item.Value.number = h.opaque, h.number
	}
	return true
}

const statuses = 256 // the highest that is in use is 0x86

var statusTexts = func() (all [statuses]string) {
	for i := range all {
		all[i] = fmt.Sprintf("0x%04x", i)
	}
	return all
}()

func statusText(status uint16) string {
	if status < statuses {
		return statusTexts[status]
	}
	return "_OTHER"
}
