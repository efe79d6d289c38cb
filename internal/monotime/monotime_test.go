//go:build linux

package monotime

import (
	"testing"
	"time"
)

func TestNowAdvancesWithTheWallClock(t *testing.T) {
	wall, before := time.Now(), Now()
	time.Sleep(time.Millisecond)
	after := Now()
	if passed := time.Duration(after - before); passed < time.Millisecond || passed > time.Since(wall) {
		t.Errorf("%s have passed of %s", passed, time.Since(wall))
	}
}
