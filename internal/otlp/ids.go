package otlp

import (
	"encoding/binary"
	"encoding/hex"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/splitmix"
)

// identity derives a connection's ids from its number and the host's, so that everything told of a connection carries
// the same ids without anything being remembered between its opening and its end.
//
// Each id has a key of its own: no two connections of a host share an id, because splitmix.Finalize is a bijection, and for
// two hosts to meet in a 128-bit trace id both of its keys would have to differ by the same bits. Connection numbers may be
// consecutive; samplers judge a trace by the low 56 bits of its id and want them to look random (W3C Trace Context Level 2,
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

// exchangeIDs are the ids of a connection's nth exchange; the trace id is that of the trace it starts, if it starts one.
// No two exchanges of a host share a trace id: of two connections the first halves differ, and of two exchanges of one
// connection the second.
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
