package framing

import "testing"

func TestGarbageIsBounded(t *testing.T) {
	for name, x := range map[string]struct {
		size   int
		proven bool
		want   int // calls
	}{
		"small calls":                   {1, true, garbageCalls},
		"large calls":                   {garbageBytes / 4, true, 4},
		"small calls, nothing was read": {1, false, garbageCalls / unproven},
		"large calls, nothing was read": {garbageBytes / unproven, false, 1},
	} {
		var g Garbage
		calls := 1
		for ; !g.Add(x.size, x.proven) && calls <= garbageCalls; calls++ {
		}
		if calls != x.want {
			t.Errorf("%s: enough after %d", name, calls)
		}
	}
}
