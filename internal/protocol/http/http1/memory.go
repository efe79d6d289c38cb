package http1

import (
	"unsafe"

	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/http"
	"github.com/socketflow/socketflow/internal/protocol/http/http2"
)

const (
	maxFree     = 128 // exchanges that are kept free
	defaultHead = 8 << 10
)

// memory is reused by the parsers of one goroutine, so that an idle conversation costs next to nothing.
type memory struct {
	headBytes   int
	outstanding int

	messages *http.Pool
	upgraded *http2.Shared // for conversations that go on in HTTP/2
	exchange protocol.Exchange
	chunk    protocol.Chunk
	request  protocol.Request

	free    intrusive.Free[exchange]
	buffers framing.Pool
	spare   *hold
}

const exchangeBytes = int(unsafe.Sizeof(exchange{}))

func newMemory(s *protocol.Settings) *memory {
	m := &memory{headBytes: s.HeadBytes, outstanding: max(s.Outstanding, 1), messages: http.NewPool(s), upgraded: http2.NewShared(s)}
	if m.headBytes <= 0 {
		m.headBytes = defaultHead
	}
	return m
}

func (m *memory) newHold() *hold {
	h := m.spare
	if m.spare = nil; h == nil {
		h = new(hold)
	}
	return h
}

func (m *memory) putHold(h *hold) {
	if m.spare == nil && cap(h.bytes) <= framing.MaxIdle {
		*h = hold{bytes: h.bytes[:0], parts: h.parts[:0]}
		m.spare = h
	}
}

func (m *memory) newExchange(c *protocol.Session, account *http.Account) *exchange {
	x := m.free.Take()
	if x == nil {
		x = new(exchange)
	}
	x.m = m.messages.Get(c, account)
	return x
}

// putExchange takes an exchange back, with its message if that is still its own.
func (m *memory) putExchange(x *exchange) {
	if x.m != nil {
		m.messages.Put(x.m)
	}
	*x = exchange{}
	if m.free.Len() < maxFree {
		m.free.Put(&x.links, x)
	}
}
