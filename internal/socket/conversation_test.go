package socket

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
)

// transcript is a protocol that is recognised by its first two bytes, ask> or >ans, and writes down what it is told. A
// request "ask>skip" makes it skip a hundred thousand bytes of the response, "ask>ever" all of them.
type transcript struct {
	lines  []string
	skip   uint64
	enough int
	sink   protocol.Sink
	start  protocol.Mark
}

var directionNames = [...]string{protocol.FromClient: "client", protocol.FromServer: "server"}

func (p *transcript) Data(c *protocol.Chunk) {
	p.lines = append(p.lines, fmt.Sprintf("%s %q at %d", directionNames[c.Direction], c.Bytes, c.Position))
	if c.Direction == protocol.FromClient {
		p.start = c.Mark
		switch string(c.Bytes) {
		case "ask>skip":
			p.skip = 100_000
		case "ask>head":
			p.enough = 10
		case "ask>ever":
			p.skip = protocol.Forever
		}
		return
	}
	p.sink.Exchanged(&protocol.Exchange{Name: string(c.Bytes), Start: p.start, End: c.Mark})
}

func (p *transcript) Gap(d protocol.Direction, n uint64, at protocol.Mark, why protocol.Loss) {
	words := [...]string{protocol.Skipped: "skipped", protocol.Truncated: "truncated", protocol.Lost: "lost"}
	p.lines = append(p.lines, fmt.Sprintf("%s %d %s at %d until %d", directionNames[d], n, words[why], at.Position, at.Time))
}

func (p *transcript) Close(e protocol.Ending) {
	reason := ""
	if e.Errno != 0 {
		reason = fmt.Sprint("errno ", e.Errno)
	}
	p.lines = append(p.lines, fmt.Sprintf("closed %q unknown %v", reason, e.Unknown))
}

func (p *transcript) Enough(d protocol.Direction) int {
	if d == protocol.FromServer {
		return p.enough
	}
	return 0
}

func (p *transcript) Skip(d protocol.Direction) uint64 {
	if d == protocol.FromServer {
		return p.skip
	}
	return 0
}

func detectTranscript(d protocol.Direction, b []byte, _ bool) protocol.Verdict {
	want := [...]string{protocol.FromClient: "ask>", protocol.FromServer: ">ans"}[d]
	n := min(len(b), len(want))
	switch {
	case string(b[:n]) != want[:n]:
		return protocol.No
	case n < len(want):
		return protocol.Maybe
	default:
		return protocol.Yes
	}
}

// heard is one event of a conversation.
type heard struct {
	table  *Table
	sink   *recorder
	parser *transcript
	joined bool
	wants  []event.Want
}

func newHeard(t *testing.T) *heard {
	h := &heard{parser: &transcript{}}
	h.table, h.sink = newTestTable(t, func(o *Options) {
		o.Protocols = []protocol.Protocol{{
			Name: "transcript", Detect: detectTranscript,
			New: func(c protocol.Conversation) protocol.Parser {
				h.joined, h.parser.sink = c.Joined, c.Sink
				return h.parser
			},
		}}
		o.Want = func(_ uint64, w event.Want) { h.wants = append(h.wants, w) }
		o.PayloadLimit, o.PayloadRun = 1000, 2000
	})
	return h
}

// data is an event of the connection with cookie 1: bytes of a call at a position, whole or as changes say.
func data(d event.Direction, position uint64, bytes string, changes ...func(*event.Data)) *event.Event {
	e := &event.Event{Kind: event.KindData, Time: position + 100, Owner: owner(1), Flow: event.Flow{Cookie: 1}, Data: event.Data{
		Direction: d, Position: position, Length: uint32(len(bytes)), Payload: []byte(bytes),
	}}
	for _, change := range changes {
		change(&e.Data)
	}
	return e
}

func sent(position uint64, bytes string, changes ...func(*event.Data)) *event.Event {
	return data(event.Sent, position, bytes, changes...)
}

func received(position uint64, bytes string, changes ...func(*event.Data)) *event.Event {
	return data(event.Received, position, bytes, changes...)
}

// cut has n more bytes transferred than captured.
func cut(n uint32, why event.Missing) func(*event.Data) {
	return func(d *event.Data) { d.Length += n; d.Missing = why }
}

// after says why what was before has not been told, and when the last of it was transferred.
func after(why event.Missing, silent uint64) func(*event.Data) {
	return func(d *event.Data) { d.Missed, d.Silent = why, silent }
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

func TestConversation(t *testing.T) {
	for name, test := range map[string]struct {
		open   *event.Event // nil: a client's
		events []*event.Event
		joined bool
		want   []string
	}{
		"bytes in both directions, and the end": {
			events: []*event.Event{sent(0, "ask>a"), received(0, ">ans"), sent(5, "ask>b"), closeAt(10, 4)},
			want: []string{
				`client "ask>a" at 0`, `server ">ans" at 0`, `client "ask>b" at 5`, `closed "" unknown false`,
			},
		},
		"a server's own": {
			open:   serverOpen(1, 10),
			events: []*event.Event{received(0, "ask>a"), sent(0, ">ans"), closeAt(4, 5)},
			want:   []string{`client "ask>a" at 0`, `server ">ans" at 0`, `closed "" unknown false`},
		},
		"either side's, when the bytes tell them apart": {
			open: &event.Event{Kind: event.KindOpen, Time: 10, Owner: owner(1), Started: 10,
				Flow: flowOf(1, event.RoleUnknown, event.RoleSourceUnknown)},
			events: []*event.Event{received(0, "ask>a"), sent(0, ">ans"), closeAt(4, 5)},
			want:   []string{`client "ask>a" at 0`, `server ">ans" at 0`, `closed "" unknown false`},
		},
		"the first bytes one by one": {
			events: []*event.Event{sent(0, "a"), sent(1, "s"), sent(2, "k>"), sent(4, "a"), closeAt(5, 0)},
			want: []string{
				`client "a" at 0`, `client "s" at 1`, `client "k>" at 2`, `client "a" at 4`, `closed "" unknown false`,
			},
		},
		"a response that is reported before its request": {
			events: []*event.Event{received(0, ">ans"), sent(0, "ask>a"), closeAt(5, 4)},
			want:   []string{`server ">ans" at 0`, `client "ask>a" at 0`, `closed "" unknown false`},
		},
		"what is beyond a call's limit": {
			events: []*event.Event{sent(0, "ask>a", cut(95, event.MissingLimit)), sent(100, "ask>b"), closeAt(105, 0)},
			want: []string{
				`client "ask>a" at 0`, "client 95 truncated at 5 until 100", `client "ask>b" at 100`,
				`closed "" unknown false`,
			},
		},
		"what the ring buffer had no room for": {
			events: []*event.Event{sent(0, "ask>a"), sent(50, "ask>b", after(event.MissingRingFull, 0)), closeAt(55, 0)},
			want: []string{
				`client "ask>a" at 0`, "client 45 lost at 5 until 150", `client "ask>b" at 50`, `closed "" unknown false`,
			},
		},
		"what was transferred behind the hooks": {
			events: []*event.Event{sent(0, "ask>a"), sent(50, "ask>b"), closeAt(55, 0)},
			want: []string{
				`client "ask>a" at 0`, "client 45 lost at 5 until 150", `client "ask>b" at 50`, `closed "" unknown false`,
			},
		},
		"what was lost before the end": {
			events: []*event.Event{sent(0, "ask>a"), closeAt(55, 30)},
			want: []string{
				`client "ask>a" at 0`, "client 50 lost at 5 until 20", "server 30 lost at 0 until 20",
				`closed "" unknown false`,
			},
		},
		"what the parser did not need": {
			events: []*event.Event{
				sent(0, "ask>skip"), received(0, ">ans"),
				received(100_000, "rest", func(d *event.Data) { d.Skipped, d.Length, d.Silent = 4, 8, 77 }),
				closeAt(8, 100_008),
			},
			want: []string{
				`client "ask>skip" at 0`, `server ">ans" at 0`, "server 99996 skipped at 4 until 77",
				"server 4 skipped at 100000 until 100100", `server "rest" at 100004`, `closed "" unknown false`,
			},
		},
		"bytes that came twice, once": {
			events: []*event.Event{sent(0, "ask>abc"), sent(5, "bcd"), sent(2, "k>a"), closeAt(8, 0)},
			want:   []string{`client "ask>abc" at 0`, `client "d" at 7`, `closed "" unknown false`},
		},
		"what speaks something else not": {
			events: []*event.Event{sent(0, "hello"), received(0, ">ans"), closeAt(5, 4)},
		},
		"what was joined in the middle, once it is recognised": {
			open: existing(1, 10),
			events: []*event.Event{
				sent(7, "middle"), received(3, "of some"), sent(13, "ask>a"), received(10, ">ans"), closeAt(18, 14),
			},
			joined: true,
			want: []string{
				`client "ask>a" at 13`, `server ">ans" at 10`, `closed "" unknown false`,
			},
		},
		"a beginning that was lost as joined in the middle": {
			events: []*event.Event{sent(7, "ask>a", after(event.MissingRingFull, 0)), received(0, ">ans"), closeAt(12, 4)},
			joined: true,
			want:   []string{`client "ask>a" at 7`, `server ">ans" at 0`, `closed "" unknown false`},
		},
		"a connection that was reset": {
			events: []*event.Event{sent(0, "ask>a"), closeAt(5, 0, func(e *event.Ending) { e.Errno = errnoConnReset })},
			want:   []string{`client "ask>a" at 0`, `closed "errno 104" unknown false`},
		},
		"data that is reported after the end": {
			events: []*event.Event{sent(0, "ask>a"), closeAt(5, 4), received(0, ">ans")},
			want:   []string{`client "ask>a" at 0`, `server ">ans" at 0`, `closed "" unknown false`},
		},
		"data that is received after the end": {
			events: []*event.Event{
				sent(0, "ask>a"), closeAt(5, 4, func(e *event.Ending) { e.Unread, e.Position[event.Received] = 5, 0 }),
				{Kind: event.KindNone, Time: uint64(acceptWait) / 2}, received(0, ">ans"),
			},
			want: []string{`client "ask>a" at 0`, `server ">ans" at 0`, `closed "" unknown false`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeard(t)
			if test.open == nil {
				test.open = clientOpen(1, 10)
			}
			for _, e := range append([]*event.Event{test.open}, test.events...) {
				if e.Kind == event.KindNone {
					h.table.Tick(e.Time, time.Unix(1000, 0), e.Time)
				} else {
					h.table.Handle(e)
				}
			}
			h.table.Tick(uint64(time.Hour), time.Unix(1000, 0), uint64(time.Hour))
			if !reflect.DeepEqual(h.parser.lines, test.want) {
				t.Errorf("the parser was told\n%q\nwant\n%q", h.parser.lines, test.want)
			}
			if h.joined != test.joined {
				t.Errorf("joined %v, want %v", h.joined, test.joined)
			}
			if n := len(h.table.connections); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
}

func TestTheKernelIsToldWhatIsWanted(t *testing.T) {
	limits := event.Want{Limit: [event.Directions]uint32{1000, 1000}, Run: 2000}
	until := func(sent, received uint64) event.Want {
		w := limits
		w.Until = [event.Directions]uint64{sent, received}
		return w
	}
	for name, test := range map[string]struct {
		events []*event.Event
		want   []event.Want
	}{
		"nothing before it is known": {[]*event.Event{sent(0, "as")}, nil},
		"the limits once it is":      {[]*event.Event{sent(0, "ask>a")}, []event.Want{limits}},
		"nothing of what speaks something else": {
			[]*event.Event{sent(0, "hello")}, []event.Want{nothing},
		},
		"that again, if it goes on": {
			[]*event.Event{sent(0, "hello"), sent(5, "hello")}, []event.Want{nothing, nothing},
		},
		"nothing of a stranger": {[]*event.Event{{Kind: event.KindData, Flow: event.Flow{Cookie: 99}}}, []event.Want{nothing}},
		"how much the parser skips": {
			[]*event.Event{sent(0, "ask>skip")}, []event.Want{limits, until(0, 100_000)},
		},
		"that the beginning of a call is enough": {
			[]*event.Event{sent(0, "ask>head")}, []event.Want{
				limits, {Limit: [event.Directions]uint32{event.Sent: 1000, event.Received: 10}, Run: 2000},
			},
		},
		"that the parser skips all, but not for ever silently": {
			[]*event.Event{sent(0, "ask>ever"), received(0, ">ans")}, []event.Want{limits, until(0, event.Never-1)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeard(t)
			h.table.Handle(clientOpen(1, 10))
			for _, e := range test.events {
				h.table.Handle(e)
			}
			if !reflect.DeepEqual(h.wants, test.want) {
				t.Errorf("told\n%v\nwant\n%v", h.wants, test.want)
			}
		})
	}
}

func TestAnUnrecognisedConversationIsGivenUp(t *testing.T) {
	for name, test := range map[string]struct {
		open  *event.Event
		bytes string
		after int // events
	}{
		"at once, when its beginning was seen":        {clientOpen(1, 10), "hello", 1},
		"after some beginnings, when it was not seen": {existing(1, 10), "hello", recognitionChunks},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeard(t)
			h.table.Handle(test.open)
			for i := range test.after {
				if len(h.wants) != 0 {
					t.Fatalf("given up after %d events", i)
				}
				h.table.Handle(sent(uint64(i*len(test.bytes)), test.bytes))
			}
			if len(h.wants) != 1 || h.table.stats.Unrecognised.Load() != 1 {
				t.Errorf("told %v, counted %d", h.wants, h.table.stats.Unrecognised.Load())
			}
		})
	}
}

func TestAnExchangeIsToldOfTheTaskThatMadeIt(t *testing.T) {
	h := newHeard(t)
	h.table.Handle(serverOpen(1, 10)) // of listener 2, and nobody was seen to accept it
	e := received(0, "ask>a")
	e.Owner = process.ID{PID: 5, Start: 7}
	h.table.Handle(e)
	e = sent(0, ">ans")
	e.Owner = process.ID{PID: 6, Start: 7}
	h.table.Handle(e)
	want := []string{"opened by 5 capture 0 end {0 0}", "exchanged by 5 capture 0 end {0 0}"}
	if got := h.sink.told(); !reflect.DeepEqual(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestFlushAbandonsConversations(t *testing.T) {
	h := newHeard(t)
	h.table.Handle(clientOpen(1, 10))
	h.table.Handle(sent(0, "ask>a"))
	h.table.Flush()
	want := []string{`client "ask>a" at 0`, `closed "" unknown true`}
	if !reflect.DeepEqual(h.parser.lines, want) {
		t.Errorf("told %q, want %q", h.parser.lines, want)
	}
}

func TestNoAllocationPerData(t *testing.T) {
	h := newHeard(t)
	h.table.sink = sinkFuncs{func(*Connection) {}, func(*Connection) {}}
	h.table.opts.Protocols[0].New = func(protocol.Conversation) protocol.Parser { return deaf{} }
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

func (deaf) Data(*protocol.Chunk)                                         {}
func (deaf) Gap(protocol.Direction, uint64, protocol.Mark, protocol.Loss) {}
func (deaf) Close(protocol.Ending)                                        {}
func (deaf) Enough(protocol.Direction) int                                { return 0 }
func (deaf) Skip(protocol.Direction) uint64                               { return 0 }
