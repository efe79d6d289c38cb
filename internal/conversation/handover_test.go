package conversation

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/preamble"
)

// handover is a protocol of one line by the client, which says how the conversation goes on: "to:switch", "to:reject", or
// "to:emit", which is an exchange and a switch. A client that a line names is that of the rest.
type handover struct {
	sink protocol.Sink
	kept preamble.Kept
}

func handoverProtocol(isPreamble bool) protocol.Protocol {
	return protocol.Protocol{
		Name: "handover", Transports: protocol.Streams, Preamble: isPreamble,
		Detect: prefix("to:", protocol.Certain),
		Start: func(*protocol.Settings) func(*protocol.Session) protocol.Parser {
			return func(c *protocol.Session) protocol.Parser { return &handover{c.Sink, preamble.New(c.Sink, 1000)} }
		},
	}
}

func (p *handover) Data(c *protocol.Chunk) {
	length := len(c.Bytes)
	p.kept.Data(c)
	b, _ := p.kept.Bytes(protocol.FromClient)
	line, _, ended := strings.Cut(string(b), "\n")
	if !ended {
		return
	}
	p.kept.Read(protocol.FromClient, len(line)+1)
	command, client, _ := strings.Cut(line, " ")
	switch command {
	case "to:reject":
		p.kept.Reject()
	case "to:emit":
		p.sink.Single(&protocol.Exchange{Name: "emit"})
		fallthrough
	default:
		named, _ := netip.ParseAddrPort(client)
		p.kept.Switch(protocol.Switch{Client: named})
	}
	if len(c.Bytes) != length {
		panic("the chunk has changed while the rest was returned")
	}
}

func (p *handover) Gap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	p.kept.Gap(d, n, at, why)
}
func (p *handover) Close(protocol.Ending)                     {}
func (p *handover) Demand(protocol.Direction) protocol.Demand { return protocol.Demand{Enough: 10} }
func (p *handover) Held() int                                 { return p.kept.Held() }

// prefix is a detection by the client's first bytes.
func prefix(with string, confidence protocol.Confidence) func(*protocol.Sample) protocol.Confidence {
	return func(s *protocol.Sample) protocol.Confidence {
		b := s.Bytes[protocol.FromClient]
		n := min(len(b), len(with))
		switch {
		case string(b[:n]) != with[:n] || len(b) == 0:
			return protocol.No
		case n < len(with):
			return protocol.NeedMore
		}
		return confidence
	}
}

func TestHandover(t *testing.T) {
	for name, test := range map[string]struct {
		events []*event.Event
		joined bool
		role   event.Role
		want   []string
	}{
		"with the rest in the same call": {
			events: []*event.Event{sent(0, "to:switch\nask>a"), received(0, ">ans")},
			want:   []string{`client "ask>a" at 10`, `server ">ans" at 0`},
		},
		"with the rest in later calls": {
			events: []*event.Event{sent(0, "to:"), sent(3, "switch\n"), sent(10, "ask"), sent(13, ">a")},
			want:   []string{`client "ask" at 10`, `client ">a" at 13`},
		},
		"with bytes of the other direction, which came before": {
			events: []*event.Event{sent(0, "to:"), received(0, ">ans"), received(4, "wer"), sent(3, "switch\nask>a")},
			want:   []string{`server ">ans" at 0`, `server "wer" at 4`, `client "ask>a" at 10`},
		},
		"and what is missing of the rest": {
			events: []*event.Event{sent(0, "to:switch\nask>a", cut(10, event.CutLimit)), sent(25, "b")},
			want:   []string{`client "ask>a" at 10`, `client 10 truncated at 15 until 100`, `client "b" at 25`},
		},
		"and what was missing before": {
			events: []*event.Event{
				sent(0, "to:"), received(0, ">ans", cut(5, event.CutLimit)), sent(3, "switch\n"), sent(10, "ask>a"),
			},
			want: []string{`server ">ans" at 0`, "server 5 truncated at 4 until 100", `client "ask>a" at 10`},
		},
		"and what was missing before it is known what follows": {
			events: []*event.Event{
				sent(0, "to:"), received(0, ">an", cut(5, event.CutLimit)), sent(3, "switch\n"), sent(10, "ask>a"),
			},
			joined: true, // the server's bytes were dropped
			want:   []string{`client "ask>a" at 10`},
		},
		"and a gap behind it": {
			events: []*event.Event{sent(0, "to:switch\n", cut(5, event.CutLimit)), sent(15, "ask>a")},
			joined: true,
			want:   []string{`client "ask>a" at 15`},
		},
		"to reversed roles": {
			events: []*event.Event{sent(0, "to:switch\n"), received(0, "ask>a"), sent(10, ">ans")},
			role:   event.RoleServer,
			want:   []string{`client "ask>a" at 0`, `server ">ans" at 10`},
		},
		"to reversed roles, and on from there": {
			events: []*event.Event{sent(0, "to:"), received(0, "to:switch\nask>a"), sent(3, "switch\n>ans")},
			role:   event.RoleServer,
			want:   []string{`client "ask>a" at 10`, `server ">ans" at 10`},
		},
		"several times": {
			events: []*event.Event{sent(0, strings.Repeat("to:switch\n", maxSwitches)+"ask>a")},
			want:   []string{`client "ask>a" at 80`},
		},
		"too often": {
			events: []*event.Event{sent(0, strings.Repeat("to:switch\n", maxSwitches+1)+"ask>a")},
		},
		"by a rejection": {
			events: []*event.Event{sent(0, "to:reje"), sent(7, "ct\n")},
			want:   []string{`client "to:reje" at 0`, `client "ct\n" at 7`},
		},
		"by a rejection behind a switch": {
			events: []*event.Event{sent(0, "to:switch\nto:reject\n")},
			want:   []string{`client "to:reject\n" at 10`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSceneOf(handoverProtocol(true), protocol.Protocol{
				Name: "transcript", Transports: protocol.Streams,
				Detect: func(x *protocol.Sample) protocol.Confidence {
					return max(detectTranscript(x), prefix("to:reject\n", protocol.Strong)(x))
				},
			})
			s.play(test.events...)
			if !reflect.DeepEqual(s.parser.lines, test.want) {
				t.Errorf("the parser got\n%q\nwant\n%q", s.parser.lines, test.want)
			}
			if s.joined != test.joined {
				t.Errorf("joined %v, want %v", s.joined, test.joined)
			}
			if want := max(test.role, event.RoleClient); test.want != nil && s.conv.Role() != want {
				t.Errorf("role %v, want %v", s.conv.Role(), want)
			}
			recognised, unrecognised := s.shard.Stats().Recognised.Load(), s.shard.Stats().Unrecognised.Load()
			if given := test.want == nil; s.conv.Mute() != given || recognised+unrecognised != 1 || (unrecognised == 1) != given {
				t.Errorf("mute %v, recognised %d, unrecognised %d", s.conv.Mute(), recognised, unrecognised)
			}
			if size := s.shard.memory.total; size != 0 {
				t.Errorf("%d bytes are held", size)
			}
		})
	}
}

// newSceneOf is a client's scene with protocols; the last one is that of the transcript.
func newSceneOf(protocols ...protocol.Protocol) *scene {
	s := &scene{parser: &transcript{}}
	last := len(protocols) - 1
	protocols[last].Start = func(*protocol.Settings) func(*protocol.Session) protocol.Parser {
		return func(c *protocol.Session) protocol.Parser {
			s.joined, s.parser.sink = c.Joined, c.Sink
			return s.parser
		}
	}
	opts := Options{
		Memory: 2 << 20, PayloadLimit: 1000, PayloadBurst: 2000,
		Want: func(_ uint64, w event.Want) { s.wants = append(s.wants, w) },
	}
	for _, p := range protocols {
		opts.Protocols = append(opts.Protocols, protocol.Configured{Protocol: p})
	}
	s.shard = NewShard(opts)
	s.conv = s.shard.Begin(nil, Connection{Cookie: 1, Role: event.RoleClient}, s)
	return s
}

func transcriptProtocol() protocol.Protocol {
	return protocol.Protocol{Name: "transcript", Transports: protocol.Streams, Detect: detectTranscript}
}

func TestARejectedConversationIsCountedOnce(t *testing.T) {
	for isPreamble, want := range map[bool][2]uint64{true: {0, 1}, false: {1, 0}} {
		s := newSceneOf(handoverProtocol(isPreamble), transcriptProtocol())
		s.play(sent(0, "to:reject\n"), sent(10, "more"))
		got := [2]uint64{s.shard.Stats().Recognised.Load(), s.shard.Stats().Unrecognised.Load()}
		if got != want || !s.conv.Mute() {
			t.Errorf("preamble %v: recognised and unrecognised %v, want %v; mute %v", isPreamble, got, want, s.conv.Mute())
		}
	}
}

func TestExchangesBehindAHandover(t *testing.T) {
	s := newSceneOf(handoverProtocol(false), transcriptProtocol())
	named := netip.MustParseAddrPort("10.0.0.7:1")
	s.play(
		sent(0, "to:emit 10.0.0.7:1\nto:emit\n"), sent(27, "ask>a"), received(0, ">ans"), // an unnamed client changes nothing
	)
	if want := []string{"emit", "emit", ">ans"}; !reflect.DeepEqual(s.emitted, want) {
		t.Fatalf("emitted %q, want %q", s.emitted, want)
	}
	if want := []protocol.ID{1, 2, 3}; !reflect.DeepEqual(s.ids, want) {
		t.Errorf("ids %v, want %v", s.ids, want)
	}
	if want := []netip.AddrPort{{}, named, named}; !reflect.DeepEqual(s.clients, want) {
		t.Errorf("clients %v, want %v", s.clients, want)
	}
	if a, b := s.shard.Stats().Exchanges[0].Load(), s.shard.Stats().Exchanges[1].Load(); a != 2 || b != 1 {
		t.Errorf("%d and %d exchanges are counted, want 2 and 1", a, b)
	}
}

func TestWantsAcrossAHandover(t *testing.T) {
	limits := event.Want{Limit: [event.Directions]uint32{1000, 1000}, Burst: 2000}
	few := event.Want{Limit: [event.Directions]uint32{10, 10}, Burst: 2000}
	skipping := limits
	skipping.Until[event.Received] = 100_000
	s := newSceneOf(handoverProtocol(true), transcriptProtocol())
	s.play(sent(0, "to:"), sent(3, "switch\n"))
	if want := []event.Want{limits, few, limits}; !reflect.DeepEqual(s.wants, want) {
		t.Errorf("before the rest is recognised the kernel was asked for\n%v\nwant\n%v", s.wants, want)
	}
	s.play(sent(10, "ask>skip"))
	if want := []event.Want{limits, few, limits, skipping}; !reflect.DeepEqual(s.wants, want) {
		t.Errorf("the kernel was asked for\n%v\nwant\n%v", s.wants, want)
	}
}

func TestWhatTheKernelStillSkipsAfterAHandoverCountsAsSkipped(t *testing.T) {
	s := newSceneOf(skipperProtocol(), transcriptProtocol())
	s.play(
		sent(0, "skip"), // and then the client goes on in another protocol
		sent(4, "to another\n"), sent(15, "ask>a"), received(100_000, ">ans"),
	)
	if got := s.shard.Stats(); got.Skipped.Load() != 100_000 || got.Lost.Load() != 0 {
		t.Errorf("%d bytes are skipped, %d lost", got.Skipped.Load(), got.Lost.Load())
	}
	want := []string{`client "ask>a" at 15`, "server 100000 skipped at 0 until 100100", `server ">ans" at 100000`}
	if !reflect.DeepEqual(s.parser.lines, want) {
		t.Errorf("the parser got %q, want %q", s.parser.lines, want)
	}
}

func TestWhatTheKernelStillSkipsBeforeRecognitionIsAGap(t *testing.T) {
	s := newSceneOf(skipperProtocol(), transcriptProtocol())
	s.play(sent(0, "skip"), sent(4, "to another\n"), received(100_000, ">ans"))
	if want := []string{`server ">ans" at 100000`}; !reflect.DeepEqual(s.parser.lines, want) || !s.joined {
		t.Errorf("the parser got %q, want %q; joined %v", s.parser.lines, want, s.joined)
	}
}

// skipper skips a hundred thousand bytes of the server, and leaves the conversation after the second chunk.
type skipper struct {
	sink   protocol.Sink
	chunks int
}

func skipperProtocol() protocol.Protocol {
	return protocol.Protocol{
		Name: "skipper", Transports: protocol.Streams, Detect: prefix("skip", protocol.Certain),
		Start: func(*protocol.Settings) func(*protocol.Session) protocol.Parser {
			return func(c *protocol.Session) protocol.Parser { return &skipper{sink: c.Sink} }
		},
	}
}

func (p *skipper) Data(*protocol.Chunk) {
	if p.chunks++; p.chunks == 2 {
		p.sink.Switch(protocol.Switch{})
	}
}
func (p *skipper) Gap(protocol.Direction, uint64, protocol.Stamp, protocol.Loss) {}
func (p *skipper) Close(protocol.Ending)                                         {}
func (p *skipper) Held() int                                                     { return 0 }
func (p *skipper) Demand(d protocol.Direction) (m protocol.Demand) {
	if d == protocol.FromServer {
		m.Skip = 100_000
	}
	return m
}

func TestTheEndAfterAHandover(t *testing.T) {
	s := newSceneOf(handoverProtocol(true), transcriptProtocol())
	s.play(sent(0, "to:switch\nas"), end(30, 0, 0)) // in the middle of recognition
	if s.parser.lines != nil || s.shard.memory.total != 0 {
		t.Errorf("the parser got %q, %d bytes are held", s.parser.lines, s.shard.memory.total)
	}
}
