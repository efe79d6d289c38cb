package pending

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wait returns a function that adds three items of a key and then completes it.
func wait(t testing.TB) func() {
	budget, err := NewBudget(100, 1<<20)
	require.NoError(t, err)
	var sum int
	q, err := New(Options[int, letter]{
		Limits: wide, Budget: budget,
		Payload: func(l *letter) *[]byte { return &l.text },
		GivenUp: func(int, Cause) {},
		Next:    func(key int, l *letter) { sum += key + l.number },
	})
	require.NoError(t, err)
	letters := []letter{{text: []byte("some text")}, {}, {text: make([]byte, 1000)}}
	var key int
	return func() {
		key++
		w := q.Start(key)
		for i := range letters {
			q.Add(w, &letters[i])
		}
		q.Complete(w)
	}
}

func TestNothingIsAllocatedPerItem(t *testing.T) {
	run := wait(t)
	run()
	assert.Zero(t, testing.AllocsPerRun(1000, run))
}

func BenchmarkWait(b *testing.B) {
	run := wait(b)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}
