package socket

import (
	"testing"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
)

func TestEndOf(t *testing.T) {
	for _, test := range []struct {
		state event.State
		errno uint32
		want  End
	}{
		{event.StateFinWait2, 0, End{WayFIN, SideLocal}},
		{event.StateLastAck, 0, End{WayFIN, SideRemote}},
		{event.StateClosing, 0, End{WayFIN, SideLocal}},
		{event.StateEstablished, 0, End{WayRST, SideLocal}},
		{event.StateCloseWait, 0, End{WayRST, SideLocal}},
		{event.StateFinWait1, 0, End{WayRST, SideLocal}},
		{event.StateEstablished, errnoConnReset, End{WayRST, SideRemote}},
		{event.StateCloseWait, errnoPipe, End{WayRST, SideRemote}},
		{event.StateEstablished, errnoConnAborted, End{WayRST, SideLocal}},
		{event.StateFinWait1, errnoTimedOut, End{WayTimeout, SideRemote}},
		{event.StateEstablished, 113, End{WayError, SideUnknown}},
		{event.StateListen, 0, End{}},
	} {
		if got := endOf(&event.Ending{LastState: test.state, Errno: test.errno}); got != test.want {
			t.Errorf("from state %d with errno %d: %v, want %v", test.state, test.errno, got, test.want)
		}
	}
}

// pendingExchange fails the exchange of a client that has no answer when the connection ends.
type pendingExchange struct {
	transcript
	asked, answered int
}

func (p *pendingExchange) Data(c *protocol.Chunk) {
	if c.Direction == protocol.FromClient {
		p.asked++
	} else {
		p.answered++
	}
	p.transcript.Data(c)
}

func (p *pendingExchange) Close(e protocol.Ending) {
	if p.asked > p.answered {
		p.sink.Single(&protocol.Exchange{Errno: e.Errno, Error: "connection_closed", End: e.At})
	}
}

// An end that has closed its socket resets what it is sent after that, as the end of TLS.
func TestResetOfAConnectionWhoseRequestsAreAnswered(t *testing.T) {
	request, answer := sent(0, "ask>a"), received(0, ">ans")
	reset := func(change ...func(*event.Ending)) *event.Event {
		return closeAt(5, 4, append(change, func(e *event.Ending) { e.Errno, e.LastState = errnoConnReset, event.StateCloseWait })...)
	}
	without := func(e *event.Ending) { e.FINReceived = false }
	left := func(e *event.Ending) { e.FINReceived, e.Left = false, true }
	for name, test := range map[string]struct {
		events   []*event.Event
		answered bool
	}{
		"after the other end has closed":  {[]*event.Event{request, answer, reset()}, true},
		"after this end has closed":       {[]*event.Event{request, answer, reset(left)}, true},
		"this end has closed before that": {[]*event.Event{request, answer, leftAt(15, 5, 4, false), reset(without)}, true},
		"neither has closed":              {[]*event.Event{request, answer, reset(without)}, false},
		"a request has no answer":         {[]*event.Event{request, answer, sent(5, "ask>b"), reset()}, false},
		"it has none when this end left":  {[]*event.Event{request, answer, sent(5, "ask>b"), leftAt(15, 10, 4, false), reset(without)}, false},
		"it had no requests":              {[]*event.Event{reset()}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeard(t)
			h.made = func(s *protocol.Session) protocol.Parser {
				return &pendingExchange{transcript: transcript{sink: s.Sink}}
			}
			var closed *Connection
			h.table.sink = sinkFuncs{func(*Connection) {}, func(c *Connection) {
				copied := *c
				closed = &copied
			}}
			h.table.Handle(clientOpen(1, 10))
			for _, e := range test.events {
				h.table.Handle(e)
				if e.Kind == event.KindLocalClose {
					h.table.expireEnding(16)
				}
			}
			h.table.Flush(99)
			if closed == nil || closed.End != (End{WayRST, SideRemote}) || closed.Answered != test.answered {
				t.Errorf("closed as %+v, want answered %v", closed, test.answered)
			}
		})
	}
}
