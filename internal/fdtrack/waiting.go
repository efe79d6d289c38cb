package fdtrack

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/pending"
)

func (t *Tracker) initWaiting() (err error) {
	t.waiting, err = pending.New(pending.Options[*socket, event.Event]{
		Limits:    pending.Limits{Time: t.limits.Timeout, Items: t.limits.SocketItems, Bytes: t.limits.SocketBytes},
		Budget:    t.shared.budget,
		Payload:   func(e *event.Event) *[]byte { return &e.Data.Payload },
		GivenUp:   t.givenUp,
		Next:      t.pass,
		Reminders: t.reminders(),
	})
	if err != nil {
		return err
	}
	t.stats.Pending = t.waiting.Stats()
	return nil
}

// wait makes the events of a socket wait from now on.
func (t *Tracker) wait(s *socket) { s.waiting = t.waiting.Start(s) }

// completed lets the events of a socket go on if its addresses are complete now.
func (t *Tracker) completed(s *socket) {
	if s.wasInFlight && s.opened {
		t.shared.inFlightFDs.update(&s.flow)
	}
	if s.waiting == nil || !complete(&s.flow) {
		return
	}
	w := s.waiting
	s.waiting, s.query = nil, nil
	t.stats.Completed[s.flow.AddressSource].Add(1)
	t.waiting.Complete(w)
}

// givenUp completes the addresses of a socket with what is available at once, before its events go on.
func (t *Tracker) givenUp(s *socket, cause pending.Cause) {
	s.waiting, s.query = nil, nil
	if !complete(&s.flow) {
		t.finish(&s.flow, s.owner.PID)
	}
	if complete(&s.flow) {
		t.stats.Completed[s.flow.AddressSource].Add(1)
	} else {
		t.stats.Incomplete[cause].Add(1)
	}
}
