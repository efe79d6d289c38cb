package http2

import (
	"fmt"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// counter is the cheapest sink.
type counter struct {
	protocoltest.Discard
	exchanges, parseErrors int
}

func (c *counter) End(protocol.ID, *protocol.Exchange) { c.exchanges++ }
func (c *counter) Error(protocol.ParseError)           { c.parseErrors++ }

// renumber changes the stream of all frames in a chunk. Their order stays.
func renumber(b []byte, by uint32) {
	for len(b) >= headerLength {
		f := parseFrame(b)
		id := f.stream + by
		b[5], b[6], b[7], b[8] = byte(id>>24), byte(id>>16), byte(id>>8), byte(id)
		b = b[headerLength+f.length:]
	}
}

// ring is a conversation that repeats on one connection: stream numbers go on, and the first rounds have filled the tables.
type ring struct {
	parser  *parser
	sink    *counter
	rounds  [][]protocol.Chunk
	streams uint32 // in all rounds
	next    int
	bytes   int
}

func newRing(round func(w *wire, i int), rounds, streams int) *ring {
	w := newWire()
	w.begin()
	r := &ring{sink: &counter{}, streams: uint32(rounds * streams)}
	r.parser = (&conversation{Session: protocol.Session{Sink: r.sink}, limits: protocol.Limits{HeadBytes: 8192, Outstanding: 4096}}).parser()
	for i := range rounds {
		round(w, i)
	}
	replay(r.parser, w.steps, whole)
	*r.sink = counter{}
	for i := range rounds {
		w.steps = nil
		round(w, rounds+i)
		var chunks []protocol.Chunk
		for _, s := range w.steps {
			chunks = append(chunks, protocol.Chunk{Direction: s.from, Bytes: s.bytes})
			r.bytes += len(s.bytes)
		}
		r.rounds = append(r.rounds, chunks)
	}
	return r
}

// turn plays a round.
func (r *ring) turn() {
	chunks := r.rounds[r.next]
	for i := range chunks {
		r.parser.Data(&chunks[i])
		renumber(chunks[i].Bytes, 2*r.streams)
	}
	r.next = (r.next + 1) % len(r.rounds)
}

func run(b *testing.B, round func(w *wire, i int), rounds, streams int) {
	r := newRing(round, rounds, streams)
	b.SetBytes(int64(r.bytes / rounds))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		r.turn()
		n++
	}
	if r.sink.exchanges != n*streams || r.sink.parseErrors > 0 {
		b.Fatalf("%d exchanges of %d, %d parse errors", r.sink.exchanges, n*streams, r.sink.parseErrors)
	}
}

func call(w *wire, i int, fields ...string) {
	id := uint32(2*i + 1)
	w.client.request(id, more, "POST", "/shop.Cart/Add", append([]string{
		"content-type", "application/grpc", "user-agent", "grpc-go/1.83.2", "te", "trailers"}, fields...)...)
	w.client.data(id, 100, last)
	w.server.response(id, more, "200", "content-type", "application/grpc")
	w.server.data(id, 200, more)
	w.server.headers(id, last, "grpc-status", "0", "grpc-message", "")
}

// Only additions to a dynamic table allocate memory. The value is too short for Huffman's code, whose decoder has a
// sync.Pool, which drops objects at random under the race detector.
func TestNoAllocationInSteadyState(t *testing.T) {
	r := newRing(func(w *wire, i int) { call(w, i, "authorization", "{~}") }, 1, 1)
	if n := testing.AllocsPerRun(100, r.turn); n != 0 {
		t.Errorf("%v allocations for a call", n)
	}
}

// Some encoders, this one among them, index values that change with every call.
func BenchmarkCall(b *testing.B) {
	b.Run("indexed", func(b *testing.B) {
		run(b, func(w *wire, i int) { call(w, i) }, 1, 1)
	})
	// So many rounds fill the dynamic table several times. It is emptied before the first one, so that the rounds can be
	// repeated.
	b.Run("with a traceparent and a timeout", func(b *testing.B) {
		run(b, func(w *wire, i int) {
			if i%64 == 0 {
				w.client.encoder.SetMaxDynamicTableSize(0)
				w.client.encoder.SetMaxDynamicTableSize(defaultTableSize)
			}
			call(w, i, "grpc-timeout", fmt.Sprint(1000+i%64, "m"),
				"traceparent", fmt.Sprintf("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba9%04x-01", i%64+1))
		}, 64, 1)
	})
}

func BenchmarkThousandStreams(b *testing.B) {
	const streams = 1000
	run(b, func(w *wire, i int) {
		id := func(n int) uint32 { return uint32(2*(i*streams+n) + 1) }
		for n := range streams {
			w.client.request(id(n), more, "POST", "/shop.Cart/Add", "content-type", "application/json")
		}
		for n := range streams {
			w.client.data(id(n), 100, last)
			w.server.response(id(streams-1-n), more, "200", "content-type", "application/json")
		}
		for n := range streams {
			w.server.data(id(n*7%streams), 100, last)
		}
	}, 1, streams)
}

// This is the worst case of a hostile encoder: additions of three bytes each.
func BenchmarkSmallAdditions(b *testing.B) {
	w := newWire()
	w.begin()
	w.server.settings()
	block := make([]byte, 0, 16000)
	for len(block) < cap(block)-len(unknownEntry) {
		block = append(block, unknownEntry...)
	}
	k := &counter{}
	p := (&conversation{Session: protocol.Session{Sink: k}, limits: protocol.Limits{HeadBytes: 8192, Outstanding: 4096}}).parser()
	replay(p, w.steps, whole)
	d := &p.directions[protocol.FromClient]
	d.table.allow(maximumTableSize)
	d.table.resize(maximumTableSize)
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	for b.Loop() {
		p.fragment(d, block)
	}
}
