package http2

import (
	"bytes"
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol"
)

// chain is the result of following frames from where one should begin: as many as there are in the available bytes.
type chain struct {
	frames int       // credible headers
	broken bool      // the bytes after them are not credible
	exact  bool      // the last frame ends where the bytes end
	first  frameType // type of the first
}

// follow follows frames from the beginning of b. limit is the largest payload, highest the highest known stream identifier, or
// 0.
func follow(d protocol.Direction, b []byte, limit int, highest uint32) (c chain) {
	var block uint32 // the stream whose header block has to go on
	for len(b) >= headerLength {
		f := parseFrame(b)
		if !f.credible(d, limit, highest) || (f.typ == continuation) != (block != 0) || block != 0 && f.stream != block {
			c.broken = true
			return c
		}
		if c.frames == 0 {
			c.first = f.typ
		}
		c.frames++
		b = b[headerLength:]
		if len(b) < f.length {
			return c
		}
		if !f.crediblePayload(b[:f.length]) {
			c.broken = true
			return c
		}
		b = b[f.length:]
		switch {
		case f.has(endHeaders):
			block = 0
		case f.typ == headers || f.typ == pushPromise:
			block = f.stream
		}
	}
	c.exact = len(b) == 0 && c.frames > 0 && block == 0
	return c
}

// convincing reports whether reading can go on there after the framing was lost.
func (c chain) convincing() bool { return !c.broken && (c.frames > 1 || c.exact) }

// crediblePayload reports whether a peer would send such a payload with a credible header.
func (f *frame) crediblePayload(b []byte) bool {
	switch f.typ {
	case windowUpdate: // RFC 9113, 6.9: 31 bits, not 0
		increment := binary.BigEndian.Uint32(b)
		return increment != 0 && increment <= streamMask
	case rstStream:
		return binary.BigEndian.Uint32(b) < uint32(len(errorNames))
	case goAway:
		return binary.BigEndian.Uint32(b) <= streamMask && binary.BigEndian.Uint32(b[4:]) < uint32(len(errorNames))
	case settings:
		return credibleSettings(b)
	case headers, pushPromise:
		from, padding := f.fixed(), 0
		if f.has(padded) {
			padding = int(b[0])
		}
		if from+padding > len(b) {
			return false
		}
		return !f.has(endHeaders) || wellFormed(b[from:len(b)-padding], len(b))
	case data:
		return !f.has(padded) || len(b) > 0 && int(b[0]) < len(b)
	}
	return true
}

// credibleSettings checks the available parameters.
func credibleSettings(b []byte) bool {
	for ; len(b) >= settingLength; b = b[settingLength:] {
		if s := parseSetting(b); s.id == 0 || !s.allowed() {
			return false
		}
	}
	return true
}

// sufficient are the types of which a single frame recognises a conversation.
var sufficient = [frameTypes]bool{headers: true, rstStream: true, settings: true, ping: true, goAway: true, windowUpdate: true}

// detectBytes is the number of bytes at which a chain of frames has to be convincing.
const detectBytes = 512

// detect recognises the conversation by the client's preface, weakly by the server's SETTINGS, with which it has to begin (RFC
// 9113, 3.4), or, in the middle, by frames that continue to the end of the bytes.
func detect(s *protocol.Sample) protocol.Confidence {
	asked, answered := s.Bytes[protocol.FromClient], s.Bytes[protocol.FromServer]
	switch {
	case bytes.HasPrefix(asked, []byte(preface)):
		return protocol.Certain
	case s.Joined:
		return max(detectFrames(protocol.FromClient, asked), detectFrames(protocol.FromServer, answered))
	case len(asked) == 0: // a server that speaks HTTP/2 only may have a client that does not
		return min(detectSettings(answered), protocol.Weak)
	case bytes.HasPrefix([]byte(preface), asked):
		return protocol.NeedMore
	}
	return protocol.No
}

// detectFrames judges bytes from the middle.
func detectFrames(d protocol.Direction, b []byte) protocol.Confidence {
	if len(b) == 0 {
		return protocol.No
	}
	c := follow(d, b, defaultFrameSize, 0)
	switch {
	case c.broken:
		return protocol.No
	case c.frames > 1, c.exact && (sufficient[c.first] || len(b) >= detectBytes): // by chance no length is that of so many bytes
		return protocol.Strong
	case len(b) < detectBytes:
		return protocol.NeedMore
	}
	return protocol.No
}

// lastSetting is the last parameter in common use (SETTINGS_NO_RFC7540_PRIORITIES, RFC 9218, 2.1).
const lastSetting = 9

// detectSettings checks a server's first bytes. An empty SETTINGS frame has the form of a length and zeros, with which
// other protocols begin too, and so another frame has to follow. If it is not empty, its first parameter has to be a common
// one.
func detectSettings(b []byte) protocol.Confidence {
	head := [headerLength]byte{3: byte(settings)} // bytes that have not come are assumed to be right
	copy(head[:], b)
	f := parseFrame(head[:])
	if len(b) < 3 { // the length has not come
		f.length = 0
	}
	switch {
	case f.typ != settings || f.flags != 0 || !f.credible(protocol.FromServer, defaultFrameSize, 0):
		return protocol.No
	case len(b) < headerLength:
		return protocol.NeedMore
	}
	payload := b[headerLength:]
	if !credibleSettings(payload[:min(len(payload), f.length)]) {
		return protocol.No
	}
	if f.length > 0 {
		switch {
		case len(payload) < settingLength:
			return protocol.NeedMore
		case parseSetting(payload).id > lastSetting:
			return protocol.No
		}
		return protocol.Strong
	}
	c := follow(protocol.FromServer, b, defaultFrameSize, 0)
	switch {
	case c.broken:
		return protocol.No
	case c.frames > 1:
		return protocol.Strong
	}
	return protocol.NeedMore
}
