package peername

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/progress"
	"github.com/socketflow/socketflow/internal/protocol"
)

var (
	asker   = process.ID{PID: 10, Start: 700}
	address = netip.MustParseAddr("192.0.2.1")
)

func newTable(t testing.TB, shards int) *Table {
	t.Helper()
	table, err := New(progress.New(shards))
	require.NoError(t, err)
	return table
}

// seconds since boot, as time of an event.
func at(seconds float64) uint64 { return uint64(seconds * float64(time.Second)) }

// answer is an answer to the asker's question at a time (s), with a TTL (s).
type answer struct {
	at   float64
	name string
	ttl  uint32
}

func (a answer) learn(table *Table, id process.ID, addresses ...netip.Addr) {
	r := protocol.Resolution{
		Name: []byte(a.name), Asked: protocol.Stamp{PID: id.PID, Start: id.Start}, Answered: protocol.Stamp{Time: at(a.at)},
	}
	for _, address := range addresses {
		r.Addresses = append(r.Addresses, protocol.Resolved{Address: address, TTL: a.ttl})
	}
	table.Learn(&r)
}

func ask(table *Table, id process.ID, address netip.Addr, seconds float64) string {
	a, _ := table.Ask(Question{id, address, at(seconds)})
	return a.Name
}

func TestNameOfAnAddress(t *testing.T) {
	for name, test := range map[string]struct {
		answers []answer
		want    map[float64]string // by time, s
	}{
		"nothing was asked":                 {nil, map[float64]string{1: ""}},
		"from the answer until the TTL":     {[]answer{{100, "a", 60}}, map[float64]string{99.9: "", 100: "a", 159.9: "a", 160: ""}},
		"a TTL of 0 holds for 10 s":         {[]answer{{100, "a", 0}}, map[float64]string{100: "a", 109.9: "a", 110: ""}},
		"a TTL of days holds for an hour":   {[]answer{{100, "a", 1 << 31}}, map[float64]string{3699.9: "a", 3700: ""}},
		"a later answer extends":            {[]answer{{100, "a", 60}, {150, "a", 60}}, map[float64]string{100: "a", 155: "a", 209: "a", 210: ""}},
		"a later answer shortens":           {[]answer{{100, "a", 600}, {150, "a", 20}}, map[float64]string{100: "a", 169: "a", 170: ""}},
		"the next name, when one is over":   {[]answer{{100, "a", 60}, {160, "b", 60}}, map[float64]string{160: "b", 219: "b", 220: ""}},
		"two names at a time":               {[]answer{{100, "a", 60}, {120, "b", 60}}, map[float64]string{120: "", 159: "", 160: "b", 179: "b", 180: ""}},
		"the first of two holds for longer": {[]answer{{100, "a", 600}, {120, "b", 60}}, map[float64]string{120: "", 179: "", 180: "a", 699: "a", 700: ""}},
		"two names that end together":       {[]answer{{100, "a", 60}, {100, "b", 60}}, map[float64]string{100: "", 159: "", 160: ""}},
		"two names in turns": {
			[]answer{{100, "a", 10}, {105, "b", 10}, {110, "a", 10}, {115, "b", 10}}, map[float64]string{112: "", 117: "", 119: "", 121: "b"},
		},
		"two names, one of them again": {
			[]answer{{100, "a", 600}, {120, "b", 60}, {170, "a", 600}}, map[float64]string{170: "", 179: "", 180: "a", 769: "a", 770: ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := newTable(t, 1)
			for _, a := range test.answers {
				a.learn(table, asker, address)
			}
			for seconds, want := range test.want {
				assert.Equal(t, want, ask(table, asker, address, seconds), "at %v s", seconds)
			}
		})
	}
}

func TestNameIsThatOfTheProcessThatAsked(t *testing.T) {
	table := newTable(t, 1)
	second := netip.MustParseAddr("2001:db8::1")
	answer{100, "a", 60}.learn(table, asker, address, second)
	answer{100, "b", 60}.learn(table, process.ID{PID: 11, Start: 700}, address)
	answer{100, "nobody", 60}.learn(table, process.ID{}, address)
	for _, test := range []struct {
		id      process.ID
		address netip.Addr
		want    string
	}{
		{asker, address, "a"},
		{asker, second, "a"},
		{asker, netip.MustParseAddr("192.0.2.2"), ""},
		{process.ID{PID: 11, Start: 700}, address, "b"},
		{process.ID{PID: 10, Start: 701}, address, ""}, // another process that has the pid
		{process.ID{PID: 12, Start: 700}, address, ""},
		{process.ID{}, address, ""},
	} {
		assert.Equal(t, test.want, ask(table, test.id, test.address, 101), test)
	}
}

func TestQuestionThatHasANameIsSettled(t *testing.T) {
	table := newTable(t, 2)
	settled := func() bool {
		_, settled := table.Ask(Question{asker, address, at(100)})
		return settled
	}
	assert.False(t, settled())
	answer{100, "a", 60}.learn(table, asker, address)
	assert.True(t, settled())

	table = newTable(t, 2)
	table.progress.Reach(0, at(100))
	assert.False(t, settled())
	table.progress.Leave(1)
	assert.True(t, settled(), "nothing is left that could name it")
}

func numbered(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func TestFloodRemovesNoMoreThanOneOfThirtyTwo(t *testing.T) {
	table := newTable(t, 1)
	const others = 640
	for i := range others {
		answer{100, "other", 600}.learn(table, process.ID{PID: uint32(1000 + i)}, address)
	}
	const flood = 10 * partEntries
	for i := range flood {
		answer{101, fmt.Sprint("flood", i), 600}.learn(table, asker, numbered(i))
	}
	kept := 0
	for i := range others {
		if ask(table, process.ID{PID: uint32(1000 + i)}, address, 102) == "other" {
			kept++
		}
	}
	assert.Less(t, others-kept, others/8, "expected are %d of %d", others/parts, others)
	assert.Equal(t, "flood5119", ask(table, asker, numbered(flood-1), 102))
	assert.Empty(t, ask(table, asker, numbered(0), 102))
	assert.Equal(t, Stats{Remembered: kept + partEntries, Evicted: uint64(flood - partEntries + others - kept)}, table.Stats())
}

func TestNamesThatDoNotHoldAnyMoreMakeRoomUncounted(t *testing.T) {
	table := newTable(t, 1)
	for i := range 2 * partEntries {
		answer{float64(100 + i), "a", 1}.learn(table, asker, numbered(i))
	}
	assert.EqualValues(t, 0, table.Stats().Evicted)
	assert.Equal(t, partEntries, table.Stats().Remembered)
}

func TestNameThatIsUsedStays(t *testing.T) {
	table := newTable(t, 1)
	answer{100, "used", 3600}.learn(table, asker, address)
	for i := range 2 * partEntries {
		answer{101, "a", 3600}.learn(table, asker, numbered(i))
		require.Equal(t, "used", ask(table, asker, address, 102), i)
	}
}

func TestQuestionsAndRepeatedAnswersDoNotAllocate(t *testing.T) {
	table := newTable(t, 2)
	r := protocol.Resolution{
		Name: []byte("a"), Asked: protocol.Stamp{PID: asker.PID, Start: asker.Start, Began: at(99)}, Answered: protocol.Stamp{Time: at(100)},
		Addresses: []protocol.Resolved{{Address: address, TTL: 60}},
	}
	table.Learn(&r)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		table.Learn(&r)
		if a, _ := table.Ask(Question{asker, address, at(101)}); a.Name != "a" || a.Lookup == 0 {
			t.Error(a)
		}
		if a, _ := table.Ask(Question{asker, numbered(1), at(101)}); a != (Answer{}) {
			t.Error(a)
		}
	}))
}

// TestConcurrentUse is for the race detector. Each goroutine finds what it has put there.
func TestConcurrentUse(t *testing.T) {
	const shards, rounds = 8, 400
	table := newTable(t, shards)
	var all sync.WaitGroup
	for shard := range shards {
		id := process.ID{PID: uint32(1 + shard%4), Start: 7}
		all.Go(func() {
			for i := range rounds {
				own := numbered(shard<<16 + i%16)
				name := fmt.Sprint(shard, "-", i%16)
				answer{float64(i), name, 3600}.learn(table, id, own)
				if got := ask(table, id, own, float64(i)); got != name {
					t.Errorf("%q, not %q", got, name)
				}
				table.progress.Reach(shard, at(float64(i)))
				table.Stats()
			}
			table.progress.Leave(shard)
		})
	}
	all.Wait()
	_, settled := table.Ask(Question{asker, address, at(rounds)})
	assert.True(t, settled)
}

// A name is asked for while the shard that has its answer learns it: whoever hears that the question is settled has heard the name.
func TestNoNameIsLearntAfterItsQuestionIsSettled(t *testing.T) {
	missed := 0
	for range 5000 {
		table := newTable(t, 1)
		var learning sync.WaitGroup
		learning.Go(func() {
			answer{100, "a.test", 60}.learn(table, asker, address)
			table.progress.Reach(0, at(100))
		})
		a, settled := Answer{}, false
		for !settled {
			a, settled = table.Ask(Question{asker, address, at(100)})
		}
		if a.Name == "" {
			missed++
		}
		learning.Wait()
	}
	assert.Zero(t, missed)
}

func BenchmarkAsk(b *testing.B) {
	table := newTable(b, 4)
	answer{100, "a.test", 3600}.learn(table, asker, address)
	for _, of := range []struct {
		name    string
		address netip.Addr
	}{{"named", address}, {"unnamed", numbered(1)}} {
		b.Run(of.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				table.Ask(Question{asker, of.address, at(101)})
			}
		})
	}
}
