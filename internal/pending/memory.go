package pending

import "math/bits"

// item is one that waits.
type item[T any] struct {
	value  T
	buffer []byte // of its payload
	next   *item[T]
}

// Sizes of buffers are powers of two: 1<<smallest to 1<<largest bytes. Longer buffers are not reused.
const (
	smallest = 6
	largest  = 20
)

// Upper bounds of what memory keeps for reuse.
const (
	keptItems = 1024
	keptBytes = 4 << 20
)

// memory reuses the memory of waiting items. It is for one goroutine.
type memory[T any] struct {
	payload func(*T) *[]byte
	items   *item[T]
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

// copyOf copies an item with its payload.
func (m *memory[T]) copyOf(one *T) *item[T] {
	i := m.items
	if i == nil {
		i = &item[T]{}
	} else {
		m.items = i.next
		m.count--
	}
	i.value, i.next = *one, nil
	payload := m.payload(&i.value)
	if n := len(*payload); n > 0 {
		i.buffer = m.buffer(n)
		*payload = i.buffer[:copy(i.buffer, *payload):n]
	}
	return i
}

func (m *memory[T]) buffer(n int) []byte {
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

// put takes back an item of copyOf.
func (m *memory[T]) put(i *item[T]) {
	if b := i.buffer; b != nil && len(b) <= 1<<largest && m.bytes+len(b) <= keptBytes {
		free := &m.buffers[class(len(b))-smallest]
		*free = append(*free, b)
		m.bytes += len(b)
	}
	if m.count >= keptItems {
		return
	}
	*i = item[T]{next: m.items}
	m.items = i
	m.count++
}
