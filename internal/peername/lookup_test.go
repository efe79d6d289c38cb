package peername

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/protocol"
)

// lookedUp is a query of a thread that has been answered; times in s.
type lookedUp struct {
	asked, answered float64
	thread          uint32
}

func TestALookupBelongsToTheFirstConnectionAfterIt(t *testing.T) {
	type connect struct {
		at   float64 // s
		want time.Duration
	}
	for name, test := range map[string]struct {
		lookups  []lookedUp
		connects []connect
	}{
		"the first one":           {[]lookedUp{{100, 100.25, 1}}, []connect{{100.5, 250 * time.Millisecond}, {100.75, 0}}},
		"asked once more":         {[]lookedUp{{100, 100.25, 1}}, []connect{{100.5, 250 * time.Millisecond}, {100.5, 250 * time.Millisecond}}},
		"it was there before":     {[]lookedUp{{100, 100.25, 1}}, []connect{{100.125, 0}, {100.5, 250 * time.Millisecond}}},
		"much later":              {[]lookedUp{{100, 100.25, 1}}, []connect{{102, 0}}},
		"each after its own":      {[]lookedUp{{100, 100.25, 1}, {101, 101.5, 1}}, []connect{{101.5, 500 * time.Millisecond}}},
		"one thread asks again":   {[]lookedUp{{100, 100.25, 1}, {100.125, 100.5, 1}}, []connect{{100.75, 375 * time.Millisecond}}},
		"two threads ask at once": {[]lookedUp{{100, 100.25, 1}, {100.125, 100.5, 2}}, []connect{{100.75, 0}, {100.875, 0}}},
		"of two threads, in turn": {[]lookedUp{{100, 100.25, 1}, {100.5, 100.75, 2}}, []connect{{100.75, 250 * time.Millisecond}}},
	} {
		t.Run(name, func(t *testing.T) {
			table := newTable(t, 1)
			for _, l := range test.lookups {
				table.Learn(&protocol.Resolution{
					Name:      []byte("a.test"),
					Asked:     protocol.Stamp{PID: asker.PID, Start: asker.Start, TID: l.thread, Began: at(l.asked), Time: at(l.asked)},
					Answered:  protocol.Stamp{Time: at(l.answered)},
					Addresses: []protocol.Resolved{{Address: address, TTL: 60}},
				})
			}
			for _, c := range test.connects {
				a, _ := table.Ask(Question{asker, address, at(c.at)})
				assert.Equal(t, c.want, a.Lookup, "at %v s", c.at)
			}
		})
	}
}

func TestALookupBelongsToTheConnectionBeforeTheNext(t *testing.T) {
	table := newTable(t, 1)
	look := func(asked, answered float64, thread uint32) {
		table.Learn(&protocol.Resolution{
			Name: []byte("a.test"), Asked: protocol.Stamp{PID: asker.PID, Start: asker.Start, TID: thread, Began: at(asked)},
			Answered: protocol.Stamp{Time: at(answered)}, Addresses: []protocol.Resolved{{Address: address, TTL: 60}},
		})
	}
	look(100, 100.25, 1)
	a, _ := table.Ask(Question{asker, address, at(100.25)})
	assert.Equal(t, 250*time.Millisecond, a.Lookup)
	look(100.125, 100.5, 2)
	a, _ = table.Ask(Question{asker, address, at(100.5)})
	assert.Equal(t, 375*time.Millisecond, a.Lookup, "the first one has its connection")
}
