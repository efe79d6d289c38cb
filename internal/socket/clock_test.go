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
			c.Sync(first, begin, first)
			known := c.Unix(first)
			if known != begin.UnixNano() {
				t.Fatalf("the first reading is taken for %d, want %d", known, begin.UnixNano())
			}
			now := first + uint64(test.passed)
			c.Sync(now-uint64(test.before), begin.Add(test.passed+test.set), now+uint64(test.behind))
			if moved := time.Duration(c.Unix(first) - known); moved != test.moved {
				t.Errorf("times have moved by %s, want %s", moved, test.moved)
			}
		})
	}
}
