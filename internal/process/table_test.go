package process

import (
	"testing"
	"time"
)

func newTable(t *testing.T, capacity int, grace time.Duration) *Table {
	t.Helper()
	table, err := NewTable(capacity, grace)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func id(pid uint32) ID { return ID{PID: pid, Start: 100} }

func has(t *testing.T, table *Table, want ...uint32) {
	t.Helper()
	equal(t, "length", table.Len(), len(want))
	for _, pid := range want {
		_, live := table.live.Peek(id(pid)) // Get would be a use
		_, exited := table.exited.Peek(id(pid))
		if live == exited {
			t.Errorf("pid %d: live %t, exited %t", pid, live, exited)
		}
	}
}

func TestTableKeepsWhatIsAdded(t *testing.T) {
	table := newTable(t, 10, time.Minute)
	first, second := &Info{ID: id(1), Comm: "first"}, &Info{ID: id(1), Comm: "second"}
	table.Add(first)
	if got, ok := table.Get(id(1)); !ok || got != first {
		t.Errorf("got %v, %t", got, ok)
	}
	if got, ok := table.Get(ID{PID: 1, Start: 101}); ok || got != nil {
		t.Errorf("a reused pid is another process, got %v", got)
	}
	table.Add(second)
	if got, _ := table.Get(id(1)); got != second {
		t.Errorf("got %v, want the later description", got)
	}
	equal(t, "length", table.Len(), 1)
}

func TestAnExitedProcessIsKeptForTheGracePeriod(t *testing.T) {
	now := time.Unix(1000, 0)
	table := newTable(t, 10, 30*time.Second)
	for pid := range uint32(3) {
		table.Add(&Info{ID: id(pid)})
	}
	table.Exited(id(0), now)
	table.Exited(id(1), now.Add(10*time.Second))
	table.Exited(id(1), now.Add(20*time.Second)) // again: changes nothing
	table.Exited(id(9), now)                     // not in the table

	equal(t, "expired", table.Expire(now.Add(29*time.Second)), 0)
	has(t, table, 0, 1, 2)
	if _, ok := table.Get(id(0)); !ok {
		t.Error("not found in its grace period")
	}
	late := &Info{ID: id(0), Comm: "late"}
	table.Add(late) // described after its exit: still exited
	if got, _ := table.Get(id(0)); got != late {
		t.Errorf("got %v", got)
	}
	equal(t, "expired", table.Expire(now.Add(30*time.Second)), 1)
	has(t, table, 1, 2)
	equal(t, "expired", table.Expire(now.Add(time.Hour)), 1)
	has(t, table, 2)
}

func TestAnExecReplacesTheProcessButNotTheOwnerOfItsSockets(t *testing.T) {
	table := newTable(t, 10, time.Minute)
	table.Add(&Info{ID: id(1), Comm: "sh"})
	socket, _ := table.Get(id(1))
	table.Add(&Info{ID: id(1), Comm: "curl"})
	next, _ := table.Get(id(1))
	equal(t, "what the socket holds", socket.Comm, "sh")
	equal(t, "what the next one will", next.Comm, "curl")
	has(t, table, 1)
}

func TestAFullTableEvictsTheFirstExitedThenTheLeastRecentlyUsed(t *testing.T) {
	now := time.Unix(1000, 0)
	table := newTable(t, 3, time.Hour)
	for pid := range uint32(3) {
		table.Add(&Info{ID: id(pid)})
	}
	table.Exited(id(2), now)
	table.Exited(id(1), now)
	table.Get(id(2)) // a use does not postpone the expiry of an exited process

	table.Add(&Info{ID: id(3)})
	has(t, table, 0, 1, 3)
	table.Add(&Info{ID: id(4)})
	has(t, table, 0, 3, 4)
	table.Get(id(0))
	table.Add(&Info{ID: id(5)})
	has(t, table, 0, 4, 5)
	table.Add(&Info{ID: id(4)}) // already in the table: nothing is evicted
	has(t, table, 0, 4, 5)

	exited, live := table.Evicted()
	equal(t, "evicted exited", exited, 2)
	equal(t, "evicted live", live, 1)
}

func TestATableNeedsACapacity(t *testing.T) {
	for _, c := range []struct {
		capacity int
		grace    time.Duration
	}{{0, 0}, {-1, 0}, {1, -1}} {
		if _, err := NewTable(c.capacity, c.grace); err == nil {
			t.Errorf("%+v: want an error", c)
		}
	}
}

func TestGetDoesNotAllocate(t *testing.T) {
	table := newTable(t, 100, time.Minute)
	for pid := range uint32(100) {
		table.Add(&Info{ID: id(pid)})
	}
	table.Exited(id(7), time.Unix(0, 0))
	var pid uint32
	allocations := testing.AllocsPerRun(1000, func() {
		table.Get(id(pid % 110)) // living, exited, unknown
		pid++
	})
	equal(t, "allocations", allocations, 0)
}

func BenchmarkGet(b *testing.B) {
	table, err := NewTable(4096, time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	for pid := range uint32(4096) {
		table.Add(&Info{ID: id(pid)})
	}
	b.ReportAllocs()
	var pid uint32
	for b.Loop() {
		table.Get(id(pid & 4095))
		pid++
	}
}
