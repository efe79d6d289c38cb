package otlp

import (
	"encoding/binary"
	"encoding/hex"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/splitmix"
)

// Seed is what the trace ids and span ids of a Builder are derived from: 128 random bits. Builders with different seeds never
// give out the same id, as far as chance goes.
type Seed [2]uint64

// identity makes ids. None is stored: each is a function of what a connection carries.
//
// Connection ids come from the host and from the connection, so that every collector gives a connection the same one. Trace
// ids and span ids come from the Seed, the connection's Serial and the number of the exchange. Each half of a trace id has a
// key of its own and looks random: samplers decide by the low 56 bits (W3C Trace Context Level 2, "random trace id"), and
// people look at the first digits.
type identity struct {
	connection, traceHigh, traceLow, span uint64
}

func newIdentity(host uint64, seed Seed) identity {
	connection, keys := splitmix.Mix(host), splitmix.Mix(seed[0])+seed[1]
	next := func() uint64 { // splitmix64, seeded with both halves
		keys += splitmix.Gamma
		return splitmix.Finalize(keys)
	}
	return identity{
		connection: connection,
		traceHigh:  next() ^ splitmix.Mix(seed[0]), traceLow: next() ^ splitmix.Mix(seed[1]), span: next(),
	}
}

// connectionID is the value of socketflow.connection.id. Two connections never have the same, because splitmix.Finalize is a bijection.
func (i *identity) connectionID(number uint64) string {
	var raw [8]byte
	var digits [16]byte
	binary.BigEndian.PutUint64(raw[:], splitmix.Finalize(i.connection^number))
	hex.Encode(digits[:], raw[:])
	return string(digits[:])
}

// whole is the ordinal of a connection itself. Its exchanges count up from 1.
const whole = 0

// ids are those of an exchange of a connection, or with whole those of the connection's own span. The trace id is for a span
// without a parent, which starts a trace.
func (i *identity) ids(serial, ordinal uint64) (trace pcommon.TraceID, span pcommon.SpanID) {
	binary.BigEndian.PutUint64(trace[:8], mix(i.traceHigh, serial, ordinal))
	binary.BigEndian.PutUint64(trace[8:], mix(i.traceLow, serial, ordinal))
	binary.BigEndian.PutUint64(span[:], mix(i.span, serial, ordinal))
	if trace.IsEmpty() {
		trace[15] = 1 // all zero means "none"
	}
	if span.IsEmpty() {
		span[7] = 1 // all zero means "none"
	}
	return trace, span
}

// mix differs between all ordinals of a serial.
func mix(key, serial, ordinal uint64) uint64 {
	return splitmix.Finalize(splitmix.Finalize(key^serial) + ordinal*splitmix.Gamma)
}
