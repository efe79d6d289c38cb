package http2

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
)

// Gap implements protocol.Parser.
func (p *parser) Gap(from protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	if p.given {
		return
	}
	d := &p.directions[from]
	d.seen = true
	why = max(why, protocol.Truncated) // as in http1
	size := d.left                     // bytes that may be missing while the framing is kept
	if d.state == inFrame || d.state == lost {
		size = 0
	}
	inside := int(min(n, uint64(size)))
	if inside > 0 {
		p.without(d, inside, why)
		if d.left == 0 {
			last := at
			last.Position += uint64(inside - 1)
			p.through(d, last)
		}
	}
	if n > uint64(inside) {
		d.garbled = false
		p.lose(d, why.Capture())
	}
}

// without skips n missing bytes of a payload, or of the preface.
func (p *parser) without(d *direction, n int, why protocol.Loss) {
	d.left -= n
	switch d.state {
	case inFixed:
		d.hurt = true
		switch d.frame.typ {
		case headers, pushPromise:
			p.damage(d, why.Capture())
		case settings:
			p.missSettings(d)
		}
		d.state = inRest
	case inBlock:
		p.damage(d, why.Capture())
		d.state = inRest
	}
}

// through does for missing bytes what step does at the end of the bytes that it reads.
func (p *parser) through(d *direction, last protocol.Stamp) {
	if d.state == inPreface {
		d.state = inFrame
		return
	}
	p.end(d, last)
}

// missSettings records that parameters may have been set unseen.
func (p *parser) missSettings(d *direction) {
	other := &p.directions[d.from.Opposite()]
	other.unsure = true
	other.table.bound = maximumTableSize
}

// malformed reports that there is no frame where one should be.
func (p *parser) malformed(d *direction) {
	p.c.Sink.Error(protocol.Malformed)
	if p.certain(d) {
		p.garbled(d)
	} else {
		p.lose(d, protocol.CaptureGap)
	}
}

// certain reports whether all that the server has sent was seen: what cannot be read was not written well.
func (p *parser) certain(d *direction) bool {
	return d.from == protocol.FromServer && !p.c.Joined && p.losses == 0
}

// garbled gives a direction up whose framing is no one's fault but the server's. It takes nothing from what was seen.
func (p *parser) garbled(d *direction) {
	d.state, d.have, d.garbled = lost, 0, true
	d.block.abandon()
	d.table.clear(protocol.CaptureGap)
	p.missSettings(d)
}

// lose drops a direction's framing. The unread bytes may have held anything: header blocks, settings, ends of streams.
func (p *parser) lose(d *direction, why protocol.Capture) {
	d.state, d.have, d.why = lost, 0, why
	d.block.abandon()
	d.table.clear(why)
	p.missSettings(d)
	if d.from == protocol.FromClient {
		p.unseen, p.missed = true, true
	}
	p.lossy(why)
}

// resume reports whether a chunk begins with a frame, after the framing was lost. first: it is the direction's first chunk.
func (p *parser) resume(d *direction, c *protocol.Chunk, first bool) bool {
	if first && d.from == protocol.FromClient && bytes.HasPrefix(c.Bytes, []byte(preface)) {
		p.restart()
		return true
	}
	if d.have == headerLength { // the chunk before this one was a header
		f := parseFrame(d.fixed[:])
		if len(c.Bytes) == f.length && f.crediblePayload(c.Bytes) {
			p.resumed(d)
			p.begin(d)
			return d.state != lost
		}
		d.have = 0
		if p.vain(d, headerLength, c.Stamp); p.given {
			return false
		}
	}
	chain := follow(d.from, c.Bytes, d.frameSize, p.highest)
	switch {
	case chain.convincing():
		p.resumed(d)
		d.state = inFrame
		return true
	case len(c.Bytes) == headerLength && !chain.broken:
		// Some programs read a header alone, to know how much to read next.
		d.have, d.start = copy(d.fixed[:], c.Bytes), c.Stamp
		return false
	}
	p.vain(d, len(c.Bytes), c.Stamp)
	return false
}

// resumed notes that a direction can be read again: what it has carried in between is not known.
func (p *parser) resumed(d *direction) {
	if d.garbled {
		d.garbled = false
		p.lossy(protocol.CaptureGap)
	}
}

// vain counts a chunk of n bytes that could not be read. After too many of them the parser stops following the
// conversation.
func (p *parser) vain(d *direction, n int, at protocol.Stamp) {
	if !d.garbled {
		p.lossy(d.why)
	}
	if p.garbage.Add(n, true) {
		p.c.Sink.Error(protocol.Malformed)
		p.flush(protocol.Ending{At: at, Unknown: true})
		*p = parser{c: p.c, shared: p.shared, account: p.account, given: true}
	}
}

// restart begins anew with the client's preface: the connection was there already, but had carried nothing.
func (p *parser) restart() {
	d := &p.directions[protocol.FromClient]
	d.state, d.left = inPreface, len(preface)
	d.table.init(protocol.CaptureTruncated)
	p.unseen = false
	if other := &p.directions[protocol.FromServer]; !other.seen {
		other.state, other.unsure = inFrame, false
		other.table.init(protocol.CaptureTruncated)
	}
}
