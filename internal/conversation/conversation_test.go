package conversation

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
)

// transcript is a protocol that is recognised by its first four bytes, ask> or >ans, and records its calls. A request
// "ask>skip" makes it skip a hundred thousand bytes of the response, "ask>ever" all of them.
type transcript struct {
	lines  []string
	skip   uint64
	enough int
	held   int
	sink   protocol.Sink
	start  protocol.Stamp
}

var directionNames = [...]string{protocol.FromClient: "client", protocol.FromServer: "server"}

func (p *transcript) Data(c *protocol.Chunk) {
	p.lines = append(p.lines, fmt.Sprintf("%s %q at %d", directionNames[c.Direction], c.Bytes, c.Position))
	if c.Direction == protocol.FromClient {
		p.start = c.Stamp
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
	p.sink.Single(&protocol.Exchange{Name: string(c.Bytes), Start: p.start, End: c.Stamp})
}

func (p *transcript) Gap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	words := [...]string{protocol.Skipped: "skipped", protocol.Truncated: "truncated", protocol.Lost: "lost"}
	p.lines = append(p.lines, fmt.Sprintf("%s %d %s at %d until %d", directionNames[d], n, words[why], at.Position, at.Time))
}

func (p *transcript) Close(e protocol.Ending) {
	reason := ""
	if e.Errno != 0 {
		reason = fmt.Sprint("errno ", e.Errno)
	}
	if e.ByClient {
		reason += "by the client"
	}
	p.lines = append(p.lines, fmt.Sprintf("closed %q unknown %v%s", reason, e.Unknown, map[bool]string{true: " cut"}[e.Cut]))
}

func (p *transcript) Demand(d protocol.Direction) (m protocol.Demand) {
	if d == protocol.FromServer {
		m.Skip, m.Enough = p.skip, p.enough
	}
	return m
}

func (p *transcript) Held() int { return p.held }

func detectTranscript(s *protocol.Sample) protocol.Confidence {
	worst := protocol.Certain
	for d, want := range [...]string{protocol.FromClient: "ask>", protocol.FromServer: ">ans"} {
		b := s.Bytes[d]
		n := min(len(b), len(want))
		switch {
		case string(b[:n]) != want[:n]:
			return protocol.No
		case n > 0 && n < len(want):
			worst = protocol.NeedMore
		}
	}
	return worst
}

// scene is one conversation under test.
type scene struct {
	shard   *Shard
	conv    *Conversation
	parser  *transcript
	joined  bool // as the parser was given it
	wants   []event.Want
	emitted []string // names of exchanges
	ids     []protocol.ID
	clients []netip.AddrPort
	omitted int
}

func newScene(role event.Role, joined bool) *scene {
	s := &scene{parser: &transcript{}}
	s.shard = NewShard(Options{
		Protocols: []protocol.Configured{{Protocol: protocol.Protocol{
			Name: "transcript", Transports: protocol.Streams, Detect: detectTranscript,
			Start: func(*protocol.Settings) func(*protocol.Session) protocol.Parser {
				return func(c *protocol.Session) protocol.Parser {
					s.joined, s.parser.sink = c.Joined, c.Sink
					return s.parser
				}
			},
		}}},
		Memory:       1 << 20,
		Want:         func(_ uint64, w event.Want) { s.wants = append(s.wants, w) },
		PayloadLimit: 1000, PayloadBurst: 2000,
	})
	s.conv = s.shard.Begin(nil, Connection{Cookie: 1, Role: role, Joined: joined}, s)
	return s
}

func (s *scene) Begin(protocol.ID, *protocol.Request)    {}
func (s *scene) Continue(protocol.ID, *protocol.Carried) {}
func (s *scene) Requested(protocol.ID, *protocol.Stamp)  {}
func (s *scene) Forget(protocol.ID)                      {}
func (s *scene) Emit(id protocol.ID, x *protocol.Exchange) {
	s.emitted, s.ids, s.clients = append(s.emitted, x.Name), append(s.ids, id), append(s.clients, x.Client)
}

func (s *scene) Omit(*protocol.Exchange) { s.omitted++ }

func (s *scene) play(events ...*event.Event) {
	for _, e := range events {
		if e.Kind == event.KindData {
			s.conv.Data(e)
		} else {
			s.conv.End(&e.Ending, e.Time, e.Ending.Errno, CloserUnknown)
		}
	}
}

// data is an event with the bytes of a call at a position; changes are applied to it.
func data(d event.Direction, position uint64, bytes string, changes ...func(*event.Data)) *event.Event {
	e := &event.Event{Kind: event.KindData, Time: position + 100, Owner: process.ID{PID: 1, Start: 7}, Data: event.Data{
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

// cut adds n bytes that were transferred and not captured.
func cut(n uint32, why event.CutReason) func(*event.Data) {
	return func(d *event.Data) { d.Length += n; d.CutReason = why }
}

// after says why earlier bytes were not reported, and when the last of them was transferred.
func after(why event.CutReason, lastUnreported uint64) func(*event.Data) {
	return func(d *event.Data) { d.GapReason, d.LastUnreported = why, lastUnreported }
}

// end ends a conversation after so many bytes.
func end(sent, received uint64, errno uint32) *event.Event {
	return &event.Event{Kind: event.KindClose, Time: 20, Ending: event.Ending{
		Position: [event.Directions]uint64{sent, received}, Errno: errno,
	}}
}

func TestConversation(t *testing.T) {
	for name, test := range map[string]struct {
		role   event.Role // RoleUnknown: a client
		either bool       // the role is not known
		middle bool       // joined midstream
		events []*event.Event
		joined bool
		want   []string
	}{
		"bytes in both directions, and the end": {
			events: []*event.Event{sent(0, "ask>a"), received(0, ">ans"), sent(5, "ask>b"), end(10, 4, 0)},
			want: []string{
				`client "ask>a" at 0`, `server ">ans" at 0`, `client "ask>b" at 5`, `closed "" unknown false`,
			},
		},
		"a server's own": {
			role:   event.RoleServer,
			events: []*event.Event{received(0, "ask>a"), sent(0, ">ans"), end(4, 5, 0)},
			want:   []string{`client "ask>a" at 0`, `server ">ans" at 0`, `closed "" unknown false`},
		},
		"either side's, when the bytes distinguish them": {
			either: true,
			events: []*event.Event{received(0, "ask>a"), sent(0, ">ans"), end(4, 5, 0)},
			want:   []string{`client "ask>a" at 0`, `server ">ans" at 0`, `closed "" unknown false`},
		},
		"the first bytes one by one": {
			events: []*event.Event{sent(0, "a"), sent(1, "s"), sent(2, "k>"), sent(4, "a"), end(5, 0, 0)},
			want: []string{
				`client "a" at 0`, `client "s" at 1`, `client "k>" at 2`, `client "a" at 4`, `closed "" unknown false`,
			},
		},
		"a response that is reported before its request": {
			events: []*event.Event{received(0, ">ans"), sent(0, "ask>a"), end(5, 4, 0)},
			want:   []string{`server ">ans" at 0`, `client "ask>a" at 0`, `closed "" unknown false`},
		},
		"what is beyond a call's limit": {
			events: []*event.Event{sent(0, "ask>a", cut(95, event.CutLimit)), sent(100, "ask>b"), end(105, 0, 0)},
			want: []string{
				`client "ask>a" at 0`, "client 95 truncated at 5 until 100", `client "ask>b" at 100`,
				`closed "" unknown false`,
			},
		},
		"what the ring buffer had no room for": {
			events: []*event.Event{sent(0, "ask>a"), sent(50, "ask>b", after(event.CutRingFull, 0)), end(55, 0, 0)},
			want: []string{
				`client "ask>a" at 0`, "client 45 lost at 5 until 150", `client "ask>b" at 50`, `closed "" unknown false`,
			},
		},
		"what the hooks did not see": {
			events: []*event.Event{sent(0, "ask>a"), sent(50, "ask>b"), end(55, 0, 0)},
			want: []string{
				`client "ask>a" at 0`, "client 45 lost at 5 until 150", `client "ask>b" at 50`, `closed "" unknown false`,
			},
		},
		"what was lost before the end": {
			events: []*event.Event{sent(0, "ask>a"), end(55, 30, 0)},
			want: []string{
				`client "ask>a" at 0`, "client 50 lost at 5 until 20", "server 30 lost at 0 until 20",
				`closed "" unknown false`,
			},
		},
		"what the parser did not need": {
			events: []*event.Event{
				sent(0, "ask>skip"), received(0, ">ans"),
				received(100_000, "rest", func(d *event.Data) { d.Skipped, d.Length, d.LastUnreported = 4, 8, 77 }),
				end(8, 100_008, 0),
			},
			want: []string{
				`client "ask>skip" at 0`, `server ">ans" at 0`, "server 99996 skipped at 4 until 77",
				"server 4 skipped at 100000 until 100100", `server "rest" at 100004`, `closed "" unknown false`,
			},
		},
		"bytes that came twice, once": {
			events: []*event.Event{sent(0, "ask>abc"), sent(5, "bcd"), sent(2, "k>a"), end(8, 0, 0)},
			want:   []string{`client "ask>abc" at 0`, `client "d" at 7`, `closed "" unknown false`},
		},
		"nothing of an unknown protocol": {
			events: []*event.Event{sent(0, "hello"), received(0, ">ans"), end(5, 4, 0)},
		},
		"what was joined in the middle, once it is recognised": {
			middle: true,
			events: []*event.Event{
				sent(7, "middle"), received(3, "of some"), sent(13, "ask>a"), received(10, ">ans"), end(18, 14, 0),
			},
			joined: true,
			want: []string{
				`client "ask>a" at 13`, `server ">ans" at 10`, `closed "" unknown false`,
			},
		},
		"a beginning that was lost as joined in the middle": {
			events: []*event.Event{sent(7, "ask>a", after(event.CutRingFull, 0)), received(0, ">ans"), end(12, 4, 0)},
			joined: true,
			want:   []string{`client "ask>a" at 7`, `server ">ans" at 0`, `closed "" unknown false`},
		},
		"a connection that was reset": {
			events: []*event.Event{sent(0, "ask>a"), end(5, 0, 104)},
			want:   []string{`client "ask>a" at 0`, `closed "errno 104" unknown false`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			role := test.role
			if role == event.RoleUnknown && !test.either {
				role = event.RoleClient
			}
			s := newScene(role, test.middle)
			s.play(test.events...)
			if !reflect.DeepEqual(s.parser.lines, test.want) {
				t.Errorf("the parser got\n%q\nwant\n%q", s.parser.lines, test.want)
			}
			if s.joined != test.joined {
				t.Errorf("joined %v, want %v", s.joined, test.joined)
			}
		})
	}
}

func TestWantsGivenToTheKernel(t *testing.T) {
	limits := event.Want{Limit: [event.Directions]uint32{1000, 1000}, Burst: 2000}
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
		"nothing of an unknown protocol": {
			[]*event.Event{sent(0, "hello")}, []event.Want{nothing},
		},
		"nothing, again, if data still comes": {
			[]*event.Event{sent(0, "hello"), sent(5, "hello")}, []event.Want{nothing, nothing},
		},
		"how much the parser skips": {
			[]*event.Event{sent(0, "ask>skip")}, []event.Want{limits, until(0, 100_000)},
		},
		"that the beginning of a call is enough": {
			[]*event.Event{sent(0, "ask>head")}, []event.Want{
				limits, {Limit: [event.Directions]uint32{event.Sent: 1000, event.Received: 10}, Burst: 2000},
			},
		},
		"that the parser skips all, but not for ever silently": {
			[]*event.Event{sent(0, "ask>ever"), received(0, ">ans")}, []event.Want{limits, until(0, event.Never-1)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(event.RoleClient, false)
			s.play(test.events...)
			if !reflect.DeepEqual(s.wants, test.want) {
				t.Errorf("the kernel was asked for\n%v\nwant\n%v", s.wants, test.want)
			}
		})
	}
}

func TestAnUnrecognisedConversationIsGivenUp(t *testing.T) {
	for name, test := range map[string]struct {
		joined bool
		after  int // events
	}{
		"at once, when its beginning was seen":        {false, 1},
		"after some beginnings, when it was not seen": {true, recognitionTransfers},
	} {
		t.Run(name, func(t *testing.T) {
			const bytes = "hello"
			s := newScene(event.RoleClient, test.joined)
			for i := range test.after {
				if len(s.wants) != 0 || s.conv.Mute() {
					t.Fatalf("given up after %d events", i)
				}
				s.play(sent(uint64(i*len(bytes)), bytes))
			}
			if len(s.wants) != 1 || !s.conv.Mute() || s.shard.Stats().Unrecognised.Load() != 1 {
				t.Errorf("asked for %v, mute %v, counted %d", s.wants, s.conv.Mute(), s.shard.Stats().Unrecognised.Load())
			}
		})
	}
}

func TestExchangesAreEmittedAndCounted(t *testing.T) {
	s := newScene(event.RoleClient, false)
	s.play(sent(0, "ask>a"), received(0, ">ansA"), sent(5, "ask>b"), received(5, ">ansB"))
	if want := []string{">ansA", ">ansB"}; !reflect.DeepEqual(s.emitted, want) {
		t.Errorf("emitted %q, want %q", s.emitted, want)
	}
	if n := s.shard.Stats().Exchanges[0].Load(); n != 2 {
		t.Errorf("%d exchanges counted, want 2", n)
	}
}

func TestRoleIsKnownOnceTheBytesShowIt(t *testing.T) {
	for want, e := range map[event.Role]*event.Event{event.RoleClient: sent(0, "ask>a"), event.RoleServer: received(0, "ask>a")} {
		s := newScene(event.RoleUnknown, false)
		if got := s.conv.Role(); got != event.RoleUnknown {
			t.Errorf("role %d before there are bytes", got)
		}
		s.play(e)
		if got := s.conv.Role(); got != want {
			t.Errorf("role %d, want %d", got, want)
		}
	}
}

func TestConversationThatIsNotFollowedEndsUnknown(t *testing.T) {
	for want, end := range map[string]func(*Conversation, uint64){
		`closed "" unknown true`:     (*Conversation).Abandon,
		`closed "" unknown true cut`: (*Conversation).Cut,
	} {
		s := newScene(event.RoleClient, false)
		s.play(sent(0, "ask>a"))
		end(s.conv, 20)
		if want := []string{`client "ask>a" at 0`, want}; !reflect.DeepEqual(s.parser.lines, want) {
			t.Errorf("the parser got %q, want %q", s.parser.lines, want)
		}
	}
}

func TestExchangesThatCarryTelemetryAreLeftOut(t *testing.T) {
	for _, omit := range []bool{false, true} {
		s := newScene(event.RoleClient, false)
		s.shard.opts.OmitTelemetry = omit
		s.play(sent(0, "ask>a"))
		for _, x := range []protocol.Exchange{{Name: "a"}, {Name: "b", Telemetry: true}, {Name: "c"}} {
			s.parser.sink.Single(&x)
		}
		want, left := []string{"a", "b", "c"}, 0
		if omit {
			want, left = []string{"a", "c"}, 1
		}
		stats := s.shard.Stats()
		if !reflect.DeepEqual(s.emitted, want) || s.omitted != left || stats.Omitted.Load() != uint64(left) || stats.Exchanges[0].Load() != uint64(len(want)) {
			t.Errorf("omit %v: emitted %q, %d left out; counted %d and %d", omit, s.emitted, s.omitted, stats.Exchanges[0].Load(), stats.Omitted.Load())
		}
	}
}

func TestWithoutProtocolsThereAreNoConversations(t *testing.T) {
	shard := NewShard(Options{})
	if c := shard.Begin(nil, Connection{}, nil); c != nil {
		t.Errorf("a conversation has begun: %v", c)
	}
	shard.Refuse(1) // asks nobody
}

func TestNoAllocationPerData(t *testing.T) {
	s := newScene(event.RoleClient, false)
	s.shard.starts[0] = func(*protocol.Session) protocol.Parser { return deaf{} }
	s.play(sent(0, "ask>a"))
	e, position := sent(5, "ask>b"), uint64(5)
	if n := testing.AllocsPerRun(1000, func() {
		e.Data.Position = position
		s.conv.Data(e)
		position += uint64(e.Data.Length)
	}); n != 0 {
		t.Errorf("%v allocations per event", n)
	}
}

func TestNoAllocationPerConversation(t *testing.T) {
	s := newScene(event.RoleClient, false)
	connection := Connection{Cookie: 1, Role: event.RoleClient}
	if n := testing.AllocsPerRun(1000, func() { s.conv = s.shard.Begin(s.conv, connection, s) }); n != 0 {
		t.Errorf("%v allocations per conversation", n)
	}
}

// deaf is a parser that does nothing.
type deaf struct{}

func (deaf) Data(*protocol.Chunk)                                          {}
func (deaf) Gap(protocol.Direction, uint64, protocol.Stamp, protocol.Loss) {}
func (deaf) Close(protocol.Ending)                                         {}
func (deaf) Demand(protocol.Direction) (d protocol.Demand)                 { return d }
func (deaf) Held() int                                                     { return 0 }

func TestWhoClosed(t *testing.T) {
	for _, c := range []struct {
		role event.Role
		by   Closer
		want bool
	}{
		{event.RoleClient, CloserLocal, true},
		{event.RoleClient, CloserRemote, false},
		{event.RoleClient, CloserUnknown, false},
		{event.RoleServer, CloserRemote, true},
		{event.RoleServer, CloserLocal, false},
		{event.RoleServer, CloserUnknown, false},
	} {
		s := newScene(c.role, false)
		first, second := sent(0, "ask>"), received(0, ">answer")
		if c.role == event.RoleServer {
			first, second = received(0, "ask>"), sent(0, ">answer")
		}
		s.play(first, second)
		e := end(4, 7, 0)
		if c.role == event.RoleServer {
			e = end(7, 4, 0)
		}
		s.conv.End(&e.Ending, e.Time, 0, c.by)
		last := s.parser.lines[len(s.parser.lines)-1]
		if got := strings.Contains(last, "by the client"); got != c.want {
			t.Errorf("%v, closed by %v: %s", c.role, c.by, last)
		}
	}
}
