package trace

import (
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/splitmix"
)

// Seed is what ids that only one end knows are derived from: 128 random bits. Identities with different seeds never give out the same id, as far as
// chance goes.
type Seed [2]uint64

// Identity makes ids that only one end knows. None is stored: each is a function of what a connection carries.
//
// They come from the Seed, the connection's serial and the number of the exchange. Each half of a trace id has a key of its own and looks random:
// samplers decide by the low 56 bits (W3C Trace Context Level 2, "random trace id"), and people look at the first digits.
type Identity struct{ traceHigh, traceLow, span uint64 }

// NewIdentity returns the Identity of a Seed.
func NewIdentity(seed Seed) Identity {
	keys := splitmix.Mix(seed[0]) + seed[1]
	next := func() uint64 { // splitmix64, seeded with both halves
		keys += splitmix.Gamma
		return splitmix.Finalize(keys)
	}
	return Identity{traceHigh: next() ^ splitmix.Mix(seed[0]), traceLow: next() ^ splitmix.Mix(seed[1]), span: next()}
}

// Whole is the ordinal of a connection itself. Its exchanges count up from 1.
const Whole = 0

// Of are the ids of an exchange of a connection, or with Whole those of the connection's own span. The trace id is for a span without a parent,
// which begins a trace.
func (i *Identity) Of(serial, ordinal uint64) (trace [16]byte, span [8]byte) {
	binary.BigEndian.PutUint64(trace[:8], mix(i.traceHigh, serial, ordinal))
	binary.BigEndian.PutUint64(trace[8:], mix(i.traceLow, serial, ordinal))
	binary.BigEndian.PutUint64(span[:], mix(i.span, serial, ordinal))
	if trace == [16]byte{} {
		trace[15] = 1 // all zero means "none"
	}
	if span == [8]byte{} {
		span[7] = 1 // all zero means "none"
	}
	return trace, span
}

// mix differs between all ordinals of a serial.
func mix(key, serial, ordinal uint64) uint64 {
	return splitmix.Finalize(splitmix.Finalize(key^serial) + ordinal*splitmix.Gamma)
}
