package otlp

import (
	"encoding/binary"
	"encoding/hex"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/splitmix"
)

// identity derives a connection's ids from its number and the host's. All records and spans of a connection have the same
// ids, and no state is kept between its open and its close.
//
// Each id has a key of its own. Two connections of a host never have the same id, because splitmix.Finalize is a bijection.
// Two hosts have the same 128-bit trace id only if both of its keys differ by the same bits. Connection numbers may be
// consecutive; samplers decide by the low 56 bits of a trace id, which must look random (W3C Trace Context Level 2,
// "random trace id").
type identity struct {
	connection, traceHigh, traceLow, span, exchange uint64
}

func newIdentity(host uint64) identity {
	next := func() uint64 { // splitmix64, seeded with the host
		host += splitmix.Gamma
		return splitmix.Finalize(host)
	}
	return identity{connection: next(), traceHigh: next(), traceLow: next(), span: next(), exchange: next()}
}

// connectionID is the value of socketflow.connection.id.
func (i identity) connectionID(number uint64) string {
	var raw [8]byte
	var digits [16]byte
	binary.BigEndian.PutUint64(raw[:], splitmix.Finalize(i.connection^number))
	hex.Encode(digits[:], raw[:])
	return string(digits[:])
}

func (i identity) traceID(number uint64) pcommon.TraceID { return i.traceIDOf(number, number) }

// exchangeIDs are the ids of a connection's nth exchange. The trace id is for an exchange without a parent, which starts a
// trace. No two exchanges of a host have the same trace id: the first half differs between connections, and the second half
// between exchanges of one connection.
func (i identity) exchangeIDs(number, ordinal uint64) (pcommon.TraceID, pcommon.SpanID) {
	exchange := splitmix.Finalize(i.exchange^number) + ordinal*splitmix.Gamma
	return i.traceIDOf(number, exchange), i.spanID(exchange)
}

func (i identity) traceIDOf(high, low uint64) pcommon.TraceID {
	var id pcommon.TraceID
	binary.BigEndian.PutUint64(id[:8], splitmix.Finalize(i.traceHigh^high))
	binary.BigEndian.PutUint64(id[8:], splitmix.Finalize(i.traceLow^low))
	if id.IsEmpty() {
		id[15] = 1 // all zero means "none"
	}
	return id
}

func (i identity) spanID(number uint64) pcommon.SpanID {
	var id pcommon.SpanID
	binary.BigEndian.PutUint64(id[:], splitmix.Finalize(i.span^number))
	if id.IsEmpty() {
		id[7] = 1 // all zero means "none"
	}
	return id
}
