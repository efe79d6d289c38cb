package socket

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/socketflow/socketflow/internal/event"
)

func TestFullTableEvictsTheOldestConnection(t *testing.T) {
	table, sink := newTestTable(t, func(o *Options) { o.Sockets = 2 })
	for cookie := range uint64(5) {
		table.Handle(clientOpen(cookie+1, 10+cookie))
	}
	if n := table.Stats().EvictedFull.Load(); n != 3 {
		t.Errorf("%d evictions counted, want 3", n)
	}
	if n := len(table.connections); n != 2 {
		t.Errorf("%d connections in a table of 2", n)
	}
	sink.reports = nil
	table.Handle(clientClose(1, 10, 20)) // evicted: emitted nevertheless, as a gap
	table.Handle(clientClose(5, 14, 20))
	want := []string{"closed by 1 capture 1 end {1 1}", "closed by 1 capture 0 end {1 1}"}
	if got := sink.emitted(); !reflect.DeepEqual(got, want) {
		t.Errorf("emitted %q, want %q", got, want)
	}
}

// TestLeastRecentlyUsedConnectionOfTheTransportGivesWay: each transport has its own bound. Data is use, and so is a report with more
// bytes than before.
func TestLeastRecentlyUsedConnectionOfTheTransportGivesWay(t *testing.T) {
	for name, test := range map[string]struct {
		events []*event.Event
		want   []uint64 // cookies that are left, of at most two of each transport
	}{
		"a flood of UDP flows": {
			events: []*event.Event{
				clientOpen(1, 10), clientOpen(2, 11), over(event.UnixStream, clientOpen(3, 12)), over(event.UDP, clientOpen(4, 13)),
				over(event.UDP, clientOpen(5, 14)), over(event.UDP, clientOpen(6, 15)),
			},
			want: []uint64{1, 2, 3, 5, 6},
		},
		"the older one carries data": {
			events: []*event.Event{clientOpen(1, 10), clientOpen(2, 11), at(2e9, sent(0, "ask>a")), clientOpen(3, 3e9)},
			want:   []uint64{1, 3},
		},
		"the older one has carried more": {
			events: []*event.Event{
				over(event.UDP, clientOpen(1, 10)), over(event.UDP, clientOpen(2, 11)), at(2e9, live(1, 7)), at(2e9, live(2, 0)),
				over(event.UDP, clientOpen(3, 3e9)),
			},
			want: []uint64{1, 3},
		},
	} {
		table, _ := newTestTable(t, func(o *Options) { o.Sockets = 2 })
		for _, e := range test.events {
			table.Handle(e)
		}
		if left := slices.Sorted(maps.Keys(table.connections)); !slices.Equal(left, test.want) {
			t.Errorf("%s: %v are left, want %v", name, left, test.want)
		}
		if n := table.Stats().EvictedFull.Load(); n != 1 {
			t.Errorf("%s: %d evictions counted, want 1", name, n)
		}
	}
}

func at(time uint64, e *event.Event) *event.Event {
	e.Time = time
	return e
}

func live(cookie, sent uint64) *event.Event {
	return &event.Event{Kind: event.KindLive, Time: 60, Flow: event.Flow{Cookie: cookie}, Ending: event.Ending{BytesSent: sent}}
}

func TestForgetDropsConnectionsNotReportedAlive(t *testing.T) {
	table, _ := newTestTable(t, nil)
	table.Handle(clientOpen(1, 10))
	table.Handle(clientOpen(2, 11))
	table.Handle(clientOpen(3, 100)) // after the scan
	table.Handle(&event.Event{Kind: event.KindLive, Time: 60, Flow: event.Flow{Cookie: 2}})
	table.Forget(50, everywhere)
	if table.connections[1] != nil || table.connections[2] == nil || table.connections[3] == nil {
		t.Errorf("left: %v", table.connections)
	}
	if n := table.Stats().EvictedLost.Load(); n != 1 {
		t.Errorf("%d lost closes counted, want 1", n)
	}
}

func TestForgetEmitsTheCloseOfPolledTransports(t *testing.T) {
	for _, transport := range []event.Transport{event.UnixStream, event.UDP} {
		table, sink := newTestTable(t, nil)
		var bytes uint64
		table.sink = sinkFuncs{func(*Connection) {}, func(c *Connection) { sink.Closed(c); bytes = c.Stats.BytesSent }}
		table.Handle(over(transport, clientOpen(1, 10)))
		table.Handle(&event.Event{Kind: event.KindLive, Time: 60, Flow: event.Flow{Cookie: 1}, Ending: event.Ending{BytesSent: 77}})
		table.Forget(50, everywhere)
		if len(sink.reports) != 0 {
			t.Errorf("transport %d: emitted %q of a living connection", transport, sink.emitted())
		}
		table.Forget(70, everywhere)
		if transport == event.UDP {
			if len(sink.reports) != 0 {
				t.Errorf("emitted %q of a flow that one walk has not met", sink.emitted())
			}
			table.Forget(80, everywhere)
		}
		if got, want := sink.emitted(), []string{"closed by 1 capture 0 end {0 0}"}; !reflect.DeepEqual(got, want) || bytes != 77 {
			t.Errorf("transport %d: emitted %q with %d bytes, want %q with 77", transport, got, bytes, want)
		}
		if n := table.Stats().TrackedBy[transport].Load(); n != 0 {
			t.Errorf("transport %d: %d connections are counted", transport, n)
		}
		table.Handle(over(transport, clientClose(1, 10, 90))) // it was there all the same
		if len(sink.reports) != 1 {
			t.Errorf("transport %d: emitted %q", transport, sink.emitted())
		}
	}
}

// A walk that meets a flow again counts from the beginning.
func TestForgetWantsAFlowMissingTwiceInARow(t *testing.T) {
	table, sink := newTestTable(t, nil)
	table.Handle(over(event.UDP, clientOpen(1, 10)))
	sink.reports = nil
	for i := range uint64(5) {
		at := 100 * (i + 1)
		table.Forget(at, everywhere)
		table.Handle(&event.Event{Kind: event.KindLive, Time: at + 10, Flow: event.Flow{Cookie: 1}})
	}
	if len(sink.reports) != 0 {
		t.Errorf("emitted %q", sink.emitted())
	}
}

func everywhere(event.Transport, uint32) bool { return true }

func TestForgetKeepsConnectionsThatTheScanDidNotCover(t *testing.T) {
	table, sink := newTestTable(t, nil)
	table.Handle(clientOpen(1, 10))
	table.Handle(over(event.UnixStream, clientOpen(2, 10)))
	table.Forget(50, func(transport event.Transport, netns uint32) bool { return transport == event.UDP || netns == 12345 })
	if emitted := sink.emitted(); len(table.connections) != 2 || len(emitted) != 2 { // opened, both
		t.Errorf("left: %v, emitted %q", table.connections, emitted)
	}
}

func TestMemoryOfAFloodIsGivenBack(t *testing.T) {
	const flood = 3 * spareConnections
	table, _ := newTestTable(t, func(o *Options) { o.Sockets = flood })
	for cookie := uint64(1); cookie <= flood; cookie++ {
		table.Handle(clientOpen(cookie, 10))
	}
	for cookie := uint64(1); cookie <= flood; cookie++ {
		table.Handle(clientClose(cookie, 10, 20))
	}
	if kept := table.free.Len(); kept != spareConnections {
		t.Errorf("%d connections are kept, want %d", kept, spareConnections)
	}
}
