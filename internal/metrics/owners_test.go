package metrics

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/splitmix"
	"github.com/socketflow/socketflow/internal/trace"
)

// inOneSet are ends that a small table has in one set.
func inOneSet(i int) trace.End { return trace.End((i + 1) * ownersParts) }

func TestOwnersOfEnds(t *testing.T) {
	o := NewOwners(1000)
	cart, shop := &process.Info{ServiceName: "cart"}, &process.Info{ServiceName: "shop"}
	o.Add(7, cart)
	o.Add(8, shop)
	assert.Same(t, cart, o.Of(7))
	assert.Same(t, shop, o.Of(8))
	assert.Nil(t, o.Of(7+ownersParts), "another one of the same part")
	assert.Nil(t, o.Of(0))
	o.Add(7, shop)
	assert.Same(t, shop, o.Of(7), "it has been described anew")
	o.End(7)
	assert.Same(t, shop, o.Of(7), "the other end may end later")
}

func TestEndsOfConnectionsThatHaveEndedMakeRoom(t *testing.T) {
	o, owner := NewOwners(1), &process.Info{}
	for i := range endsInSet {
		o.Add(inOneSet(i), owner)
	}
	o.End(inOneSet(3))
	o.Add(inOneSet(20), owner)
	assert.Nil(t, o.Of(inOneSet(3)))
	assert.Zero(t, o.Forgotten())
	for i := range endsInSet {
		assert.Equal(t, i != 3, o.Of(inOneSet(i)) != nil, i)
	}
}

func TestEndsThatWereUsedLeastRecentlyMakeRoomAndAreCounted(t *testing.T) {
	o, owner := NewOwners(1), &process.Info{}
	for i := range endsInSet {
		o.Add(inOneSet(i), owner)
	}
	o.Of(inOneSet(0))
	o.Add(inOneSet(20), owner)
	assert.EqualValues(t, 1, o.Forgotten())
	assert.NotNil(t, o.Of(inOneSet(0)))
	assert.Nil(t, o.Of(inOneSet(1)))
	assert.NotNil(t, o.Of(inOneSet(20)))
}

// TestProcessesWithoutEndsAreLetGo: what is kept of processes is bounded by the ends.
func TestProcessesWithoutEndsAreLetGo(t *testing.T) {
	o := NewOwners(1)
	for i := range 10_000 {
		o.Add(inOneSet(i), &process.Info{})
	}
	p := &o.partOf(inOneSet(0)).processes
	assert.Len(t, p.numbers, endsInSet)
	assert.LessOrEqual(t, len(p.all), endsInSet+1)
}

func TestOwnersAreRememberedUpToTheirNumber(t *testing.T) {
	const most = 1 << 14
	o, owner := NewOwners(most), &process.Info{}
	end := func(i int) trace.End { return trace.End(splitmix.Finalize(uint64(i + 1))) }
	for i := range most {
		o.Add(end(i), owner)
	}
	found := 0
	for i := range most {
		if o.Of(end(i)) == owner {
			found++
		}
	}
	assert.Greater(t, found, most*98/100)
	assert.EqualValues(t, most-found, o.Forgotten())
	next := most
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		o.Add(end(next), owner)
		next++
	}))
}

// TestOwnersAreSafeForConcurrentUse is for the race detector.
func TestOwnersAreSafeForConcurrentUse(t *testing.T) {
	o := NewOwners(64)
	var all sync.WaitGroup
	for shard := range 4 {
		all.Go(func() {
			owner := &process.Info{}
			for i := range 1000 {
				end := trace.End(i*4 + shard)
				o.Add(end, owner)
				o.Of(end + 1)
				o.End(end)
				o.Forgotten()
			}
		})
	}
	all.Wait()
	assert.LessOrEqual(t, o.Forgotten(), uint64(4000))
}
