package socket

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/event"
)

// TestSegmentsOfAnOpenConnectionCountOnce: as its bytes do.
func TestSegmentsOfAnOpenConnectionCountOnce(t *testing.T) {
	counted := func(n Segments) event.Ending {
		return event.Ending{SegmentsSent: n.Sent, SegmentsReceived: n.Received, Retransmits: n.Retransmits, RTT: n.RTT, MinRTT: n.MinRTT}
	}
	live := func(n Segments) *event.Event {
		return &event.Event{Kind: event.KindLive, Time: 15, Flow: event.Flow{Cookie: 1}, Ending: counted(n)}
	}
	end := func(n Segments) *event.Event {
		e := closeAt(0, 0)
		e.Ending = counted(n)
		return e
	}
	older := clientOpen(1, 10)
	older.Kind = event.KindExisting
	const most = math.MaxUint32
	uncounted := end(Segments{})
	uncounted.Ending.Uncounted = true
	for name, test := range map[string]struct {
		events []*event.Event // nil: what is open is reported
		want   []Segments     // by each report; the last one is that of its end
	}{
		"while it is open, and at its end": {
			[]*event.Event{clientOpen(1, 10), live(Segments{5, 6, 1, 30, 20}), nil, live(Segments{7, 9, 1, 31, 19}), nil, end(Segments{9, 10, 2, 32, 18})},
			[]Segments{{5, 6, 1, 30, 20}, {2, 3, 0, 31, 19}, {2, 1, 1, 32, 18}},
		},
		"times are reported once": {
			[]*event.Event{clientOpen(1, 10), live(Segments{5, 6, 1, 30, 20}), nil, nil, end(Segments{5, 6, 1, 30, 20})},
			[]Segments{{5, 6, 1, 30, 20}, {}, {RTT: 30, MinRTT: 20}},
		},
		"counts that wrap": {
			[]*event.Event{clientOpen(1, 10), live(Segments{Sent: most, Received: 1}), nil, end(Segments{Sent: 4, Received: 2})},
			[]Segments{{Sent: most, Received: 1}, {Sent: 5, Received: 1}},
		},
		"no pass has seen it":                          {[]*event.Event{clientOpen(1, 10), end(Segments{5, 6, 1, 30, 20})}, []Segments{{5, 6, 1, 30, 20}}},
		"one that is older":                            {[]*event.Event{older, live(Segments{500, 600, 10, 30, 20}), nil, end(Segments{501, 602, 10, 31, 20})}, []Segments{{0, 0, 0, 30, 20}, {1, 2, 0, 31, 20}}},
		"one that is older, and that no pass has seen": {[]*event.Event{older, end(Segments{500, 600, 10, 30, 20})}, []Segments{{0, 0, 0, 30, 20}}},
		"they are not known":                           {[]*event.Event{clientOpen(1, 10), live(Segments{}), nil, uncounted}, []Segments{{}, {}}},
		"a datagram's flow":                            {[]*event.Event{over(event.UDP, clientOpen(1, 10)), live(Segments{Sent: 3, Received: 4}), nil, over(event.UDP, end(Segments{Sent: 3, Received: 5}))}, []Segments{{}, {}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeard(t)
			var got []Segments
			h.table.sink = sinkFuncs{func(*Connection) {}, func(c *Connection) { got = append(got, c.Segments) }}
			for _, e := range test.events {
				if e != nil {
					h.table.Handle(e)
					continue
				}
				h.table.EachOpen(50, func(c *Connection) bool {
					got = append(got, c.Segments)
					return true
				})
			}
			h.table.Flush(99)
			assert.Equal(t, test.want, got)
		})
	}
}
