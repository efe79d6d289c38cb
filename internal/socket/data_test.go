package socket

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/selection"
)

// transcript is a protocol that records its calls. A client's bytes are a request, a server's bytes are a response.
type transcript struct {
	lines   []string
	sink    protocol.Sink
	start   protocol.Stamp
	closers bool   // record who ended the conversation
	ended   uint64 // when it ended
	parent  protocol.TraceContext
	export  bool // its requests export spans
	held    int
}

var directionNames = [...]string{protocol.FromClient: "client", protocol.FromServer: "server"}

func (p *transcript) Data(c *protocol.Chunk) {
	p.lines = append(p.lines, fmt.Sprintf("%s %q at %d", directionNames[c.Direction], c.Bytes, c.Position))
	if c.Direction == protocol.FromClient {
		p.start = c.Stamp
		return
	}
	p.sink.Single(&protocol.Exchange{
		Name: string(c.Bytes), Start: p.start, ResponseStart: c.Stamp, End: c.Stamp, Parent: p.parent, CarriesSpans: p.export,
	})
}

func (p *transcript) Gap(d protocol.Direction, n uint64, at protocol.Stamp, _ protocol.Loss) {
	p.lines = append(p.lines, fmt.Sprintf("%s %d missing at %d", directionNames[d], n, at.Position))
}

func (p *transcript) Close(e protocol.Ending) {
	p.ended = e.At.Time
	if p.closers {
		p.lines = append(p.lines, fmt.Sprintf("closed with errno %d by client %v", e.Errno, e.ByClient))
		return
	}
	cut := ""
	if e.Cut {
		cut = fmt.Sprintf(" cut at %d", e.At.Time)
	}
	p.lines = append(p.lines, fmt.Sprintf("closed with errno %d unknown %v%s", e.Errno, e.Unknown, cut))
}

func (p *transcript) Demand(protocol.Direction) (d protocol.Demand) { return d }
func (p *transcript) Held() int                                     { return p.held }

func detectTranscript(s *protocol.Sample) protocol.Confidence {
	for d, want := range [...]string{protocol.FromClient: "ask>", protocol.FromServer: ">ans"} {
		if b := s.Bytes[d]; len(b) > 0 && (len(b) < 4 || string(b[:4]) != want) {
			return protocol.No
		}
	}
	return protocol.Certain
}

// heard is a table whose connections speak the transcript's protocol.
type heard struct {
	table  *Table
	sink   *recorder
	parser *transcript
	made   func(*protocol.Session) protocol.Parser
	wants  map[uint64]event.Want
}

func newHeard(t *testing.T) *heard {
	h := &heard{parser: &transcript{}, wants: map[uint64]event.Want{}}
	h.made = func(*protocol.Session) protocol.Parser { return h.parser }
	h.table, h.sink = newTestTable(t, func(o *Options) {
		o.Conversations = conversation.Options{
			Protocols: []protocol.Configured{{Protocol: protocol.Protocol{
				Name: "transcript", Transports: protocol.Streams, Detect: detectTranscript,
				Start: func(*protocol.Settings) func(*protocol.Session) protocol.Parser {
					return func(c *protocol.Session) protocol.Parser {
						h.parser.sink = c.Sink
						return h.made(c)
					}
				},
			}}},
			Memory: 1 << 20,
			Want:   func(cookie uint64, w event.Want) { h.wants[cookie] = w },
		}
	})
	return h
}

// data is an event of the connection with cookie 1: bytes of a call at a position.
func data(d event.Direction, position uint64, bytes string) *event.Event {
	return &event.Event{Kind: event.KindData, Time: position + 100, Owner: owner(1), Flow: event.Flow{Cookie: 1}, Data: event.Data{
		Direction: d, Position: position, Length: uint32(len(bytes)), Payload: []byte(bytes),
	}}
}

func sent(position uint64, bytes string) *event.Event { return data(event.Sent, position, bytes) }

func received(position uint64, bytes string) *event.Event {
	return data(event.Received, position, bytes)
}

func closeAt(sent, received uint64, change ...func(*event.Ending)) *event.Event {
	e := clientClose(1, 10, 20)
	e.Ending.BytesSent, e.Ending.BytesReceived = sent, received
	e.Ending.Position = [event.Directions]uint64{sent, received}
	for _, c := range change {
		c(&e.Ending)
	}
	return e
}

func TestDataIsHandedToItsConversation(t *testing.T) {
	for name, test := range map[string]struct {
		open   *event.Event // nil: a client's
		events []*event.Event
		want   []string
	}{
		"a client's, up to the end": {
			events: []*event.Event{sent(0, "ask>a"), received(0, ">ans"), closeAt(5, 4)},
			want:   []string{`client "ask>a" at 0`, `server ">ans" at 0`, "closed with errno 0 unknown false"},
		},
		"a server's own": {
			open:   serverOpen(1, 10),
			events: []*event.Event{received(0, "ask>a"), sent(0, ">ans"), closeAt(4, 5)},
			want:   []string{`client "ask>a" at 0`, `server ">ans" at 0`, "closed with errno 0 unknown false"},
		},
		"a Unix socket's": {
			open:   over(event.UnixStream, clientOpen(1, 10)),
			events: []*event.Event{sent(0, "ask>a"), over(event.UnixStream, closeAt(5, 0))},
			want:   []string{`client "ask>a" at 0`, "closed with errno 0 unknown false"},
		},
		"no UDP flow's": {
			open:   over(event.UDP, clientOpen(1, 10)),
			events: []*event.Event{sent(0, "ask>a"), over(event.UDP, closeAt(5, 0))},
		},
		"what was joined in the middle": {
			open:   existing(1, 10),
			events: []*event.Event{sent(7, "middle"), sent(13, "ask>a"), closeAt(18, 0)},
			want:   []string{`client "ask>a" at 13`, "closed with errno 0 unknown false"},
		},
		"a connection that was reset": {
			events: []*event.Event{sent(0, "ask>a"), closeAt(5, 0, func(e *event.Ending) { e.Errno = errnoConnReset })},
			want:   []string{`client "ask>a" at 0`, "closed with errno 104 unknown false"},
		},
		"a connection that was reset, by its error of writing": {
			events: []*event.Event{sent(0, "ask>a"), closeAt(5, 0, func(e *event.Ending) { e.Errno = errnoPipe })},
			want:   []string{`client "ask>a" at 0`, "closed with errno 104 unknown false"},
		},
		"a client's that the server closed, and then reset what it was sent": {
			events: []*event.Event{sent(0, "ask>a"), closeAt(5, 0, func(e *event.Ending) {
				e.LastState, e.FINReceived, e.Errno = event.StateCloseWait, true, errnoPipe
			})},
			want: []string{`client "ask>a" at 0`, "closed with errno 0 unknown false"},
		},
		"a server's that the client half closed, and then reset": {
			open: serverOpen(1, 10),
			events: []*event.Event{received(0, "ask>a"), closeAt(0, 5, func(e *event.Ending) {
				e.LastState, e.FINReceived, e.Errno = event.StateCloseWait, true, errnoPipe
			})},
			want: []string{`client "ask>a" at 0`, "closed with errno 104 unknown false"},
		},
		"a connection that timed out": {
			events: []*event.Event{sent(0, "ask>a"), closeAt(5, 0, func(e *event.Ending) { e.Errno = errnoTimedOut })},
			want:   []string{`client "ask>a" at 0`, "closed with errno 110 unknown false"},
		},
		"data that is reported after the end": {
			events: []*event.Event{sent(0, "ask>a"), closeAt(5, 4), received(0, ">ans")},
			want:   []string{`client "ask>a" at 0`, `server ">ans" at 0`, "closed with errno 0 unknown false"},
		},
		"data that is received after the end": {
			events: []*event.Event{
				sent(0, "ask>a"), closeAt(5, 4, func(e *event.Ending) { e.Unread, e.Position[event.Received] = 5, 0 }),
				{Kind: event.KindNone, Time: uint64(acceptWait) / 2}, received(0, ">ans"),
			},
			want: []string{`client "ask>a" at 0`, `server ">ans" at 0`, "closed with errno 0 unknown false"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeard(t)
			if test.open == nil {
				test.open = clientOpen(1, 10)
			}
			for _, e := range append([]*event.Event{test.open}, test.events...) {
				if e.Kind == event.KindNone {
					h.table.Tick(Reading{Before: e.Time, Wall: time.Unix(1000, 0), After: e.Time})
				} else {
					h.table.Handle(e)
				}
			}
			h.table.Tick(Reading{Before: uint64(time.Hour), Wall: time.Unix(1000, 0), After: uint64(time.Hour)})
			if !reflect.DeepEqual(h.parser.lines, test.want) {
				t.Errorf("the parser got\n%q\nwant\n%q", h.parser.lines, test.want)
			}
			if n := len(h.table.connections); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
}

func TestDataOfUnknownConnectionAsksForItsDescription(t *testing.T) {
	h := newHeard(t)
	h.table.Handle(&event.Event{Kind: event.KindData, Flow: event.Flow{Cookie: 99}})
	if w := h.wants[99]; !w.Describe || w.Until != [event.Directions]uint64{} || h.table.Stats().Strays.Load() != 1 {
		t.Errorf("wanted %+v, want a description; %d strays", w, h.table.Stats().Strays.Load())
	}
}

// TestEvictedConnectionThatSpeaksAgainIsJoined: the kernel describes it before its next bytes. A second description says nothing new.
func TestEvictedConnectionThatSpeaksAgainIsJoined(t *testing.T) {
	h := newHeard(t)
	h.table.opts.Sockets = 1
	for _, e := range []*event.Event{clientOpen(1, 10), sent(0, "ask>a"), received(0, ">ans"), clientOpen(2, 11)} {
		h.table.Handle(e)
	}
	if w := h.wants[1]; !w.Describe {
		t.Errorf("of the evicted connection the kernel was asked for %+v, want a description", w)
	}
	h.parser.lines = nil
	described := existing(1, 300)
	described.Started, described.Ending.Position = 300, [event.Directions]uint64{5, 4}
	for _, e := range []*event.Event{described, sent(5, "ask>b"), described, received(4, ">ans"), closeAt(10, 8)} {
		h.table.Handle(e)
	}
	h.table.Tick(Reading{Before: uint64(time.Hour), Wall: time.Unix(1000, 0), After: uint64(time.Hour)})
	if want := []string{`client "ask>b" at 5`, `server ">ans" at 4`, "closed with errno 0 unknown false"}; !reflect.DeepEqual(h.parser.lines, want) {
		t.Errorf("the parser got\n%q\nwant\n%q", h.parser.lines, want)
	}
	want := []string{
		"opened by 1 capture 0 end {0 0}", "exchanged by 1 capture 0 end {0 0}", "opened by 1 capture 0 end {0 0}",
		"opened by 1 capture 2 end {0 0}", "exchanged by 1 capture 2 end {0 0}", "closed by 1 capture 2 end {1 1}",
	}
	if got := h.sink.emitted(); !reflect.DeepEqual(got, want) {
		t.Errorf("emitted\n%q\nwant\n%q", got, want)
	}
	if r := h.sink.reports; r[0].id == r[3].id || r[3].id != r[5].id {
		t.Errorf("identities %x, want one before the eviction and another after it", r)
	}
	if n := h.table.Stats().Lost.Load(); n != 0 {
		t.Errorf("%d bytes are counted as lost, want none", n)
	}
}

// A program may read what has come before the end when that has been emitted.
func TestConnectionThatHasEndedIsNotJoinedByItsLastBytes(t *testing.T) {
	h := newHeard(t)
	for _, e := range []*event.Event{clientOpen(1, 10), sent(0, "what is that?"), closeAt(13, 0)} {
		h.table.Handle(e)
	}
	h.table.Tick(Reading{Before: uint64(time.Hour), Wall: time.Unix(1000, 0), After: uint64(time.Hour)})
	delete(h.wants, 1)
	h.table.Handle(received(0, "the rest"))
	if w, asked := h.wants[1]; asked || h.table.Stats().Strays.Load() != 1 {
		t.Errorf("wanted %+v; %d strays", w, h.table.Stats().Strays.Load())
	}
	h.table.Handle(clientOpen(1, 1e9)) // the socket connects again, and its open is lost
	h.table.evict(h.table.connections[1], 2e9)
	h.table.Handle(received(0, "more"))
	if w := h.wants[1]; !w.Describe {
		t.Errorf("wanted %+v, want a description", w)
	}
}

func TestConnectionOfNoUseIsNotAskedForWhenEvicted(t *testing.T) {
	h := newHeard(t)
	h.table.opts.Sockets = 1
	for _, e := range []*event.Event{clientOpen(1, 10), sent(0, "what is that?"), clientOpen(2, 11)} {
		h.table.Handle(e)
	}
	if w := h.wants[1]; w.Describe || w.Until != [event.Directions]uint64{event.Never, event.Never} {
		t.Errorf("of a connection that was given up %+v is wanted", w)
	}
}

func TestRoleComesFromTheConversationIfNothingBetterShowsIt(t *testing.T) {
	for name, test := range map[string]struct {
		role   event.Role
		source event.RoleSource
		want   event.RoleSource
	}{
		"not known":                 {event.RoleUnknown, event.RoleSourceUnknown, event.RoleSourceProtocol},
		"from the first datagram":   {event.RoleClient, event.RoleSourceFirst, event.RoleSourceProtocol},
		"and that one was right":    {event.RoleServer, event.RoleSourceFirst, event.RoleSourceFirst},
		"who listens is known best": {event.RoleServer, event.RoleSourceListener, event.RoleSourceListener},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeard(t)
			var closed Connection
			h.table.sink = sinkFuncs{func(*Connection) {}, func(c *Connection) { closed = *c }}
			h.table.Handle(&event.Event{Kind: event.KindOpen, Time: 10, Owner: owner(1), Started: 10, Flow: flowOf(1, test.role, test.source)})
			h.table.Handle(received(0, "ask>a"))
			h.table.Handle(closeAt(0, 5))
			h.table.Flush(99)
			if closed.Role != event.RoleServer || closed.RoleSource != test.want {
				t.Errorf("role %d by source %d", closed.Role, closed.RoleSource)
			}
		})
	}
}

func TestExchangeIsEmittedUnderTheProcessThatStartedIt(t *testing.T) {
	h := newHeard(t)
	h.table.Handle(serverOpen(1, 10)) // of listener 2; the accept was not seen
	e := received(0, "ask>a")
	e.Owner = process.ID{PID: 5, Start: 7}
	h.table.Handle(e)
	e = sent(0, ">ans")
	e.Owner = process.ID{PID: 6, Start: 7}
	h.table.Handle(e)
	want := []string{"opened by 5 capture 0 end {0 0}", "exchanged by 5 capture 0 end {0 0}"}
	if got := h.sink.emitted(); !reflect.DeepEqual(got, want) {
		t.Errorf("emitted %q, want %q", got, want)
	}
}

func TestConversationIsCutWhenItsConnectionIsNotFollowedAnyMore(t *testing.T) {
	for name, c := range map[string]struct {
		stop func(*Table)
		want string
	}{
		"observation ends":  {func(table *Table) { table.Flush(99) }, "closed with errno 0 unknown true cut at 99"},
		"the table is full": {func(table *Table) { table.opts.Sockets = 1; table.Handle(clientOpen(2, 60)) }, "closed with errno 0 unknown true cut at 60"},
		"its end was lost": {
			func(table *Table) { table.Forget(90, func(event.Transport, uint32) bool { return true }) },
			"closed with errno 0 unknown true",
		},
	} {
		h := newHeard(t)
		h.table.Handle(clientOpen(1, 10))
		h.table.Handle(sent(0, "ask>a"))
		c.stop(h.table)
		want := []string{`client "ask>a" at 0`, c.want}
		if !reflect.DeepEqual(h.parser.lines, want) {
			t.Errorf("%s: the parser got %q, want %q", name, h.parser.lines, want)
		}
	}
}

func TestConnectionWhoseOtherEndIsOwnIsLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		answers  [][2]bool // yes, sure; the last one holds
		want     []string
		counted  uint64
		accepted bool
	}{
		"no":            {[][2]bool{{false, true}}, []string{"opened", "exchanged", "closed"}, 0, false},
		"yes":           {[][2]bool{{true, true}}, nil, 1, false},
		"yes, later":    {[][2]bool{{false, false}, {true, true}}, []string{"opened"}, 1, false},
		"never sure":    {[][2]bool{{false, false}}, []string{"opened", "exchanged", "closed"}, 0, false},
		"yes, a server": {[][2]bool{{true, true}}, nil, 1, true},
	} {
		h := newHeard(t)
		asked := 0
		h.table.opts.OtherEndIsOwn = func(f *event.Flow, at uint64) (yes, sure bool) {
			if f.Cookie != 1 || at != 10 {
				t.Errorf("%s: asked about %d at %d", name, f.Cookie, at)
			}
			answer := c.answers[min(asked, len(c.answers)-1)]
			asked++
			return answer[0], answer[1]
		}
		if c.accepted {
			for _, e := range []*event.Event{serverOpen(1, 10), serverAccept(1, 11), received(0, "ask>a"), sent(0, ">ans"), serverClose(1, 10, 20)} {
				h.table.Handle(e)
			}
		} else {
			for _, e := range []*event.Event{clientOpen(1, 10), sent(0, "ask>a"), received(0, ">ans"), clientClose(1, 10, 20)} {
				h.table.Handle(e)
			}
		}
		h.table.Flush(99)
		var got []string
		for _, line := range h.sink.emitted() {
			kind, _, _ := strings.Cut(line, " ")
			got = append(got, kind)
		}
		if !reflect.DeepEqual(got, c.want) || h.table.Stats().OtherEnds.Load() != c.counted {
			t.Errorf("%s: emitted %q, want %q; %d counted", name, got, c.want, h.table.Stats().OtherEnds.Load())
		}
		if c.answers[0][1] && asked != 1 {
			t.Errorf("%s: asked %d times", name, asked)
		}
	}
}

func TestConnectionKnowsOfExchangesThatAreLeftOut(t *testing.T) {
	h := newHeard(t)
	var closed Connection
	h.table.sink = sinkFuncs{func(*Connection) {}, func(c *Connection) { closed = *c }}
	h.table.Handle(clientOpen(1, 10))
	h.table.connections[1].layers[plain].Omit(&protocol.Exchange{})
	h.table.Handle(clientClose(1, 10, 20))
	h.table.Flush(99)
	if closed.Exchanges != 1 {
		t.Errorf("%d exchanges", closed.Exchanges)
	}
}

// TestPayloadOfConnectionsThatAreNotObservedIsNotParsed, so that it is in no recording.
func TestPayloadOfConnectionsThatAreNotObservedIsNotParsed(t *testing.T) {
	chosen, err := selection.New([]selection.Rule{{RemotePort: ports.Range{Low: 515, High: 515}}})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		open *event.Event
		want bool
	}{
		"observed":     {clientOpen(1, 10), true},
		"not known":    {clientOpen(2, 10), false},
		"another port": {otherPort(clientOpen(1, 10)), false},
	} {
		h := newHeard(t)
		h.table.opts.Selection = chosen
		h.table.Handle(test.open)
		for range 2 {
			h.table.Handle(sent(0, "ask>a"))
			assert.Equal(t, test.want, h.table.Parsed(), name)
		}
	}
	h := newHeard(t)
	h.table.Handle(clientOpen(1, 10))
	h.table.Handle(sent(0, "ask>a"))
	end := closeAt(5, 4)
	end.Ending.Unread = 4
	h.table.Handle(end)
	h.table.Handle(received(0, ">ans"))
	assert.True(t, h.table.Parsed(), "the last data of a connection, with which it is emitted")
}

func otherPort(e *event.Event) *event.Event {
	e.Flow.Remote = netip.AddrPortFrom(e.Flow.Remote.Addr(), e.Flow.Remote.Port()+1)
	return e
}

func TestNoAllocationPerData(t *testing.T) {
	h := newHeard(t)
	h.table.sink = sinkFuncs{func(*Connection) {}, func(*Connection) {}}
	h.made = func(*protocol.Session) protocol.Parser { return deaf{} }
	h.table.Handle(clientOpen(1, 10))
	h.table.Handle(sent(0, "ask>a"))
	e, position := sent(5, "ask>b"), uint64(5)
	if n := testing.AllocsPerRun(1000, func() {
		e.Data.Position = position
		h.table.Handle(e)
		position += uint64(e.Data.Length)
	}); n != 0 {
		t.Errorf("%v allocations per event", n)
	}
}

// deaf is a parser that does nothing.
type deaf struct{}

func (deaf) Data(*protocol.Chunk)                                          {}
func (deaf) Gap(protocol.Direction, uint64, protocol.Stamp, protocol.Loss) {}
func (deaf) Close(protocol.Ending)                                         {}
func (deaf) Demand(protocol.Direction) (d protocol.Demand)                 { return d }
func (deaf) Held() int                                                     { return 0 }
