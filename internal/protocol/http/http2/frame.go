package http2

import (
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol"
)

const (
	// preface is the first thing a client sends (RFC 9113, 3.4).
	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	headerLength = 9 // RFC 9113, 4.1

	// Limits of a frame's payload (RFC 9113, 4.2 and 6.5.2): until the receiver has allowed more, and in any case.
	defaultFrameSize = 1 << 14
	maximumFrameSize = 1<<24 - 1
)

// frameType is a type of frame (RFC 9113, 6).
type frameType uint8

const (
	data frameType = iota
	headers
	priority
	rstStream
	settings
	pushPromise
	ping
	goAway
	windowUpdate
	continuation
	frameTypes // higher types are unknown, and ignored (RFC 9113, 4.1)
)

// Flags of frames.
const (
	ack         = 0x1 // SETTINGS, PING
	endStream   = 0x1 // DATA, HEADERS
	endHeaders  = 0x4 // HEADERS, PUSH_PROMISE, CONTINUATION
	padded      = 0x8 // DATA, HEADERS, PUSH_PROMISE
	prioritized = 0x20
)

// owner is whether a type of frame belongs to a stream or to the connection, whose frames have stream identifier 0.
type owner uint8

const (
	oneStream owner = iota
	connection
	either
)

// rule is what RFC 9113, 6, demands of a type of frame.
type rule struct {
	flags   uint8 // the defined flags
	owner   owner
	minimum int // of the payload's length
	maximum int // 0: the limit of any frame
	unit    int // the length is a multiple of it; 0: of 1
}

var rules = [frameTypes]rule{
	data:         {flags: endStream | padded},
	headers:      {flags: endStream | endHeaders | padded | prioritized},
	priority:     {minimum: 5, maximum: 5},
	rstStream:    {minimum: 4, maximum: 4},
	settings:     {flags: ack, owner: connection, unit: settingLength},
	pushPromise:  {flags: endHeaders | padded, minimum: 4},
	ping:         {flags: ack, owner: connection, minimum: 8, maximum: 8},
	goAway:       {owner: connection, minimum: 8},
	windowUpdate: {owner: either, minimum: 4, maximum: 4},
	continuation: {flags: endHeaders},
}

// frame is a frame's header (RFC 9113, 4.1).
type frame struct {
	length   int // of the payload
	typ      frameType
	flags    uint8
	stream   uint32
	reserved bool // the reserved bit, which receivers ignore, is set
}

// parseFrame reads a frame's header; b has at least headerLength bytes.
func parseFrame(b []byte) frame {
	id := binary.BigEndian.Uint32(b[5:])
	return frame{
		length:   int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		typ:      frameType(b[3]),
		flags:    b[4],
		stream:   id & streamMask,
		reserved: id&^streamMask != 0,
	}
}

const streamMask = 1<<31 - 1

func (f *frame) has(flag uint8) bool { return f.flags&flag != 0 }

// allowed reports whether a receiver could go on after this header: a frame of an impossible length, or on the wrong kind
// of stream, is an error of the connection. limit is the largest payload.
func (f *frame) allowed(limit int) bool {
	if f.length > limit {
		return false
	}
	if f.typ >= frameTypes {
		return true
	}
	r := &rules[f.typ]
	switch {
	case f.length < r.minimum, r.maximum > 0 && f.length > r.maximum, r.unit > 0 && f.length%r.unit != 0:
		return false
	case f.length < f.fixed():
		return false
	case f.typ == settings && f.has(ack) && f.length > 0: // RFC 9113, 6.5
		return false
	case r.owner == oneStream:
		return f.stream != 0
	case r.owner == connection:
		return f.stream == 0
	}
	return true
}

// fixed is how many bytes at the beginning of the payload have to be read, beside a header block; for SETTINGS, at a time.
func (f *frame) fixed() (n int) {
	switch f.typ {
	case rstStream:
		return 4
	case goAway:
		return 8
	case settings:
		return min(settingLength, f.length)
	case headers, pushPromise: // RFC 9113, 6.2 and 6.6
		if f.has(padded) {
			n++
		}
		if f.typ == pushPromise {
			n += 4
		} else if f.has(prioritized) {
			n += 5
		}
	}
	return n
}

// credible reports whether a peer would send such a header in this direction. The bytes may be of any kind, and so it
// demands more than a receiver does.
func (f *frame) credible(d protocol.Direction, limit int, highest uint32) bool {
	if f.typ >= frameTypes || f.reserved || f.flags&^rules[f.typ].flags != 0 || !f.allowed(limit) {
		return false
	}
	if highest > 0 && f.stream > highest+plausibleLead {
		return false
	}
	if d == protocol.FromServer {
		return true
	}
	switch f.typ {
	case pushPromise: // RFC 9113, 8.4
		return false
	case data, headers, continuation: // RFC 9113, 5.1.1: a client's streams are odd, and a pushed one it only receives
		return f.stream&1 == 1
	}
	return true
}

// plausibleLead bounds how far a stream's identifier may exceed the highest known one. Identifiers increase by 2 with every
// request (RFC 9113, 5.1.1); some requests may have been lost.
const plausibleLead = 1 << 21

// The settings that matter (RFC 9113, 6.5.2).
const (
	settingLength = 6

	settingHeaderTableSize   = 1
	settingEnablePush        = 2
	settingInitialWindowSize = 4
	settingMaxFrameSize      = 5
)

// setting is one parameter of a SETTINGS frame (RFC 9113, 6.5.1).
type setting struct {
	id    uint16
	value uint32
}

// parseSetting reads a parameter; b has at least settingLength bytes.
func parseSetting(b []byte) setting {
	return setting{binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[2:])}
}

// allowed reports whether a receiver could accept the value (RFC 9113, 6.5.2). Unknown parameters are ignored.
func (s setting) allowed() bool {
	switch s.id {
	case settingEnablePush:
		return s.value <= 1
	case settingInitialWindowSize:
		return s.value <= 1<<31-1
	case settingMaxFrameSize:
		return s.value >= defaultFrameSize && s.value <= maximumFrameSize
	}
	return true
}

// errorNames are the error codes of RFC 9113, 7.
var errorNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
	"FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
	"INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

const (
	noError       = 0
	internalError = 2
	streamClosed  = 5
	refusedStream = 7
	cancel        = 8
)

// errorName is the name of an error code. An unknown one may be treated as INTERNAL_ERROR (RFC 9113, 7).
func errorName(code uint32) string {
	if code < uint32(len(errorNames)) {
		return errorNames[code]
	}
	return errorNames[internalError]
}
