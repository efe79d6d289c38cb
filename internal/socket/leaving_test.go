package socket

import (
	"reflect"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/event"
)

// leftAt is the event that the owner has closed its end.
func leftAt(at, sent, received uint64, finReceived bool) *event.Event {
	return &event.Event{Kind: event.KindLocalClose, Time: at, Flow: event.Flow{Cookie: 1}, Ending: event.Ending{
		FINReceived: finReceived, Position: [event.Directions]uint64{sent, received},
	}}
}

func early(e *event.Event) *event.Event {
	e.Early = true
	return e
}

func TestConversationEndsWhenItsOwnEndLeaves(t *testing.T) {
	const left, later = uint64(1000), uint64(time.Minute)
	answered := func(e *event.Ending) { e.FINReceived = true }
	answeredLater := func(e *event.Ending) { e.FINReceived, e.Left = true, true }
	timesOut := func(e *event.Ending) { e.Errno, e.LastState = 113, event.StateFinWait1 }
	for name, test := range map[string]struct {
		server        bool           // a server's end, not a client's
		before, after []*event.Event // the time in between is later
		want          []string
		at            uint64 // of the end
	}{
		"the connection goes on": {
			before: []*event.Event{sent(0, "ask>a"), leftAt(left, 5, 0, false)},
			want:   []string{`client "ask>a" at 0`, "closed with errno 0 by client true"},
			at:     left,
		},
		"the connection breaks later": {
			before: []*event.Event{sent(0, "ask>a"), leftAt(left, 5, 0, false)},
			after:  []*event.Event{closeAt(5, 0, timesOut)},
			want:   []string{`client "ask>a" at 0`, "closed with errno 0 by client true"},
			at:     left,
		},
		"the connection breaks at once": {
			before: []*event.Event{sent(0, "ask>a"), leftAt(left, 5, 0, false), closeAt(5, 0, timesOut)},
			want:   []string{`client "ask>a" at 0`, "closed with errno 0 by client true"},
			at:     left,
		},
		"the other end was first": {
			before: []*event.Event{sent(0, "ask>a"), leftAt(left, 5, 0, true)},
			want:   []string{`client "ask>a" at 0`, "closed with errno 0 by client false"},
			at:     left,
		},
		"it has shut down sending only, and the other end closes": {
			before: []*event.Event{sent(0, "ask>a"), closeAt(5, 0, answered)},
			want:   []string{`client "ask>a" at 0`, "closed with errno 0 by client false"},
			at:     20,
		},
		"it is the server's, which has shut down sending, and so ended what it answers": {
			server: true,
			before: []*event.Event{received(0, "ask>a"), closeAt(0, 5, answered)},
			want:   []string{`client "ask>a" at 0`, "closed with errno 0 by client false"},
			at:     20,
		},
		"it has closed both directions, and the other end closes": {
			before: []*event.Event{sent(0, "ask>a"), leftAt(15, 5, 0, false), closeAt(5, 0, answeredLater)},
			want:   []string{`client "ask>a" at 0`, "closed with errno 0 by client true"},
			at:     15,
		},
		"it has closed both directions, which was lost": {
			before: []*event.Event{sent(0, "ask>a"), closeAt(5, 0, answeredLater)},
			want:   []string{`client "ask>a" at 0`, "closed with errno 0 by client true"},
			at:     20,
		},
		"data that is reported later": {
			before: []*event.Event{sent(0, "ask>a"), leftAt(left, 5, 4, false), received(0, ">ans")},
			want:   []string{`client "ask>a" at 0`, `server ">ans" at 0`, "closed with errno 0 by client true"},
			at:     left,
		},
		"data that was lost": {
			before: []*event.Event{sent(0, "ask>a"), leftAt(left, 9, 0, false)},
			want:   []string{`client "ask>a" at 0`, "client 4 missing at 5", "closed with errno 0 by client true"},
			at:     left,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeard(t)
			h.parser.closers = true
			if test.server {
				h.table.Handle(serverOpen(1, 10))
				h.table.Handle(serverAccept(1, 10))
			} else {
				h.table.Handle(clientOpen(1, 10))
			}
			for _, e := range test.before {
				h.table.Handle(e)
			}
			h.table.Tick(Reading{Before: later, Wall: time.Unix(1000, 0), After: later})
			if !reflect.DeepEqual(h.parser.lines, test.want) || h.parser.ended != test.at {
				t.Errorf("the parser got\n%q until %d\nwant\n%q until %d", h.parser.lines, h.parser.ended, test.want, test.at)
			}
			for _, e := range test.after {
				h.table.Handle(e)
			}
			h.table.Tick(Reading{Before: 2 * later, Wall: time.Unix(1000, 0), After: 2 * later})
			if !reflect.DeepEqual(h.parser.lines, test.want) {
				t.Errorf("the parser got\n%q\nwant\n%q", h.parser.lines, test.want)
			}
		})
	}
}

func TestConnectionOpensWithTheEndOfItsHandshake(t *testing.T) {
	for name, test := range map[string]struct {
		events []*event.Event
		want   []string
		lines  []string
	}{
		"a client's": {
			[]*event.Event{early(clientOpen(1, 10)), sent(0, "ask>a"), clientOpen(1, 10), received(0, ">ans"), closeAt(5, 4)},
			[]string{"opened by 1", "exchanged by 1", "closed by 1"},
			[]string{`client "ask>a" at 0`, `server ">ans" at 0`, "closed with errno 0 unknown false"},
		},
		"a server's, which has to be accepted first": {
			[]*event.Event{early(serverOpen(1, 10)), serverAccept(1, 10), received(0, "ask>a"), sent(0, ">ans"), serverOpen(1, 10), closeAt(4, 5)},
			[]string{"opened by 3", "exchanged by 1", "closed by 3"},
			[]string{`client "ask>a" at 0`, `server ">ans" at 0`, "closed with errno 0 unknown false"},
		},
		"both reports at once, in the other order": {
			[]*event.Event{clientOpen(1, 10), early(clientOpen(1, 10)), sent(0, "ask>a"), closeAt(5, 0)},
			[]string{"opened by 1", "closed by 1"},
			[]string{`client "ask>a" at 0`, "closed with errno 0 unknown false"},
		},
		"one that is refused": {
			[]*event.Event{early(clientOpen(1, 10)), sent(0, "ask>a"), fail(1, 20, errnoConnRefused)},
			[]string{"failed by 1"},
			[]string{`client "ask>a" at 0`, "closed with errno 111 unknown false"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeard(t)
			for _, e := range test.events {
				h.table.Handle(e)
			}
			h.table.Tick(Reading{Before: uint64(time.Hour), Wall: time.Unix(1000, 0), After: uint64(time.Hour)})
			var got []string
			for _, r := range h.sink.reports {
				got = append(got, r.what+" by "+string(rune('0'+r.pid)))
			}
			if !reflect.DeepEqual(got, test.want) || !reflect.DeepEqual(h.parser.lines, test.lines) {
				t.Errorf("%q, and the parser got\n%q\nwant %q, and\n%q", got, h.parser.lines, test.want, test.lines)
			}
			if n := len(h.table.connections); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
}
