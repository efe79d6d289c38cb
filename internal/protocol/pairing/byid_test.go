package pairing

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ids are those of the requests, in the order of their deadlines.
func ids(t *testing.T, b *ByID[int, string]) []int {
	t.Helper()
	var all []int
	var before uint64
	for e := b.Oldest(); e != nil; e = e.links.Next() {
		assert.GreaterOrEqual(t, e.Deadline, before)
		before = e.Deadline
		assert.Same(t, e, b.Get(e.ID))
		all = append(all, e.ID)
		require.LessOrEqual(t, len(all), b.Len(), "a circle")
	}
	assert.Len(t, all, b.Len())
	return all
}

func TestRequestsAreInTheOrderOfTheirDeadlines(t *testing.T) {
	b := ByID[int, string]{Limit: 10}
	for i, deadline := range []uint64{10, 20, 15, 30} { // the third comes late: its deadline is the second's
		b.Add(i, deadline)
	}
	assert.Equal(t, []int{0, 1, 2, 3}, ids(t, &b))
	assert.EqualValues(t, 20, b.Get(2).Deadline)
	b.Renew(b.Get(0), 40)
	assert.Equal(t, []int{1, 2, 3, 0}, ids(t, &b))
	b.Remove(b.Get(2))
	assert.Equal(t, []int{1, 3, 0}, ids(t, &b))
	assert.Nil(t, b.Get(2))
}

func TestLimitOfRequestsIsReported(t *testing.T) {
	for name, test := range map[string]struct{ limit, room int }{
		"none":  {0, 1}, // one has to fit
		"one":   {1, 1},
		"three": {3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			b := ByID[int, string]{Limit: test.limit}
			for i := range test.room {
				assert.False(t, b.Full())
				b.Add(i, 0)
			}
			assert.True(t, b.Full())
			b.Remove(b.Oldest())
			assert.False(t, b.Full())
		})
	}
}

func TestEntriesAreReusedAndFewAreKept(t *testing.T) {
	b := ByID[int, string]{Limit: 1000}
	first := b.Add(1, 0)
	first.Value = "earlier"
	b.Remove(first)
	second := b.Add(2, 0)
	assert.Same(t, first, second)
	assert.Equal(t, "earlier", second.Value)

	for i := 10; i < 500; i++ {
		b.Add(i, 0)
	}
	for b.Oldest() != nil {
		b.Remove(b.Oldest())
	}
	assert.Equal(t, spareEntries, b.Entries())
	assert.Nil(t, b.index, "the memory of the index is given back")
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for i := range spareEntries {
			b.Add(i, 0)
		}
		for b.Oldest() != nil {
			b.Remove(b.Oldest())
		}
	}))
}

// FuzzByID compares random operations with those on a map.
func FuzzByID(f *testing.F) {
	f.Add(uint64(1), uint8(4))
	f.Add(uint64(2), uint8(100))
	f.Fuzz(func(t *testing.T, seed uint64, limit uint8) {
		random := rand.New(rand.NewPCG(seed, 1))
		b, want := ByID[int, string]{Limit: int(limit)}, map[int]bool{}
		for i := range 500 {
			switch id := random.IntN(200); random.IntN(3) {
			case 0, 1:
				if !want[id] && !b.Full() {
					b.Add(id, uint64(i)+random.Uint64N(3))
					want[id] = true
				}
			case 2:
				if e := b.Get(id); e != nil {
					b.Remove(e)
				}
				delete(want, id)
			}
			require.Equal(t, len(want), b.Len())
			require.LessOrEqual(t, b.Len(), max(int(limit), 1))
			require.LessOrEqual(t, b.Entries(), b.Len()+spareEntries)
		}
		for _, id := range ids(t, &b) {
			require.True(t, want[id])
		}
	})
}
