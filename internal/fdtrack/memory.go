package fdtrack

import (
	"math/bits"

	"github.com/socketflow/socketflow/internal/event"
)

// item is an event that waits.
type item struct {
	event  event.Event
	buffer []byte // of its payload
	next   *item
}

// Buffers are of powers of two: 1<<smallest to 1<<largest bytes. Longer payload, which no capture has, is not kept.
const (
	smallest = 6
	largest  = 20
)

// What memory keeps for the next events, at most.
const (
	keptItems = 1024
	keptBytes = 4 << 20
)

// memory is what waiting events take, used again and again. It is for one goroutine.
type memory struct {
	items   *item
	count   int
	buffers [largest - smallest + 1][][]byte // by size
	bytes   int
}

// class is the logarithm of the size of the buffer for n bytes.
func class(n int) int { return max(smallest, bits.Len(uint(n-1))) }

// footprint is how much memory n bytes of payload take.
func footprint(n int) int {
	if n == 0 {
		return 0
	}
	return 1 << class(n)
}

// copyOf copies an event with its payload.
func (m *memory) copyOf(e *event.Event) *item {
	i := m.items
	if i == nil {
		i = &item{}
	} else {
		m.items = i.next
		m.count--
	}
	i.event, i.next = *e, nil
	if n := len(e.Data.Payload); n > 0 {
		i.buffer = m.buffer(n)
		i.event.Data.Payload = i.buffer[:copy(i.buffer, e.Data.Payload):n]
	}
	return i
}

func (m *memory) buffer(n int) []byte {
	size := class(n)
	if size > largest || len(m.buffers[size-smallest]) == 0 {
		return make([]byte, 1<<size)
	}
	free := &m.buffers[size-smallest]
	last := len(*free) - 1
	b := (*free)[last]
	(*free)[last] = nil
	*free = (*free)[:last]
	m.bytes -= len(b)
	return b
}

// put takes back what copyOf has given.
func (m *memory) put(i *item) {
	if b := i.buffer; b != nil && len(b) <= 1<<largest && m.bytes+len(b) <= keptBytes {
		free := &m.buffers[class(len(b))-smallest]
		*free = append(*free, b)
		m.bytes += len(b)
	}
	if m.count >= keptItems {
		return
	}
	*i = item{next: m.items}
	m.items = i
	m.count++
}
