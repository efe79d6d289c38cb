package tls

import (
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol"
)

// Types of records (5.1).
const (
	changeCipherSpec = 20
	alert            = 21
	handshake        = 22
	applicationData  = 23
	heartbeat        = 24 // RFC 6520
)

const (
	headerBytes   = 5
	maxPlain      = 1 << 14
	maxCiphertext = maxPlain + 2048 // RFC 5246, 6.2.3; less in 1.3
	major         = 3               // of every version from SSL 3.0 on, in the header of a record
	latestMinor   = 3               // in 1.3, too
)

// form is that of records, of which the alerts are wanted.
var form = protocol.FrameForm{
	Header: headerBytes, LengthAt: 3, LengthBytes: 2,
	Unwanted: 1<<changeCipherSpec | 1<<handshake | 1<<applicationData | 1<<heartbeat,
}

// record is the header of one.
type record struct {
	kind   byte
	length int // of its body
}

// readRecord reads a header of headerBytes. It returns false if no record begins so.
func readRecord(b []byte) (record, bool) {
	r := record{b[0], int(binary.BigEndian.Uint16(b[3:]))}
	sound := r.kind >= changeCipherSpec && r.kind <= heartbeat && b[1] == major && b[2] <= latestMinor && r.length <= maxCiphertext
	return r, sound && (r.length > 0 || r.kind == applicationData)
}

// chain is where a direction is in its sequence of records.
type chain struct {
	header [headerBytes]byte
	have   int    // bytes of header
	record record // the one that began last
	rest   int    // bytes of its body that are still to come
	broken bool   // where the next record begins is not known
}

// next takes bytes up to the end of a header, or of a body or what there is of it. began: a header has ended, and sound: a record has
// begun with it. Otherwise body are bytes of the record's body, or there is nothing more.
func (c *chain) next(b []byte) (body, rest []byte, began, sound bool) {
	if c.rest > 0 {
		n := min(c.rest, len(b))
		c.rest -= n
		return b[:n], b[n:], false, true
	}
	n := copy(c.header[c.have:], b)
	if c.have += n; c.have < headerBytes {
		return nil, b[n:], false, true
	}
	c.have = 0
	c.record, sound = readRecord(c.header[:])
	c.rest = c.record.length
	return nil, b[n:], true, sound
}

// miss passes over bytes that are missing.
func (c *chain) miss(n uint64) {
	if c.have > 0 || n > uint64(c.rest) {
		c.broken = true
		return
	}
	c.rest -= int(n)
}

// demand asks for the headers of the next records, and for alerts.
func (c *chain) demand() protocol.Demand {
	d := protocol.Demand{Frames: &form, NextFrame: uint64(c.rest)}
	if c.have > 0 {
		d.NextFrame = protocol.UnknownFrame
	}
	return d
}
