package socket

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/peername"
)

// namesOfPeers records, of each report, PeerName, and whether there is still a question.
type namesOfPeers struct {
	recorder
	names []string
}

func (n *namesOfPeers) note(c *Connection) {
	name := c.PeerName
	if c.PeerQuestion.At != 0 {
		name += "?"
	}
	n.names = append(n.names, name)
}
func (n *namesOfPeers) Opened(c *Connection) { n.note(c) }
func (n *namesOfPeers) Closed(c *Connection) { n.note(c) }
func (n *namesOfPeers) Failed(c *Connection) { n.note(c) }

// reply is one to a question.
type reply struct {
	name    string
	settled bool
}

func TestNamesOfPeers(t *testing.T) {
	known, none, notYet := reply{"db.test", true}, reply{"", true}, reply{"", false}
	unnamedFail := connectError(1, 10, 111)
	for name, test := range map[string]struct {
		events  []*event.Event
		replies []reply // in order: there are no more questions
		asked   uint64  // when they are about
		want    []string
	}{
		"known when it opens":           {[]*event.Event{clientOpen(1, 10), clientClose(1, 10, 20)}, []reply{known}, 10, []string{"db.test", "db.test"}},
		"known to have none":            {[]*event.Event{clientOpen(1, 10), clientClose(1, 10, 20)}, []reply{none}, 10, []string{"", ""}},
		"known later, of the same time": {[]*event.Event{clientOpen(1, 10), clientClose(1, 10, 20)}, []reply{notYet, known}, 10, []string{"?", "db.test"}},
		"never known":                   {[]*event.Event{clientOpen(1, 10), clientClose(1, 10, 20)}, []reply{notYet, notYet}, 10, []string{"?", "?"}},
		"the open was lost":             {[]*event.Event{clientClose(1, 10, 20)}, []reply{known}, 10, []string{"db.test"}},
		"an attempt":                    {[]*event.Event{fail(1, 10, 111)}, []reply{known}, 9, []string{"db.test"}},
		"an attempt, not yet":           {[]*event.Event{fail(1, 10, 111)}, []reply{notYet}, 9, []string{"?"}},
		"a connect that fails at once":  {[]*event.Event{unnamedFail}, []reply{known}, 10, []string{"db.test"}},
		"a server":                      {[]*event.Event{serverOpen(1, 10), serverAccept(1, 11), serverClose(1, 10, 20)}, nil, 0, []string{"", ""}},
		"older than the receiver":       {[]*event.Event{existing(1, 10), existingClose(1, 20)}, nil, 0, []string{"", ""}},
		"another connection after it": {
			[]*event.Event{clientOpen(1, 10), clientClose(1, 10, 20), clientOpen(2, 10), clientClose(2, 10, 20)},
			[]reply{known, none}, 10, []string{"db.test", "db.test", "", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			replies := test.replies
			table, _ := newTestTable(t, func(o *Options) {
				o.PeerName = func(q peername.Question) (peername.Answer, bool) {
					assert.Equal(t, peername.Question{Process: owner(1), Address: clientOpen(1, 1).Flow.Remote.Addr(), At: test.asked}, q)
					if !assert.NotEmpty(t, replies, "one question too many") {
						return peername.Answer{}, true
					}
					r := replies[0]
					replies = replies[1:]
					return peername.Answer{Name: r.name}, r.settled
				}
			})
			sink := &namesOfPeers{}
			table.sink = sink
			for _, e := range test.events {
				table.Handle(e)
			}
			assert.Equal(t, test.want, sink.names)
			assert.Empty(t, replies)
		})
	}
}
