package socket

import (
	"testing"

	"github.com/socketflow/socketflow/internal/event"
)

// initial sets the sequence numbers with which a connection began.
func initial(e *event.Event, sent, received uint32) *event.Event {
	e.Flow.Initial = [event.Directions]uint32{sent, received}
	return e
}

func kernelCookies(o *Options) { o.KernelCookies = true }

// Each case is a connection as one table saw it, and as the next one finds it.
func TestConnectionIDSurvivesARestart(t *testing.T) {
	cases := map[string]struct {
		change       func(*Options)
		before, next []*event.Event
		same         bool
	}{
		"TCP": {kernelCookies,
			[]*event.Event{initial(clientOpen(1, 10), 5, 6)},
			[]*event.Event{initial(existing(1, 900), 5, 6)}, true},
		"TCP, its open was lost": {kernelCookies,
			[]*event.Event{initial(existing(1, 900), 5, 6)},
			[]*event.Event{initial(existingClose(1, 950), 5, 6)}, true},
		"a socket that connects again": {kernelCookies,
			[]*event.Event{initial(clientOpen(1, 10), 5, 6)},
			[]*event.Event{initial(existing(1, 900), 7, 6)}, false},
		"Unix": {kernelCookies,
			[]*event.Event{over(event.UnixStream, clientOpen(1, 10))},
			[]*event.Event{over(event.UnixStream, clientOpen(1, 900))}, true},
		"Unix, by a number of the collector": {nil,
			[]*event.Event{over(event.UnixStream, clientOpen(1, 10))},
			[]*event.Event{over(event.UnixStream, clientOpen(1, 900))}, false},
		"older than the collector, by a number of the collector": {nil,
			[]*event.Event{existing(1, 10)},
			[]*event.Event{existing(1, 900)}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var ids [2]uint64
			for i, events := range [][]*event.Event{c.before, c.next} {
				table, sink := newTestTable(t, c.change)
				for _, e := range events {
					table.Handle(e)
				}
				table.Flush(second)
				table.Tick(Reading{Before: second, Wall: table.now, After: second})
				if len(sink.reports) == 0 {
					t.Fatal("nothing was emitted")
				}
				ids[i] = sink.reports[0].id
			}
			if (ids[0] == ids[1]) != c.same {
				t.Errorf("ids %x and %x", ids[0], ids[1])
			}
		})
	}
}

func TestSerialsDiffer(t *testing.T) {
	table, sink := newTestTable(t, func(o *Options) { o.KernelCookies, o.Sockets = true, 1 })
	for range 2 { // the second time, it was evicted in between
		table.Handle(initial(existing(1, 10), 5, 6))
		table.Handle(initial(existing(2, 10), 7, 8))
	}
	table.Handle(fail(3, 20, 111))
	serials := map[uint64]bool{}
	for _, r := range sink.reports {
		serials[r.serial] = true
	}
	if len(serials) != 5 {
		t.Errorf("%d serials in %+v", len(serials), sink.reports)
	}
}
