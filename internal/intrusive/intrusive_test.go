package intrusive

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type element struct {
	name  int
	links Links[element]
}

// most is more elements than any list of these tests has: a longer list is a circle.
const most = 100

// names returns the names in order, and checks that both directions agree.
func names(t *testing.T, l *List[element]) []int {
	t.Helper()
	var forward, backward []int
	for e := l.First(); e != nil; e = e.links.Next() {
		forward = append(forward, e.name)
		require.Less(t, len(forward), most)
	}
	for e := l.Last(); e != nil; e = e.links.Prev() {
		backward = append(backward, e.name)
		require.Less(t, len(backward), most)
	}
	slices.Reverse(backward)
	assert.Equal(t, forward, backward)
	return forward
}

func TestOrder(t *testing.T) {
	for name, test := range map[string]struct {
		size   int
		remove []int
		want   []int
	}{
		"empty":            {},
		"one":              {size: 1, want: []int{0}},
		"three":            {size: 3, want: []int{0, 1, 2}},
		"without the only": {size: 1, remove: []int{0}},
		"without the last": {size: 3, remove: []int{2}, want: []int{0, 1}},
		"without first":    {size: 3, remove: []int{0}, want: []int{1, 2}},
		"without middle":   {size: 3, remove: []int{1}, want: []int{0, 2}},
		"without all":      {size: 3, remove: []int{1, 0, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			var l List[element]
			elements := make([]element, test.size)
			for i := range elements {
				elements[i].name = i
				l.Append(&elements[i].links, &elements[i])
			}
			for _, i := range test.remove {
				l.Remove(&elements[i].links)
			}
			assert.Equal(t, test.want, names(t, &l))
		})
	}
}

// Random operations are done on the lists and on slices, which must stay equal.
func TestListsBehaveLikeSlices(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var used List[element]
	var free Free[element]
	want, wantFree := []int{}, []int{}
	elements := make([]element, 20)
	for i := range elements {
		elements[i].name = i
		free.Put(&elements[i].links, &elements[i])
		wantFree = append(wantFree, i)
	}
	for range 2000 {
		if random.IntN(2) == 0 {
			e := free.Take()
			if len(wantFree) == 0 {
				assert.Nil(t, e)
				continue
			}
			require.Equal(t, wantFree[len(wantFree)-1], e.name)
			want, wantFree = append(want, e.name), wantFree[:len(wantFree)-1]
			used.Append(&e.links, e)
		} else if len(want) > 0 {
			at := random.IntN(len(want))
			e := &elements[want[at]]
			want, wantFree = slices.Delete(want, at, at+1), append(wantFree, e.name)
			used.Remove(&e.links)
			free.Put(&e.links, e)
		}
		require.Equal(t, want, append([]int{}, names(t, &used)...))
	}
}

func TestNothingIsAllocated(t *testing.T) {
	var l List[element]
	var free Free[element]
	e := &element{}
	free.Put(&e.links, e)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		e := free.Take()
		l.Append(&e.links, e)
		l.Remove(&e.links)
		free.Put(&e.links, e)
	}))
}
