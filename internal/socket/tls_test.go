package socket

import (
	"slices"
	"testing"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

// securing says at the end what its first bytes were.
type securing struct {
	transcript
	facts protocol.TLS
}

func (p *securing) Data(c *protocol.Chunk) { p.facts.ServerName = string(c.Bytes) }
func (p *securing) Close(protocol.Ending) {
	p.facts.Failed = true
	p.sink.Secured(&p.facts)
}

func TestClosedConnectionHasWhatIsKnownOfTLS(t *testing.T) {
	h := newHeard(t)
	h.made = func(s *protocol.Session) protocol.Parser { return &securing{transcript: transcript{sink: s.Sink}} }
	var closed []protocol.TLS
	h.table.sink = sinkFuncs{func(*Connection) {}, func(c *Connection) {
		if c.TLS == nil {
			closed = append(closed, protocol.TLS{})
			return
		}
		closed = append(closed, *c.TLS)
	}}
	h.table.Handle(clientOpen(1, 10))
	h.table.Handle(sent(0, "ask>a"))
	h.table.Handle(closeAt(5, 0))
	h.table.Flush(99)
	h.table.Handle(clientOpen(1, 10)) // its memory is used again
	h.table.Handle(closeAt(0, 0))
	h.table.Flush(99)
	if len(closed) != 2 || closed[0].ServerName != "ask>a" || !closed[0].Failed || closed[1].ServerName != "" || closed[1].Failed {
		t.Errorf("closed with %+v", closed)
	}
}

// exchangeSink receives exchanges only.
type exchangeSink struct {
	exchanged func(*Connection, *protocol.Exchange)
}

func (s exchangeSink) Opened(*Connection) {}
func (s exchangeSink) Closed(*Connection) {}
func (s exchangeSink) Failed(*Connection) {}
func (s exchangeSink) Exchanged(c *Connection, x *protocol.Exchange, _, _ int64) {
	s.exchanged(c, x)
}

// greeting says what its first bytes were, and then has exchanges.
type greeting struct {
	transcript
	facts protocol.TLS
}

func (p *greeting) Data(c *protocol.Chunk) {
	if p.facts.ServerName == "" {
		p.facts.ServerName = string(c.Bytes)
		p.sink.Secured(&p.facts)
	}
	p.transcript.Data(c)
}

// Each layer of a connection has bytes of its own. What they say of TLS is about the layer within them.
func TestExchangesHaveTheTLSThatTheyAreIn(t *testing.T) {
	h := newHeard(t)
	h.made = func(s *protocol.Session) protocol.Parser { return &greeting{transcript: transcript{sink: s.Sink}} }
	got, first := map[string]string{}, map[string]bool{}
	h.table.sink = exchangeSink{exchanged: func(c *Connection, x *protocol.Exchange) {
		got[x.Name], first[x.Name] = "", c.FirstWithinTLS
		if c.TLS != nil {
			got[x.Name] = c.TLS.ServerName
		}
	}}
	in := func(layer uint64, e *event.Event) *event.Event {
		e.Flow.Cookie |= layer
		return e
	}
	h.table.Handle(clientOpen(1, 10))
	h.table.Handle(sent(0, "ask>plain"))
	h.table.Handle(in(event.LayerTLS, sent(0, "ask>within")))
	h.table.Handle(in(event.LayerMask, sent(0, "ask>inner")))
	h.table.Handle(received(0, ">ans plain"))
	h.table.Handle(in(event.LayerTLS, received(0, ">ans within")))
	h.table.Handle(in(event.LayerMask, received(0, ">ans inner")))
	h.table.Handle(in(event.LayerTLS, sent(10, "ask>second")))
	h.table.Handle(in(event.LayerTLS, received(11, ">ans second")))
	want := map[string]string{">ans plain": "", ">ans second": "ask>plain", ">ans within": "ask>plain", ">ans inner": "ask>within"}
	for name, secured := range want {
		if is, ok := got[name]; !ok || is != secured {
			t.Errorf("%q is in the TLS of %q (%v), want %q", name, is, ok, secured)
		}
		if want := name == ">ans within" || name == ">ans inner"; first[name] != want {
			t.Errorf("%q is the first one within its TLS: %v", name, first[name])
		}
	}
}

// Whose addresses they are is known by a record. An address that is not known is not known within TLS either.
func TestExchangesWithinTLSHaveTheirAddressesByARecord(t *testing.T) {
	for name, test := range map[string]struct {
		of     event.AddressSource // the socket's
		within bool
		want   event.AddressSource
	}{
		"plain":                      {event.AddressSourceSock, false, event.AddressSourceSock},
		"within TLS":                 {event.AddressSourceSock, true, event.AddressSourceTLSRecord},
		"plain, syscall mode":        {event.AddressSourceProc, false, event.AddressSourceProc},
		"within TLS, syscall mode":   {event.AddressSourceProc, true, event.AddressSourceTLSRecord},
		"within TLS, one is missing": {event.AddressSourceUnknown, true, event.AddressSourceUnknown},
	} {
		h := newHeard(t)
		var got []event.AddressSource
		h.table.sink = exchangeSink{exchanged: func(c *Connection, _ *protocol.Exchange) { got = append(got, c.AddressSource) }}
		open := clientOpen(1, 10)
		open.Flow.AddressSource = test.of
		h.table.Handle(open)
		for _, e := range []*event.Event{sent(0, "ask>a"), received(0, ">ans")} {
			if test.within {
				encrypted(e)
			}
			h.table.Handle(e)
		}
		if !slices.Equal(got, []event.AddressSource{test.want}) {
			t.Errorf("%s: sources %v, want %v", name, got, test.want)
		}
	}
}

// What the socket carries is not looked at once its plaintext is: it is ciphertext, or the same bytes (kTLS).
func TestWhatIsOutsideOfALayerIsNotReadTwice(t *testing.T) {
	for name, test := range map[string]struct {
		open   *event.Event
		before []*event.Event
		mute   bool
	}{
		"older than the collector": {open: existing(1, 10), mute: true},
		"its hello was lost":       {open: clientOpen(1, 10), mute: true},
		"its hello is being read":  {open: clientOpen(1, 10), before: []*event.Event{sent(0, "ask>hello")}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeard(t)
			h.table.Handle(test.open)
			for _, e := range test.before {
				h.table.Handle(e)
			}
			h.table.Handle(encrypted(sent(0, "ask>a")))
			h.table.Handle(sent(500, "ask>a"))
			outer := h.table.connections[1].layers[plain].conv
			if outer.Mute() != test.mute {
				t.Errorf("mute %v, parsed %q", outer.Mute(), h.parser.lines)
			}
		})
	}
}
