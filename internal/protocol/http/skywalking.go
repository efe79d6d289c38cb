package http

import (
	"bytes"
	"encoding/base64"
	"strconv"
)

// setSkyWalking reads "sampled-trace-segment-span-...": 0 or 1, the ids of the trace and of the sender's segment in base64, and the number of the
// sender's span in that segment. Ids are made of them as the Collector's receiver for SkyWalking does, so that a span which an agent has sent there
// is the parent.
func (m *Message) setSkyWalking(value []byte) {
	sampled, rest, _ := bytes.Cut(value, dash)
	trace, rest, _ := bytes.Cut(rest, dash)
	segment, rest, _ := bytes.Cut(rest, dash)
	number, _, _ := bytes.Cut(rest, dash)
	span, err := strconv.ParseUint(string(number), 10, 32)
	traceID, isTrace := skyWalkingID(trace)
	segmentID, isSegment := skyWalkingID(segment)
	c := m.context(skywalking)
	if err != nil || !isTrace || !isSegment || c.Valid() {
		return
	}
	xorNumber(segmentID[:4], span)
	c.TraceID = traceID
	for i := range c.SpanID {
		c.SpanID[i] = segmentID[i] ^ segmentID[8+i]
	}
	m.deny(skywalking, is(sampled, "0"))
}

// skyWalkingID reads the id of a trace or of a segment in base64: a UUID, with or without dashes, which the number of a thread and another one may
// follow, "56a5e1c519ae4c76a2b8b11d92cead7f.12.16563474296430001".
func skyWalkingID(encoded []byte) (id [16]byte, ok bool) {
	const longest = 128
	var decoded [longest]byte
	if len(encoded) > longest {
		return id, false
	}
	n, err := base64.StdEncoding.Decode(decoded[:], encoded)
	if err != nil {
		return id, false
	}
	uuid, numbers, hasNumbers := bytes.Cut(decoded[:n], dot)
	uuid = withoutDashes(uuid)
	if len(uuid) != 2*len(id) || !setHex(id[:], uuid) {
		return id, false
	}
	if !hasNumbers {
		return id, true
	}
	first, second, _ := bytes.Cut(numbers, dot)
	thread, err := strconv.ParseUint(string(first), 10, 63)
	if err != nil {
		return id, false
	}
	last, err := strconv.ParseUint(string(second), 10, 63)
	if err != nil {
		return id, false
	}
	xorNumber(id[4:8], thread)
	xorNumber(id[8:], last)
	return id, true
}

// withoutDashes removes the dashes of a UUID in place.
func withoutDashes(uuid []byte) []byte {
	kept := uuid[:0]
	for _, c := range uuid {
		if c != '-' {
			kept = append(kept, c)
		}
	}
	return kept
}

// xorNumber combines bytes with those of a number, the lowest first.
func xorNumber(b []byte, number uint64) {
	for i := range b {
		b[i] ^= byte(number >> (8 * i))
	}
}

var dot = []byte{'.'}
