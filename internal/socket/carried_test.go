package socket

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/event"
)

// TestWhatConnectionsCarryIsReportedOnce: while they are open as far as it is known by then, and the rest at the end.
func TestWhatConnectionsCarryIsReportedOnce(t *testing.T) {
	live := func(sent, received uint64) *event.Event {
		return &event.Event{Kind: event.KindLive, Time: 15, Flow: event.Flow{Cookie: 1}, Ending: event.Ending{BytesSent: sent, BytesReceived: received}}
	}
	older := existing(1, 10)
	older.Ending.Position = [event.Directions]uint64{1001, 2000} // with its SYN
	olderEnd := existingClose(1, 20)
	olderEnd.Ending = closeAt(1010, 2020).Ending
	olderEnd.Ending.Position = [event.Directions]uint64{1011, 2020}
	type bytes = [event.Directions]uint64
	for name, test := range map[string]struct {
		events []*event.Event // nil: a report of what is open
		want   []bytes
	}{
		"at the end":                {[]*event.Event{clientOpen(1, 10), sent(0, "five!"), closeAt(5, 7)}, []bytes{{5, 7}}},
		"while it is open":          {[]*event.Event{clientOpen(1, 10), sent(0, "five!"), nil, received(0, "seven.."), nil, nil, closeAt(5, 9)}, []bytes{{5, 0}, {0, 7}, {0, 0}, {0, 2}}},
		"by passes":                 {[]*event.Event{clientOpen(1, 10), live(100, 0), nil, live(300, 50), nil, closeAt(320, 50)}, []bytes{{100, 0}, {200, 50}, {20, 0}}},
		"a pass that is behind":     {[]*event.Event{clientOpen(1, 10), sent(0, "five!"), nil, live(3, 0), nil, closeAt(6, 0)}, []bytes{{5, 0}, {0, 0}, {1, 0}}},
		"what was never sent":       {[]*event.Event{clientOpen(1, 10), live(100, 0), nil, closeAt(40, 0)}, []bytes{{100, 0}, {0, 0}}},
		"one that is older":         {[]*event.Event{older, nil, live(1006, 2000), nil, olderEnd}, []bytes{{0, 0}, {5, 0}, {5, 20}}},
		"plaintext within it":       {[]*event.Event{clientOpen(1, 10), sent(0, "five!"), encrypted(sent(0, "plaintext of more bytes")), nil, closeAt(5, 0)}, []bytes{{5, 0}, {0, 0}}},
		"one whose open was lost":   {[]*event.Event{closeAt(5, 7)}, []bytes{{5, 7}}},
		"a datagram's flow":         {[]*event.Event{over(event.UDP, clientOpen(1, 10)), live(30, 40), nil, over(event.UDP, closeAt(35, 40))}, []bytes{{30, 40}, {5, 0}}},
		"one that is not described": {[]*event.Event{clientOpen(1, 10), nil, closeAt(0, 0)}, []bytes{{0, 0}, {0, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeard(t)
			var got []bytes
			h.table.sink = sinkFuncs{func(*Connection) {}, func(c *Connection) { got = append(got, c.Carried) }}
			for _, e := range test.events {
				if e != nil {
					h.table.Handle(e)
					continue
				}
				h.table.EachOpen(50, func(c *Connection) bool {
					got = append(got, c.Carried)
					return true
				})
			}
			h.table.Flush(99)
			assert.Equal(t, test.want, got)
		})
	}
}

// TestWhatWasNotTakenIsReportedAgain: it is not known yet who has the other end.
func TestWhatWasNotTakenIsReportedAgain(t *testing.T) {
	h := newHeard(t)
	h.table.Handle(clientOpen(1, 10))
	h.table.Handle(sent(0, "five!"))
	for range 2 {
		h.table.EachOpen(50, func(c *Connection) bool {
			assert.EqualValues(t, 5, c.Carried[event.Sent])
			return false
		})
	}
}

// TestEvictedConnectionIsNotMeasuredTwice when its end comes.
func TestEvictedConnectionIsNotMeasuredTwice(t *testing.T) {
	table, _ := newTestTable(t, func(o *Options) { o.Sockets = 1 })
	var got [][event.Directions]uint64
	table.sink = sinkFuncs{func(*Connection) {}, func(c *Connection) { got = append(got, c.Carried) }}
	table.Handle(clientOpen(1, 10))
	table.Handle(clientOpen(2, 11))
	end := closeAt(500, 600)
	table.Handle(end)
	later := clientClose(3, 25, 30) // whose open was lost after that
	later.Ending.BytesSent = 7
	table.Handle(later)
	assert.Equal(t, [][event.Directions]uint64{{0, 0}, {7, 0}}, got)
}

// TestFlowThatIsMissingHasCarriedWhatWasTransferredLast: no pass has seen that, and no close says it.
func TestFlowThatIsMissingHasCarriedWhatWasTransferredLast(t *testing.T) {
	h := newHeard(t)
	var got [event.Directions]uint64
	h.table.sink = sinkFuncs{func(*Connection) {}, func(c *Connection) {
		for d := range got {
			got[d] += c.Carried[d]
		}
	}}
	h.table.Handle(over(event.UDP, clientOpen(1, 10)))
	h.table.Handle(&event.Event{Kind: event.KindLive, Time: 15, Flow: event.Flow{Cookie: 1}, Ending: event.Ending{BytesSent: 30, BytesReceived: 40}})
	h.table.EachOpen(50, func(c *Connection) bool {
		got = c.Carried
		return true
	})
	h.table.Handle(sent(30, "five!"))
	for range 2 {
		h.table.Forget(1000, func(event.Transport, uint32) bool { return true })
	}
	assert.Equal(t, [event.Directions]uint64{35, 40}, got)
}
