package socket

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/trace"
)

// TestPeerIsSoughtUntilAllIsKnown: the other end may be noted later, and need not be on this host.
func TestPeerIsSoughtUntilAllIsKnown(t *testing.T) {
	var known *process.Info
	var settled bool
	var since []uint64
	asked := 0
	table, _ := newTestTable(t, func(o *Options) {
		o.PeerOf = func(trace.End) *process.Info { asked++; return known }
		o.Settled = func(at uint64) bool { since = append(since, at); return settled }
	})
	report := func() (peer *process.Info, settled bool) {
		table.EachOpen(50, func(c *Connection) bool {
			peer, settled = c.Peer, c.PeerSettled
			assert.Equal(t, table.connections[1].otherEnd(), c.OtherEnd)
			return false
		})
		return peer, settled
	}
	table.Handle(numbered(clientOpen(1, 10), event.RoleClient))
	peer, sure := report()
	assert.Nil(t, peer)
	assert.False(t, sure)

	known = &process.Info{ServiceName: "cart"}
	peer, sure = report()
	assert.Same(t, known, peer)
	assert.True(t, sure)
	before := asked
	report()
	assert.Equal(t, before, asked, "who has the other end does not change")
	assert.Equal(t, []uint64{50, 50}, since, "what happened since the first question does not matter")

	known, settled = nil, true
	table.Handle(numbered(clientOpen(2, 20), event.RoleClient))
	table.EachOpen(60, func(c *Connection) bool {
		if c.ID != table.connections[1].id {
			assert.Nil(t, c.Peer)
			assert.True(t, c.PeerSettled, "it is on another host")
		}
		return false
	})
}

func TestWithoutAPairThereIsNothingToAwait(t *testing.T) {
	table, _ := newTestTable(t, func(o *Options) {
		o.PeerOf = func(trace.End) *process.Info { t.Error("asked"); return nil }
		o.Settled = func(uint64) bool { return false }
	})
	table.Handle(clientOpen(1, 10)) // without sequence numbers
	table.EachOpen(50, func(c *Connection) bool {
		assert.True(t, c.PeerSettled)
		assert.Zero(t, c.OtherEnd)
		return false
	})
}

// TestEachOpenReportsWhatIsOpen, and remembers what was counted.
func TestEachOpenReportsWhatIsOpen(t *testing.T) {
	table, _ := newTestTable(t, nil)
	table.Handle(clientOpen(1, 10))
	table.Handle(clientOpen(2, 11))
	table.Handle(serverOpen(3, 12)) // nobody has accepted it yet
	counted := func() (counted, all int) {
		table.EachOpen(50, func(c *Connection) bool {
			if all++; c.Counted {
				counted++
			}
			return c.ID == table.connections[1].id
		})
		return counted, all
	}
	before, all := counted()
	assert.Equal(t, []int{0, 2}, []int{before, all})
	before, all = counted()
	assert.Equal(t, []int{1, 2}, []int{before, all})

	table.Handle(serverAccept(3, 20))
	table.Handle(clientClose(2, 11, 30))
	_, all = counted()
	assert.Equal(t, 2, all)
	table.EachOpen(50, func(c *Connection) bool {
		if c.Role == event.RoleServer {
			assert.Positive(t, c.AcceptedAt)
			assert.EqualValues(t, 8, c.AcceptedAt-c.OpenedAt)
		}
		return false
	})
}
