package http2

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// part is the kind of a header block.
type part uint8

const (
	ignored  part = iota // decoded for the dynamic table only
	request              // a request's head
	response             // a response's head; informational or final until its status is known
	interim              // an informational response's head (RFC 9110, 15.2)
	trailers             // a response's
)

// block is a header block that is being read: a HEADERS or PUSH_PROMISE frame, and the CONTINUATION frames after it.
type block struct {
	open   bool    // the frame with END_HEADERS has not ended
	id     uint32  // of the stream that carries it
	stream *stream // the stream that its fields belong to; nil: none any more
	part   part
	last   bool // END_STREAM
	doubt  bool // it may be the trailers of a request whose beginning was not seen, or of the response to one
	before seen // the client's requests at the time it began
	method bool // it has a method

	kept    int  // bytes of fields so far, which are bounded
	long    bool // the bound was reached
	unknown bool // a field's value is not known
	damaged bool // the rest cannot be decoded

	pending []byte // the beginning of an incomplete field
	// For a string that is too long to be kept: how many bytes are to come, whether the value follows it, and whether the
	// field is added to the dynamic table.
	skip  uint64
	value bool
	add   bool
}

// maximumHeads bounds the response heads of one stream that have no status.
const maximumHeads = 4

// abandon ends a block.
func (k *block) abandon() {
	pending := k.pending[:0]
	if cap(pending) > keptBuffer {
		pending = nil
	}
	*k = block{pending: pending}
}

// openBlock finds out which kind of header block the frame begins.
func (p *parser) openBlock(d *direction) {
	f, k := &d.frame, &d.block
	k.open, k.id, k.last = true, f.stream, f.typ == headers && f.has(endStream)
	if f.typ == pushPromise || f.stream&1 == 0 {
		return
	}
	if d.from == protocol.FromClient {
		k.doubt, k.before = p.unseen, p.seen
		if k.stream = p.requested(f.stream, d.start); k.stream != nil {
			k.part = request
		}
		return
	}
	if k.stream = p.responding(f.stream); k.stream == nil {
		k.doubt = p.missed && f.stream > p.highest
		return
	}
	switch {
	case !k.stream.headed:
		k.part = response
		k.stream.message.ResponseStart = d.start
	case k.last: // RFC 9113, 8.1: trailers end the stream
		k.part = trailers
	default:
		k.stream = nil
	}
}

// fragment reads a part of a header block. A field that is complete in it is decoded there; the beginning of one is kept.
func (p *parser) fragment(d *direction, b []byte) {
	k := &d.block
	// The longest field whose strings are kept: an integer for the index and one for each string.
	room := 2*p.shared.settings.HeadBytes + 3*integerBytes
	for len(b) > 0 && !k.damaged {
		if len(k.pending) == 0 {
			used := p.decode(d, b)
			k.pending = append(k.pending, b[used:]...)
			return
		}
		n := min(len(b), room-len(k.pending))
		k.pending = append(k.pending, b[:n]...)
		b = b[n:]
		all := k.pending
		used := p.decode(d, all)
		k.pending = all[:copy(all, all[used:])]
	}
}

// decode decodes the fields that are complete, and returns how many bytes they took.
func (p *parser) decode(d *direction, b []byte) (used int) {
	k := &d.block
	for used < len(b) {
		rest := b[used:]
		if k.skip > 0 {
			n := min(k.skip, uint64(len(rest)))
			k.skip -= n
			used += int(n)
			continue
		}
		if k.value { // the name before it was too long
			length, n, progress := parseInteger(rest, 7)
			if progress != complete {
				return p.stuck(d, b, used, progress)
			}
			k.skip, k.value = length, false
			used += n
			if k.add {
				d.table.addUnknown()
			}
			continue
		}
		r, progress := parseRepresentation(rest, p.shared.settings.HeadBytes)
		if progress != complete {
			return p.stuck(d, b, used, progress)
		}
		switch {
		case r.kind == update:
			d.table.resize(r.index)
		case r.oversized > 0:
			p.tooLong(k)
			k.skip, k.value, k.add = r.oversized, r.nameless, r.kind == incremental
			if k.add && !k.value {
				d.table.addUnknown()
			}
		case !p.field(d, r, rest[:r.length]):
			return p.stuck(d, b, used, invalid)
		}
		used += r.length
	}
	return used
}

// stuck returns how much was used when decoding cannot go on.
func (p *parser) stuck(d *direction, b []byte, used int, why progress) int {
	if why == incomplete {
		return used
	}
	// The receiver cannot go on either (RFC 7541, 2.2; RFC 9113, 4.3). Frames can still be distinguished.
	p.undecodable(d)
	return len(b)
}

// undecodable reports that a block cannot be decoded because of how it was written.
func (p *parser) undecodable(d *direction) {
	p.c.Sink.Error(protocol.Malformed)
	k := &d.block
	if !p.certain(d) {
		p.damage(d, protocol.CaptureGap)
		return
	}
	d.garbled = true
	if k.stream != nil {
		k.stream.message.Garbled()
	}
	p.damage(d, protocol.CaptureComplete)
	d.table.clear(protocol.CaptureGap)
}

// damage records that the rest of a block cannot be decoded, nor any later reference to it.
func (p *parser) damage(d *direction, why protocol.Capture) {
	k := &d.block
	k.damaged = true
	k.pending = k.pending[:0]
	if k.stream != nil {
		k.stream.message.Raise(why)
	}
	d.table.clear(why)
}

func (p *parser) tooLong(k *block) {
	if k.stream == nil || k.long {
		return
	}
	k.long = true
	k.stream.message.Raise(protocol.CaptureTruncated)
	p.c.Sink.Error(protocol.HeadTooLong)
}

// field decodes and evaluates a field. It returns false if no decoder could go on.
func (p *parser) field(d *direction, r representation, b []byte) bool {
	k, t := &d.block, &d.table
	known, ok := t.decode(r, b)
	if !ok {
		return false
	}
	if k.stream == nil {
		if k.doubt && string(t.field.name) == ":status" && string(t.field.value) >= "2" {
			p.c.Sink.Error(protocol.Unpaired)
		}
		return true
	}
	m := k.stream.message
	p.shared.pool.FromTable(t.entry(r))
	if !known {
		m.Raise(t.missing)
		if !k.unknown {
			k.unknown = true
			p.c.Sink.Error(protocol.Undecodable)
		}
		return true
	}
	name, value := t.field.name, t.field.value
	if k.kept += len(name) + len(value); k.kept > p.shared.settings.HeadBytes {
		p.tooLong(k)
		return true
	}
	pseudo := name[0] == ':'
	switch {
	case k.part == request && pseudo: // RFC 9113, 8.3.1
		switch string(name) {
		case ":method":
			k.method = true
			m.SetMethod(value)
		case ":path":
			m.SetTarget(value)
		case ":scheme":
			m.SetScheme(value)
		case ":authority":
			m.SetAuthority(value)
		}
	case k.part == request:
		m.RequestHeader(name, value)
	case pseudo:
		if k.part == response && string(name) == ":status" { // RFC 9113, 8.3.2
			p.status(k, value)
		}
	case k.part != interim:
		m.ResponseHeader(name, value)
	}
	return true
}

// status evaluates :status, which comes before the fields that are not pseudo-header fields (RFC 9113, 8.3).
func (p *parser) status(k *block, value []byte) {
	code, ok := ascii.Number(value)
	switch {
	case !ok || len(value) != 3:
	case code >= 100 && code < 200:
		k.part = interim
	case code >= 200:
		k.stream.message.SetStatus(int(code))
	}
}

// closeBlock ends a header block; m is its last byte.
func (p *parser) closeBlock(d *direction, m protocol.Stamp) {
	k := d.block
	if !k.damaged && (len(k.pending) > 0 || k.skip > 0 || k.value) { // a field without its end
		p.undecodable(d)
	}
	d.block.abandon()
	d.table.release()
	if s := k.stream; s != nil {
		switch k.part {
		case request:
			if k.doubt && !k.method && !k.unknown && !k.damaged {
				// Trailers have no pseudo-header fields (RFC 9113, 8.1).
				p.drop(s)
				p.seen = k.before
				return
			}
			s.message.Continue(p.c.Sink, s.exchange)
			p.request(s)
		case response:
			// Without a status it may have been an informational one.
			if s.heads == 0 && s.message.Status() == 0 && !k.unknown && !k.damaged && !k.long && p.certain(d) {
				p.c.Sink.Error(protocol.Malformed)
				s.message.Garbled()
			}
			s.heads++
			s.headed = s.message.Status() != 0 || s.heads == maximumHeads
		}
	}
	if k.last {
		p.ended(d.from, k.id, m)
	}
}
