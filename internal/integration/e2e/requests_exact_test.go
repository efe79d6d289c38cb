//go:build e2e && linux

package e2e

import (
	"testing"
)

// TestRequests plays workloads one by one: each request is emitted once for the process that made it and once for the one that
// answered it, as both accounts say, and nothing else is emitted.
func TestRequests(t *testing.T) {
	builder := newBuilder(t)
	var table comparisons
	for _, w := range requestWorkloads {
		t.Run(w.name, func(t *testing.T) {
			c := runRequestCollector(t, withRing("16MiB", "1s"))
			s := newScene(t, builder, w.name)
			w.play(s)
			accounts := s.accounts()
			c.await(s, accounts)
			v := c.finish(t).compare(w.name, accounts, c.of(t, s.processes(accounts)))
			table = append(table, v)
			v.requireExact(t)
		})
	}
	t.Log(table)
}

// TestRequestsMixed plays all workloads before one collector, as many at a time as tests may run in parallel.
func TestRequestsMixed(t *testing.T) {
	builder := newBuilder(t)
	c := runRequestCollector(t, withRing("64MiB", "1s")) // so many at once write faster than two cores read
	scenes := make([]*scene, len(requestWorkloads))
	accounts := make([][]account, len(requestWorkloads))
	t.Run("play", func(t *testing.T) {
		for i, w := range requestWorkloads {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				scenes[i] = newScene(t, builder, w.name)
				w.play(scenes[i])
				accounts[i] = scenes[i].accounts()
				c.await(scenes[i], accounts[i])
			})
		}
	})
	lost := c.finish(t)
	var table comparisons
	for i, w := range requestWorkloads {
		t.Run(w.name, func(t *testing.T) {
			v := lost.compare(w.name, accounts[i], c.of(t, scenes[i].processes(accounts[i])))
			table = append(table, v)
			v.requireExact(t)
		})
	}
	t.Log(table)
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
