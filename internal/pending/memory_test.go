package pending

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
)

func newMemory() *memory[letter] {
	return &memory[letter]{payload: func(l *letter) *[]byte { return &l.text }}
}

func TestPayloadIsCopiedWhateverItsLength(t *testing.T) {
	m := newMemory()
	for range 2 {
		for _, n := range []int{0, 1, 63, 64, 65, 4096, 1 << largest, 1<<largest + 1} {
			payload := bytes.Repeat([]byte{7}, n)
			i := m.copyOf(&letter{text: payload})
			clear(payload)
			assert.Equal(t, bytes.Repeat([]byte{7}, n), append([]byte{}, i.value.text...))
			assert.LessOrEqual(t, n, footprint(n))
			assert.Len(t, i.buffer, footprint(n))
			m.put(i)
		}
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	m := newMemory()
	var items []*item[letter]
	for range 3 * keptItems {
		items = append(items, m.copyOf(&letter{text: make([]byte, 8192)}))
	}
	for _, i := range items {
		m.put(i)
	}
	assert.Equal(t, keptItems, m.count)
	assert.Equal(t, keptBytes, m.bytes)
	for range items {
		m.copyOf(&letter{text: make([]byte, 8192)})
	}
	assert.Zero(t, m.count)
	assert.Zero(t, m.bytes)
}
