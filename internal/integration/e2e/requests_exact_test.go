//go:build e2e && linux

package e2e

import (
	"testing"
)

// TestRequests plays workloads one by one before one collector: each request is emitted once for the process that made it and once for the
// one that answered it, as both accounts say, and nothing else is emitted. What is lost during a workload excuses no other one.
func TestRequests(t *testing.T) {
	c := runRequestCollector(t, withRing("16MiB", "1s"))
	lost := make([]losses, len(requestWorkloads))
	compare := playWorkloads(t, c, func(t *testing.T, i int, play func()) {
		before := c.losses(t)
		play()
		lost[i] = c.losses(t).since(before)
	})
	c.finish(t)
	compare(func(i int) losses { return lost[i] })
}

// TestRequestsMixed plays all workloads before one collector, as many at a time as tests may run in parallel.
func TestRequestsMixed(t *testing.T) {
	c := runRequestCollector(t, withRing("64MiB", "1s")) // so many at once write faster than two cores read
	compare := playWorkloads(t, c, func(t *testing.T, _ int, play func()) {
		t.Parallel()
		play()
	})
	lost := c.finish(t)
	compare(func(int) losses { return lost })
}

// playWorkloads has run play each workload, of that number. It returns what compares the spans with the accounts, given what was lost.
func playWorkloads(t *testing.T, c *requestCollector, run func(t *testing.T, i int, play func())) (compare func(lost func(i int) losses)) {
	t.Helper()
	builder := newBuilder(t)
	scenes := make([]*scene, len(requestWorkloads))
	accounts := make([][]account, len(requestWorkloads))
	t.Run("play", func(t *testing.T) {
		for i, w := range requestWorkloads {
			t.Run(w.name, func(t *testing.T) {
				run(t, i, func() {
					scenes[i] = newScene(t, builder, w.name)
					w.play(scenes[i])
					accounts[i] = scenes[i].accounts()
					c.await(scenes[i], accounts[i])
				})
			})
		}
	})
	return func(lost func(i int) losses) {
		t.Helper()
		var table comparisons
		for i, w := range requestWorkloads {
			t.Run(w.name, func(t *testing.T) {
				v := lost(i).compare(w.name, accounts[i], c.of(t, scenes[i].processes(accounts[i])))
				table = append(table, v)
				v.requireExact(t)
			})
		}
		t.Log(table)
	}
}

// TestRequestAccounts plays workloads without a collector: the accounts of both ends have to agree, because all else is compared
// with them.
func TestRequestAccounts(t *testing.T) {
	needRoot(t)
	builder := newBuilder(t)
	for _, w := range requestWorkloads {
		t.Run(w.name, func(t *testing.T) {
			s := newScene(t, builder, w.name)
			w.play(s)
			t.Logf("%d accounts", len(s.accounts()))
		})
	}
}
