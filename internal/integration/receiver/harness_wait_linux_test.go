package receiver_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/integration/workload"
)

// bound is the longest wait for anything that has to happen.
var bound = patience(20 * time.Second)

// pause is the time between two looks.
const pause = 5 * time.Millisecond

// patience scales a time limit of a real machine to this machine.
func patience(limit time.Duration) time.Duration {
	if emulated() {
		return 5 * limit
	}
	return limit
}

// until waits for a condition, and reports whether it was met in time.
func until(deadline time.Time, holds func() bool) bool {
	for ; !holds(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// within waits for a condition, for bound at the most.
func within(holds func() bool) bool { return until(time.Now().Add(bound), holds) }

// await waits for a condition, and fails the test if it is not met.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if !within(holds) {
		t.Fatalf("not within %s: %s", bound, what)
	}
}

// awaitEnds waits until the end of each socket has been emitted. If one is missing, verify names it.
func (o *observation) awaitEnds(t *testing.T, ends []workload.End) {
	t.Helper()
	if missing := o.missingEnds(time.Now().Add(bound), len(ends), pidsOf(ends)); missing > 0 {
		t.Errorf("of %d connections and attempts %d had no end emitted within %s", len(ends), missing, bound)
	}
}

// awaitFlows waits until as many ends were emitted as there are in several workloads, and returns how many are missing.
// verifyFlows checks whether they are the right ones.
func (o *observation) awaitFlows(all ...[]workload.Flow) (missing int) {
	deadline := time.Now().Add(bound)
	for _, flows := range all {
		var over []workload.Transport
		for i := range flows {
			if !slices.Contains(over, flows[i].Transport) {
				over = append(over, flows[i].Transport)
			}
		}
		missing += o.missingEnds(deadline, len(flows), flowPIDs(flows), over...)
	}
	return missing
}

// missingEnds waits until so many ends of processes were emitted, over some transports or any, and returns how many are missing.
func (o *observation) missingEnds(deadline time.Time, want int, pids []int, over ...workload.Transport) (missing int) {
	until(deadline, func() bool {
		missing = max(0, want-o.countEnds(pids, over...))
		return missing == 0
	})
	return missing
}

// awaitOpened waits until the openings of a process's connections were emitted.
func (o *observation) awaitOpened(t *testing.T, pid, connections int) {
	t.Helper()
	await(t, fmt.Sprintf("%d openings of connections of %d are emitted", connections, pid), func() bool {
		return o.count([]int{pid}, opened) >= connections
	})
}
