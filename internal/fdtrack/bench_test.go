package fdtrack

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
)

// connectionFeed feeds a Tracker with the events of one connection after another. What the Tracker emits is discarded.
func connectionFeed(t testing.TB) func(local string, completing bool) func() {
	shared, err := NewShared(Limits{})
	require.NoError(t, err)
	var sum uint64
	c, err := New(Options{
		Shared: shared, Kernel: &fakeKernel{}, Resolver: &fakeResolver{}, NewCookie: func() uint64 { return 0 },
		Next: func(e *event.Event) { sum += e.Flow.Cookie },
	})
	require.NoError(t, err)
	var cookie, now uint64
	return func(local string, completing bool) func() {
		templates := []event.Event{open(1, local, remote), data(1, "some payload"), data(1, "some more"), closing(1)}
		if completing {
			templates = append(templates[:3:3], named(1, "10.0.0.1:50000", "", event.AddressSourceGetsockname), templates[3])
		}
		var e event.Event
		return func() {
			cookie++
			for i := range templates {
				now++
				e = templates[i]
				e.Time, e.Flow.Cookie = now, cookie
				c.Handle(&e)
			}
		}
	}
}

func TestNothingIsAllocatedPerEvent(t *testing.T) {
	connection := connectionFeed(t)
	for name, run := range map[string]func(){
		"complete": connection(local, false),
		"waiting":  connection("", true),
	} {
		for range 100 {
			run()
		}
		assert.Zero(t, testing.AllocsPerRun(1000, run), name)
	}
}

func BenchmarkConnection(b *testing.B) {
	for name, test := range map[string]struct {
		local      string
		completing bool
	}{
		"complete": {local, false},
		"waiting":  {"", true},
	} {
		b.Run(name, func(b *testing.B) {
			run := connectionFeed(b)(test.local, test.completing)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}
