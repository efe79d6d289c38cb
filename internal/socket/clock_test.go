package socket

import (
	"testing"
	"time"
)

func TestClockMovesOnlyWhenTheWallClockWasSet(t *testing.T) {
	const first = uint64(10 * time.Second) // CLOCK_MONOTONIC at the first reading
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for name, test := range map[string]struct {
		passed         time.Duration // between the readings of the wall clock
		before, behind time.Duration // how long before and after the second reading CLOCK_MONOTONIC was read
		set            time.Duration // by how much the wall clock was changed
		moved          time.Duration
	}{
		"at once":                         {passed: time.Second},
		"a wait before the wall clock":    {passed: time.Second, before: ms(50)},
		"a wait behind the wall clock":    {passed: time.Second, behind: ms(50)},
		"a short wait":                    {passed: time.Second, behind: ms(1)},
		"the clock was set by little":     {passed: time.Second, set: ms(1)},
		"the clock was set forward":       {passed: time.Second, set: ms(50), moved: ms(50)},
		"the clock was set back":          {passed: time.Second, set: -time.Hour, moved: -time.Hour},
		"it was set, and there is a wait": {passed: time.Second, set: time.Hour, before: ms(50)},
	} {
		t.Run(name, func(t *testing.T) {
			var c Clock
			begin := time.Unix(1000, 0)
			c.Sync(Reading{Before: first, Wall: begin, After: first})
			known := c.Unix(first)
			if known != begin.UnixNano() {
				t.Fatalf("the first reading is taken for %d, want %d", known, begin.UnixNano())
			}
			now := first + uint64(test.passed)
			c.Sync(Reading{Before: now - uint64(test.before), Wall: begin.Add(test.passed + test.set), After: now + uint64(test.behind)})
			if moved := time.Duration(c.Unix(first) - known); moved != test.moved {
				t.Errorf("times have moved by %s, want %s", moved, test.moved)
			}
		})
	}
}

// The host is suspended for an hour, twice, each time between two readings. What happened before keeps its time.
func TestClockKnowsSuspends(t *testing.T) {
	const second = uint64(time.Second)
	begin := time.Unix(1000, 0)
	var c Clock
	read := func(monotonic uint64, suspended time.Duration) {
		c.Sync(Reading{
			Before: monotonic, Wall: begin.Add(time.Duration(monotonic) + suspended - time.Minute), After: monotonic, Suspended: suspended,
		})
	}
	read(10*second, time.Minute) // before the collector was there
	read(11*second, time.Minute+50*time.Millisecond)
	read(12*second, time.Minute+time.Hour)
	read(20*second, time.Minute+time.Hour)
	read(21*second, time.Minute+3*time.Hour)
	for at, hours := range map[uint64]int{5: 0, 10: 0, 11: 0, 12: 1, 15: 1, 20: 1, 21: 3, 30: 3} {
		want := begin.Add(time.Duration(at*second) + time.Duration(hours)*time.Hour)
		if got := time.Unix(0, c.Unix(at*second)); got.Sub(want).Abs() > 51*time.Millisecond {
			t.Errorf("%d s: %s, want %s", at, got, want)
		}
	}
	for _, between := range []struct {
		from, to uint64
		want     time.Duration
	}{{5, 6, time.Second}, {11, 12, time.Second + time.Hour}, {5, 30, 25*time.Second + 3*time.Hour}, {22, 30, 8 * time.Second}, {30, 5, 0}} {
		if got := time.Duration(c.Between(between.from*second, between.to*second)); got != between.want {
			t.Errorf("from %d to %d: %s, want %s", between.from, between.to, got, between.want)
		}
	}
}

func TestClockRemembersSomeSuspends(t *testing.T) {
	var c Clock
	for i := range uint64(3 * maxSuspends) {
		at := i * uint64(time.Second)
		c.Sync(Reading{
			Before: at, Wall: time.Unix(0, int64(at)+int64(i)*int64(time.Hour)), After: at, Suspended: time.Duration(i) * time.Hour,
		})
	}
	if len(c.suspends) != maxSuspends || cap(c.suspends) > 2*maxSuspends {
		t.Errorf("%d suspends are remembered", len(c.suspends))
	}
	last := uint64(3*maxSuspends - 1)
	if got := c.Between((last-10)*uint64(time.Second), last*uint64(time.Second)); got != 10*int64(time.Hour+time.Second) {
		t.Errorf("the last ten took %s", time.Duration(got))
	}
}
