package trace

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/splitmix"
)

func TestEndsThatAreObserved(t *testing.T) {
	ends := NewEnds(1000)
	assert.False(t, ends.Has(7))
	ends.Add(7)
	assert.True(t, ends.Has(7))
	ends.Add(0)
	assert.False(t, ends.Has(0), "0 is no end")
	assert.False(t, ends.Has(7+parts), "another one of the same part")
}

func TestEndsThatWereUsedLeastRecentlyMakeRoom(t *testing.T) {
	ends := NewEnds(1) // a set for each part
	for i := range End(endsInSet) {
		ends.Add((i + 1) * parts)
	}
	ends.Has(parts)
	ends.Add(100 * parts)
	ends.Add(100 * parts)
	assert.True(t, ends.Has(parts))
	assert.False(t, ends.Has(2*parts))
	assert.True(t, ends.Has(3*parts))
	assert.True(t, ends.Has(100*parts))
}

// TestEndsAreRememberedUpToTheirNumber: all but a few, whose sets were full.
func TestEndsAreRememberedUpToTheirNumber(t *testing.T) {
	const most = 1 << 14
	ends := NewEnds(most)
	end := func(i uint64) End { return End(splitmix.Finalize(i + 1)) }
	for i := range uint64(most) {
		ends.Add(end(i))
	}
	found := 0
	for i := range uint64(most) {
		if ends.Has(end(i)) {
			found++
		}
	}
	assert.Greater(t, found, most*98/100)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { ends.Add(end(most)) }))
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	ends := NewEnds(1 << 16)
	var all sync.WaitGroup
	for shard := range End(4) {
		all.Go(func() {
			for i := range End(1000) {
				end := shard<<32 | (i + 1) // 0 is no end
				if ends.Add(end); !ends.Has(end) {
					t.Errorf("%d is not there", end)
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkHas(b *testing.B) {
	ends := NewEnds(1 << 17)
	for end := range End(1 << 16) {
		ends.Add(end * 0x9e3779b97f4a7c15)
	}
	for _, x := range []struct {
		name string
		add  End
	}{{"observed", 0}, {"not observed", 1}} {
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			var end End
			for b.Loop() {
				end = (end + 1) % (1 << 16)
				ends.Has(end*0x9e3779b97f4a7c15 + x.add)
			}
		})
	}
}
