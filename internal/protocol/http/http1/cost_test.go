package http1

import (
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

const (
	browserGet = "GET /api/v1/items/4711?page=2&sort=name HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)\r\n" +
		"Accept: application/json, text/plain, */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n" +
		"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\r\n"
	serverOK = "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: nginx\r\nContent-Type: application/json\r\n" +
		"Content-Length: 27\r\nCache-Control: no-store\r\nVary: Origin\r\n\r\n{\"id\":4711,\"name\":\"a name\"}"
)

type deaf struct {
	protocoltest.Discard
	exchanges int
}

func (d *deaf) End(protocol.ID, *protocol.Exchange) { d.exchanges++ }

// caller hands a parser chunks as the socket table does, which reuses one.
type caller struct {
	parser protocol.Parser
	chunk  protocol.Chunk
}

func (c *caller) call(d protocol.Direction, b []byte, pieces int) {
	size := (len(b) + pieces - 1) / pieces
	for len(b) > 0 {
		n := min(size, len(b))
		c.chunk.Direction, c.chunk.Bytes = d, b[:n]
		c.parser.Data(&c.chunk)
		c.chunk.Position += uint64(n)
		b = b[n:]
	}
}

// costs are the forms in which an exchange can arrive.
var costs = []struct {
	name             string
	request, respond []byte
	pieces           int
	responseFirst    bool
}{
	{name: "whole", request: []byte(browserGet), respond: []byte(serverOK), pieces: 1},
	{name: "in pieces", request: []byte(browserGet), respond: []byte(serverOK), pieces: 7},
	{name: "chunked", request: []byte(browserGet), respond: []byte(chunked + "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"), pieces: 1},
	{name: "response first", request: []byte(browserGet), respond: []byte(serverOK), pieces: 1, responseFirst: true},
}

func newCaller() (*caller, *deaf) {
	sink := &deaf{}
	return &caller{parser: start(testLimits)(&protocol.Session{Sink: sink})}, sink
}

func (c *caller) exchange(i int) {
	k := &costs[i]
	if k.responseFirst {
		c.call(protocol.FromServer, k.respond, k.pieces)
	}
	c.call(protocol.FromClient, k.request, k.pieces)
	if !k.responseFirst {
		c.call(protocol.FromServer, k.respond, k.pieces)
	}
}

func TestExchangeAllocatesNothing(t *testing.T) {
	for i := range costs {
		t.Run(costs[i].name, func(t *testing.T) {
			c, sink := newCaller()
			c.exchange(i)
			if n := testing.AllocsPerRun(100, func() { c.exchange(i) }); n != 0 || sink.exchanges != 102 {
				t.Errorf("%v allocations, %d exchanges", n, sink.exchanges)
			}
		})
	}
}

// A conversation reuses the memory of those before it, except for the parser itself.
func TestConversationAllocatesItsParser(t *testing.T) {
	parserOf, sink := start(testLimits), &deaf{}
	session := &protocol.Session{Sink: sink}
	c := &caller{}
	converse := func() {
		c.parser = parserOf(session)
		c.exchange(1)
		c.parser.Close(protocol.Ending{})
	}
	converse()
	if n := testing.AllocsPerRun(100, converse); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	for i := range costs {
		b.Run(costs[i].name, func(b *testing.B) {
			c, sink := newCaller()
			b.ReportAllocs()
			for b.Loop() {
				c.exchange(i)
			}
			if sink.exchanges < b.N {
				b.Fatalf("%d exchanges", sink.exchanges)
			}
		})
	}
}

// This benchmark is a conversation of one exchange.
func BenchmarkConversation(b *testing.B) {
	parserOf, sink := start(testLimits), &deaf{}
	session := &protocol.Session{Sink: sink}
	c := &caller{}
	b.ReportAllocs()
	for b.Loop() {
		c.parser = parserOf(session)
		c.exchange(0)
		c.parser.Close(protocol.Ending{})
	}
}
