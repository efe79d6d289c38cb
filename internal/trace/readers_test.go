package trace

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestReadingsAreInOrderWhateverTheirOrderOfArrival(t *testing.T) {
	events := []struct{ socket, at uint64 }{{1, 10}, {1, 20}, {2, 30}, {3, 40}, {3, 50}, {1, 60}}
	for range 100 {
		rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		e, _ := newExchanges(t, Certain)
		for _, x := range events {
			b := request(x.socket, 1, x.at, 0)
			b.Goroutine.Number = 5
			e.noteReader(&b)
		}
		for at, want := range map[uint64]uint64{5: 0, 10: 1, 25: 1, 30: 2, 39: 2, 45: 3, 59: 3, 60: 1, 99: 1} {
			got, found := e.lastSocket(goroutine(1, 5), at)
			assert.Equal(t, want, got, "at %d, of %v", at, events)
			assert.Equal(t, want != 0, found)
		}
	}
}
