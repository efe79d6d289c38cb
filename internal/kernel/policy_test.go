//go:build linux && (amd64 || arm64)

package kernel

import "testing"

// TestPolicySlotsAreSpread: cookies of sockets, and of the UDP flows of many CPUs, which differ in their upper bits only.
func TestPolicySlotsAreSpread(t *testing.T) {
	const slots = maxSlots
	cookies := map[string]func(i int) uint64{
		"sockets":                func(i int) uint64 { return uint64(i) + 1 },
		"UDP flows of 1 CPU":     func(i int) uint64 { return 1<<63 | uint64(i) },
		"UDP flows of 16 CPUs":   func(i int) uint64 { return 1<<63 | uint64(i%16)<<40 | uint64(i/16) },
		"UDP flows of 1024 CPUs": func(i int) uint64 { return 1<<63 | uint64(i%1024)<<40 | uint64(i/1024) },
		"the syscall mode":       func(i int) uint64 { return uint64(i%2)<<48 | uint64(i)*2 },
		"found by user space":    func(i int) uint64 { return 1<<62 | uint64(i)*MaxShards },
	}
	for name, cookie := range cookies {
		t.Run(name, func(t *testing.T) {
			taken := map[int]bool{}
			for i := range slots / 4 {
				slot := slotOf(cookie(i), slots)
				if slot < 0 || slot >= slots {
					t.Fatalf("slot %d of %d", slot, slots)
				}
				taken[slot] = true
			}
			// At random, 11.5 % of them share a slot with an earlier one.
			if shared := slots/4 - len(taken); shared > slots/4*15/100 {
				t.Errorf("%d of %d cookies share a slot", shared, slots/4)
			}
		})
	}
}
