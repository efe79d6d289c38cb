package trace

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEndsThatAreObserved(t *testing.T) {
	ends, err := NewEnds(1000)
	require.NoError(t, err)
	assert.False(t, ends.Has(7))
	ends.Add(7)
	assert.True(t, ends.Has(7))
	assert.False(t, ends.Has(7+parts), "another one of the same part")
}

func TestEndsThatWereUsedLeastRecentlyMakeRoom(t *testing.T) {
	ends, err := NewEnds(parts) // two for each part
	require.NoError(t, err)
	ends.Add(parts)
	ends.Add(2 * parts)
	ends.Has(parts)
	ends.Add(3 * parts)
	assert.True(t, ends.Has(parts))
	assert.False(t, ends.Has(2*parts))
	assert.True(t, ends.Has(3*parts))
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	ends, err := NewEnds(1 << 16)
	require.NoError(t, err)
	var all sync.WaitGroup
	for shard := range End(4) {
		all.Go(func() {
			for i := range End(1000) {
				end := shard<<32 | i
				if ends.Add(end); !ends.Has(end) {
					t.Errorf("%d is not there", end)
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkHas(b *testing.B) {
	ends, err := NewEnds(1 << 17)
	require.NoError(b, err)
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
