package conversation

import (
	"testing"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

// secretive says what its first call names, and ignores the rest from "enough" on.
type secretive struct {
	deaf
	sink  protocol.Sink
	facts protocol.TLS
}

func (p *secretive) Data(c *protocol.Chunk) {
	p.facts.ServerName += string(c.Bytes)
	p.sink.Secured(&p.facts)
	if string(c.Bytes) == "enough" {
		p.sink.Ignore()
	}
	p.facts.ServerName += "!" // which is not handed over
}

func (p *secretive) Close(protocol.Ending) { panic("it has ignored the rest") }

func TestWhatCannotBeReadIsNotWanted(t *testing.T) {
	s := newSceneOf(protocol.Protocol{
		Name: "secretive", Transports: protocol.Streams, Preamble: true, Detect: prefix("a", protocol.Certain),
		Start: func(*protocol.Settings) func(*protocol.Session) protocol.Parser {
			return func(c *protocol.Session) protocol.Parser { return &secretive{sink: c.Sink} }
		},
	}, transcriptProtocol())
	if s.conv.TLS() != nil {
		t.Error("something is known before the first byte")
	}
	s.play(sent(0, "a"))
	if got := s.conv.TLS(); got == nil || got.ServerName != "a" || s.conv.Mute() {
		t.Errorf("after the first call: %+v, mute %v", got, s.conv.Mute())
	}
	s.play(received(0, "enough", cut(7, event.CutLimit)))
	if got := s.conv.TLS(); got.ServerName != "a!enough" || !s.conv.Mute() {
		t.Errorf("after the second call: %+v, mute %v", got, s.conv.Mute())
	}
	if last := s.wants[len(s.wants)-1]; last.Until != nothing.Until {
		t.Errorf("%+v is wanted", last)
	}
	wants := len(s.wants)
	s.play(sent(1, "secret"), end(7, 13, 0))
	if got := s.conv.TLS(); got.ServerName != "a!enough" || len(s.wants) != wants+1 || s.wants[wants].Until != nothing.Until {
		t.Errorf("after the end: %+v, wanted %+v", got, s.wants[wants:])
	}
	if stats := s.shard.Stats(); stats.Recognised.Load() != 0 || stats.Unrecognised.Load() != 1 {
		t.Errorf("%d conversations are recognised, %d are not", stats.Recognised.Load(), stats.Unrecognised.Load())
	}
	again := s.shard.Begin(s.conv, Connection{Cookie: 2, Role: event.RoleClient}, s)
	if again.TLS() != nil {
		t.Error("another connection has what was known of the first one")
	}
}
