package conversation

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

// named is a protocol whose conversations are recorded as its name.
func named(name string, begun *[]string, detect func(*protocol.Sample) protocol.Confidence) protocol.Protocol {
	return protocol.Protocol{
		Name: name, Transports: protocol.Streams, Detect: detect,
		Start: func(*protocol.Settings) func(*protocol.Session) protocol.Parser {
			return func(*protocol.Session) protocol.Parser {
				*begun = append(*begun, name)
				return deaf{}
			}
		},
	}
}

// answered is a detection by the beginning of the client's bytes, and of the server's as soon as there are any.
func answered(ask, answer string, confidence protocol.Confidence) func(*protocol.Sample) protocol.Confidence {
	return func(s *protocol.Sample) protocol.Confidence {
		c := prefix(ask, confidence)(s)
		if b := string(s.Bytes[protocol.FromServer]); b != "" && !strings.HasPrefix(b, answer) {
			return protocol.No
		}
		return c
	}
}

func TestTheMostCertainProtocolIsChosen(t *testing.T) {
	for name, test := range map[string]struct {
		first, second protocol.Confidence
		events        []*event.Event
		want          string // the first one expects the answer a, the second one b; empty: neither yet
	}{
		"two strong ones wait":                      {protocol.Strong, protocol.Strong, []*event.Event{sent(0, "q")}, ""},
		"two strong ones, the other side decides":   {protocol.Strong, protocol.Strong, []*event.Event{sent(0, "q"), received(0, "b")}, "second"},
		"two strong ones, more of the same side":    {protocol.Strong, protocol.Strong, []*event.Event{sent(0, "q"), sent(1, "q")}, ""},
		"a strong one does not wait for a weak one": {protocol.Weak, protocol.Strong, []*event.Event{sent(0, "q")}, "second"},
		"a certain one does not wait":               {protocol.Strong, protocol.Certain, []*event.Event{sent(0, "q")}, "second"},
		"a weak one waits":                          {protocol.Weak, protocol.No, []*event.Event{sent(0, "q")}, ""},
		"a weak one counts with both sides":         {protocol.Weak, protocol.No, []*event.Event{sent(0, "q"), received(0, "a")}, "first"},
		"a weak one is refuted":                     {protocol.Weak, protocol.No, []*event.Event{sent(0, "q"), received(0, "b")}, ""},
		"a weak one counts after many bytes": {
			protocol.Weak, protocol.No, []*event.Event{sent(0, "q"+strings.Repeat("x", recognitionBytes-1))}, "first",
		},
		"what needs more waits": {protocol.NeedMore, protocol.No, []*event.Event{sent(0, "q"), received(0, "a")}, ""},
	} {
		var begun []string
		s := newSceneOf(
			named("first", &begun, answered("q", "a", test.first)), named("second", &begun, answered("q", "b", test.second)),
			transcriptProtocol(),
		)
		s.play(test.events...)
		if got := strings.Join(begun, " "); got != test.want {
			t.Errorf("%s: begun %q, want %q", name, got, test.want)
		}
	}
}

func TestWhatIsKeptForRecognitionIsBoundedAndCounted(t *testing.T) {
	s := newSceneOf(transcriptProtocol())
	s.shard.protocols[0].Detect = func(*protocol.Sample) protocol.Confidence { return protocol.NeedMore }
	for i := range recognitionBytes - 1 {
		s.play(sent(uint64(i), "x"))
	}
	if held := s.shard.memory.total; s.conv.Mute() || held < recognitionBytes*transferBytes {
		t.Errorf("mute %v, %d bytes are counted", s.conv.Mute(), held)
	}
	s.play(sent(recognitionBytes-1, "x"))
	if held := s.shard.memory.total; !s.conv.Mute() || held != 0 {
		t.Errorf("mute %v, %d bytes are counted", s.conv.Mute(), held)
	}
}

func TestTheSampleSaysWhenADirectionIsShownNoFurther(t *testing.T) {
	s := newSceneOf(transcriptProtocol())
	var ended [protocol.Directions]bool
	s.shard.protocols[0].Detect = func(x *protocol.Sample) protocol.Confidence {
		if !x.Reversed {
			ended = x.Ended
		}
		return protocol.NeedMore
	}
	s.play(received(0, "x"), sent(0, strings.Repeat("x", recognitionBytes)))
	if want := [protocol.Directions]bool{protocol.FromClient: true}; ended != want {
		t.Errorf("ended %v, want %v", ended, want)
	}
}

// patient holds what its client names, and waits until a time.
type patient struct {
	deaf
	held     int
	deadline uint64
	expire   func(*patient)
	closed   *[]string
	name     string
}

func (p *patient) Held() int        { return p.held }
func (p *patient) Deadline() uint64 { return p.deadline }
func (p *patient) Expire(uint64) {
	p.deadline = 0
	p.expire(p)
}
func (p *patient) Close(e protocol.Ending) {
	*p.closed = append(*p.closed, fmt.Sprintf("%s %v", p.name, e.Unknown))
}

// patients are conversations with the named parsers.
func patients(memory int, all ...*patient) (s *Shard, conversations []*Conversation, closed *[]string) {
	closed = new([]string)
	next := 0
	s = NewShard(Options{
		Memory: memory, Want: func(uint64, event.Want) {},
		Protocols: []protocol.Configured{{Protocol: protocol.Protocol{
			Name: "patient", Transports: protocol.Streams, Detect: prefix("x", protocol.Certain),
			Start: func(*protocol.Settings) func(*protocol.Session) protocol.Parser {
				return func(*protocol.Session) protocol.Parser {
					next++
					return all[next-1]
				}
			},
		}}},
	})
	for i, p := range all {
		p.closed = closed
		c := s.Begin(nil, Connection{Cookie: uint64(i), Role: event.RoleClient}, nil)
		c.Data(sent(0, "x"))
		conversations = append(conversations, c)
	}
	return s, conversations, closed
}

func TestTheLargestConversationsGiveWay(t *testing.T) {
	s, all, closed := patients(1000*headroom,
		&patient{name: "small", held: 10}, &patient{name: "large", held: 800}, &patient{name: "middle", held: 100}, &patient{name: "last", held: 120})
	if want := []string{"large true"}; !reflect.DeepEqual(*closed, want) {
		t.Errorf("closed %q, want %q", *closed, want)
	}
	if !all[1].Mute() || all[0].Mute() || all[2].Mute() || all[3].Mute() {
		t.Error("another conversation was given up")
	}
	if n := s.Stats().OverMemory.Load(); n != 1 || s.memory.total != 230*headroom {
		t.Errorf("%d conversations are counted, want 1; %d bytes are held", n, s.memory.total)
	}
}

func TestConversationThatHasBecomeSmallIsNotTheLargest(t *testing.T) {
	shrinks, grows := &patient{name: "shrinks", held: 800}, &patient{name: "grows", held: 100}
	s, all, closed := patients(1000*headroom, shrinks, grows)
	shrinks.held = 10
	all[0].Data(sent(1, "x"))
	grows.held = 999
	all[1].Data(sent(1, "x"))
	if want := []string{"grows true"}; !reflect.DeepEqual(*closed, want) || all[0].Mute() {
		t.Errorf("closed %q, want %q", *closed, want)
	}
	all[0].End(&event.Ending{}, 2, 0, CloserUnknown)
	if s.memory.total != 0 || all[0].class != 0 {
		t.Errorf("%d bytes are counted when all have ended; class %d", s.memory.total, all[0].class)
	}
}

// TestConversationThatIsOverIsInNoList, although it held nothing any more before it ended: its memory is used for another connection.
func TestConversationThatIsOverIsInNoList(t *testing.T) {
	idles := &patient{name: "idles", held: 800}
	s, all, _ := patients(1000*headroom, idles)
	idles.held = 0
	all[0].Data(sent(1, "x"))
	all[0].End(&event.Ending{}, 2, 0, CloserUnknown)
	for class := range s.memory.classes {
		if n := s.memory.classes[class].Len(); n != 0 {
			t.Errorf("%d conversations that are over are in the list of class %d", n, class)
		}
	}
}

func TestDeadlinesExpireOnceAndInTime(t *testing.T) {
	var expired []string
	note := func(p *patient) { expired = append(expired, p.name) }
	s, all, _ := patients(1000,
		&patient{name: "soon", deadline: 2e9, expire: note}, &patient{name: "later", deadline: 5e9, expire: note},
		&patient{name: "ended", deadline: 2e9, expire: note}, &patient{name: "never", expire: note})
	all[2].End(&event.Ending{}, 1e9, 0, CloserUnknown)
	for _, step := range []struct {
		now  uint64
		want []string
	}{{1e9, nil}, {2e9, []string{"soon"}}, {3e9, []string{"soon"}}, {6e9, []string{"soon", "later"}}, {9e9, []string{"soon", "later"}}} {
		s.Tick(step.now)
		if !reflect.DeepEqual(expired, step.want) {
			t.Errorf("at %d: expired %q, want %q", step.now, expired, step.want)
		}
	}
}

func TestAConversationThatGrowsAtItsDeadlineTakesTheMemoryOfTheNext(t *testing.T) {
	grow := func(p *patient) { p.held = 500 }
	s, all, closed := patients(1000,
		&patient{name: "grows", held: 10, deadline: 2e9, expire: grow}, &patient{name: "next", held: 600, deadline: 2e9, expire: func(*patient) {}})
	s.Tick(3e9)
	if want := []string{"next true"}; !reflect.DeepEqual(*closed, want) || all[0].Mute() || !all[1].Mute() {
		t.Errorf("closed %q, want %q", *closed, want)
	}
}

// datagrams records chunks of datagrams.
type datagrams struct {
	deaf
	lines *[]string
}

func (p datagrams) Data(c *protocol.Chunk) {
	*p.lines = append(*p.lines, fmt.Sprintf("%s %q at %d, %d missing", directionNames[c.Direction], c.Bytes, c.Position, c.Missing))
}

func (p datagrams) Gap(d protocol.Direction, n uint64, at protocol.Stamp, _ protocol.Loss) {
	*p.lines = append(*p.lines, fmt.Sprintf("%s %d missing at %d", directionNames[d], n, at.Position))
}

func TestDatagramsStayApart(t *testing.T) {
	var lines []string
	var shown []string
	s := newSceneOf(protocol.Protocol{Transports: protocol.Datagrams})
	s.shard.protocols[0].Detect = func(x *protocol.Sample) protocol.Confidence {
		if !x.Reversed {
			shown = append(shown, fmt.Sprintf("%s|%s", x.Bytes[0], x.Bytes[1]))
		}
		return answered("q", "a", protocol.Weak)(x)
	}
	s.shard.starts[0] = func(*protocol.Session) protocol.Parser { return datagrams{lines: &lines} }
	s.conv = s.shard.Begin(nil, Connection{Cookie: 1, Role: event.RoleClient, Datagrams: true}, s)
	s.play(
		sent(0, "q1", cut(8, event.CutLimit)), sent(10, "q2"), received(0, "a1"), received(2, "a2", cut(3, event.CutLimit)),
		sent(12, "", cut(4, event.CutLimit)),
	)
	want := []string{
		`client "q1" at 0, 8 missing`, `client "q2" at 10, 0 missing`, `server "a1" at 0, 0 missing`, `server "a2" at 2, 3 missing`,
		`client 4 missing at 12`,
	}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("the parser got\n%q\nwant\n%q", lines, want)
	}
	if want := []string{"q1|", "q1|", "q1|a1"}; !reflect.DeepEqual(shown, want) {
		t.Errorf("detection saw %q, want %q", shown, want)
	}
	if n := s.shard.Stats().Truncated.Load(); n != 15 {
		t.Errorf("%d bytes are counted as truncated, want 15", n)
	}
}

// Two threads that send over one flow at the same time may both see the position before the other one's datagram.
func TestDatagramsOfTwoThreadsAreWhole(t *testing.T) {
	var lines []string
	s := newSceneOf(protocol.Protocol{Transports: protocol.Datagrams})
	s.shard.protocols[0].Detect = answered("q", "a", protocol.Certain)
	s.shard.starts[0] = func(*protocol.Session) protocol.Parser { return datagrams{lines: &lines} }
	s.conv = s.shard.Begin(nil, Connection{Cookie: 1, Role: event.RoleClient, Datagrams: true}, s)
	s.play(sent(0, "q1"), sent(0, "q two"), sent(0, "q"), sent(8, "q4"), sent(15, "q5"))
	want := []string{
		`client "q1" at 0, 0 missing`, `client "q two" at 2, 0 missing`, `client "q" at 7, 0 missing`, `client "q4" at 8, 0 missing`,
		`client 5 missing at 10`, `client "q5" at 15, 0 missing`,
	}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("the parser got\n%q\nwant\n%q", lines, want)
	}
	if n := s.shard.Stats().Overlapping.Load(); n != 0 {
		t.Errorf("%d bytes are counted as overlapping", n)
	}
}
