package socket

import (
	"slices"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/trace"
)

// encrypted makes an event one of the plaintext of TLS records.
func encrypted(e *event.Event, change ...func(*event.Data)) *event.Event {
	e.Flow.Cookie |= event.LayerTLS
	for _, c := range change {
		c(&e.Data)
	}
	return e
}

func TestPlaintextIsALayerOfItsConnection(t *testing.T) {
	joined := func(d *event.Data) { d.Joined = true }
	for name, test := range map[string]struct {
		open   *event.Event
		events []*event.Event
		want   []string
	}{
		"positions are the layer's own": {
			open:   clientOpen(1, 10),
			events: []*event.Event{sent(0, "hello"), received(0, "hello"), encrypted(sent(0, "ask>a")), encrypted(received(0, ">ans")), closeAt(500, 600)},
			want:   []string{`client "ask>a" at 0`, `server ">ans" at 0`, "closed with errno 0 unknown false"},
		},
		"after the connection has ended": {
			open:   clientOpen(1, 10),
			events: []*event.Event{encrypted(sent(0, "ask>a")), closeAt(500, 600), encrypted(received(0, ">ans"))},
			want:   []string{`client "ask>a" at 0`, `server ">ans" at 0`, "closed with errno 0 unknown false"},
		},
		"its first part is lost": {
			open:   clientOpen(1, 10),
			events: []*event.Event{encrypted(sent(7, "ask>b")), closeAt(500, 600)},
			want:   []string{`client "ask>b" at 7`, "closed with errno 0 unknown false"},
		},
		"its socket was known late": {
			open:   existing(1, 10),
			events: []*event.Event{encrypted(sent(7, "middle"), joined), encrypted(sent(13, "ask>a"), joined), closeAt(500, 600)},
			want:   []string{`client "ask>a" at 13`, "closed with errno 0 unknown false"},
		},
		"its records are received after the connection has ended": {
			open: clientOpen(1, 10),
			events: []*event.Event{
				encrypted(sent(0, "ask>a")), closeAt(500, 600, func(e *event.Ending) { e.Unread = 10 }), received(590, "ciphertext"), encrypted(received(0, ">ans")),
			},
			want: []string{`client "ask>a" at 0`, `server ">ans" at 0`, "closed with errno 0 unknown false"},
		},
		"a connection that was reset": {
			open:   clientOpen(1, 10),
			events: []*event.Event{encrypted(sent(0, "ask>a")), closeAt(500, 0, func(e *event.Ending) { e.Errno = errnoConnReset })},
			want:   []string{`client "ask>a" at 0`, "closed with errno 104 unknown false"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeard(t)
			h.table.Handle(test.open)
			for _, e := range test.events {
				h.table.Handle(e)
			}
			h.table.Flush(1000)
			if !slices.Equal(h.parser.lines, test.want) {
				t.Errorf("parsed %q, want %q", h.parser.lines, test.want)
			}
		})
	}
}

func TestPlaintextOfAConnectionThatIsNotTrackedIsAskedFor(t *testing.T) {
	h := newHeard(t)
	h.table.Handle(encrypted(sent(0, "ask>a")))
	if !h.wants[1].Describe || len(h.wants) != 1 {
		t.Errorf("asked for %v, want a description of socket 1", h.wants)
	}
}

func TestExchangesOfLayersHaveIDsOfTheirOwn(t *testing.T) {
	c := endAt(t, event.RoleClient, [2]uint32{}, func(trace.End) {})
	c.layerOf(encrypted(sent(0, "")))
	ids := func(l *layer) trace.Exchange { return l.idsOf(1, protocol.FromClient, 5, event.RoleClient) }
	outer, inner := ids(&c.layers[plain]), ids(&c.layers[within])
	if !inner.Joined || outer.Own == inner.Own || outer.Trace == inner.Trace {
		t.Errorf("plain %v, within TLS %v", outer, inner)
	}
	c.layers[within].joined = true
	if late := ids(&c.layers[within]); late.Joined || late.Own == inner.Own {
		t.Errorf("positions that only one end knows give %v", late)
	}
}

// The kernel has room for the plaintext of so many connections. Those that have ended are to take none of it, and one that is only not followed
// any more may speak again.
func TestPlaintextOfAConnectionThatHasEndedIsForgotten(t *testing.T) {
	for name, test := range map[string]struct {
		events []*event.Event
		want   []uint64
	}{
		"no plaintext":       {[]*event.Event{sent(0, "ask>a"), closeAt(500, 600)}, nil},
		"it has not ended":   {[]*event.Event{encrypted(sent(0, "ask>a"))}, nil},
		"it has ended":       {[]*event.Event{encrypted(sent(0, "ask>a")), closeAt(500, 600)}, []uint64{1 | event.LayerTLS}},
		"it was replaced":    {[]*event.Event{encrypted(sent(0, "ask>a")), clientOpen(2, 20), clientOpen(3, 30)}, nil},
		"TLS within another": {[]*event.Event{encrypted(sent(0, "a")), encryptedTwice(sent(0, "a")), closeAt(500, 600)}, []uint64{1 | event.LayerTLS, 1 | event.LayerMask}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeard(t)
			var ended []uint64
			h.table.opts.Sockets = 2
			h.table.opts.EndLayer = func(cookie uint64) { ended = append(ended, cookie) }
			h.table.Handle(clientOpen(1, 10))
			for _, e := range test.events {
				h.table.Handle(e)
			}
			h.table.Tick(Reading{Before: uint64(time.Minute), Wall: time.Unix(1060, 0), After: uint64(time.Minute)})
			if !slices.Equal(ended, test.want) {
				t.Errorf("forgotten: %x, want %x", ended, test.want)
			}
		})
	}
}

// encryptedTwice makes an event one of the plaintext of TLS records within TLS.
func encryptedTwice(e *event.Event) *event.Event {
	e.Flow.Cookie |= event.LayerMask
	return e
}
