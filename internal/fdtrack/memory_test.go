package fdtrack

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/event"
)

func TestPayloadIsCopiedWhateverItsLength(t *testing.T) {
	var m memory
	for range 2 {
		for _, n := range []int{0, 1, 63, 64, 65, 4096, 1 << largest, 1<<largest + 1} {
			payload := bytes.Repeat([]byte{7}, n)
			e := event.Event{Data: event.Data{Payload: payload}}
			i := m.copyOf(&e)
			clear(payload)
			assert.Equal(t, bytes.Repeat([]byte{7}, n), append([]byte{}, i.event.Data.Payload...))
			assert.LessOrEqual(t, n, footprint(n))
			assert.Len(t, i.buffer, footprint(n))
			m.put(i)
		}
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	var m memory
	var items []*item
	for range 3 * keptItems {
		items = append(items, m.copyOf(&event.Event{Data: event.Data{Payload: make([]byte, 8192)}}))
	}
	for _, i := range items {
		m.put(i)
	}
	assert.Equal(t, keptItems, m.count)
	assert.Equal(t, keptBytes, m.bytes)
	for range items {
		m.copyOf(&event.Event{Data: event.Data{Payload: make([]byte, 8192)}})
	}
	assert.Zero(t, m.count)
	assert.Zero(t, m.bytes)
}
