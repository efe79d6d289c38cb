package console

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The children of a parent leave it in any order, and the others stay.
func TestChildrenOfAParentLeaveInAnyOrder(t *testing.T) {
	const many = 1000
	w := newWaiting(time.Second, many+1)
	parent := spanKey{span: [8]byte{1}}
	lines := make([]*line, many)
	for i := range lines {
		l := &line{kind: request, index: -1, at: int64(i)}
		l.asks.seen, l.asks.parent, l.asks.span = true, parent, spanKey{span: [8]byte{2, byte(i), byte(i >> 8)}}
		require.Equal(t, parent, l.parent())
		w.add(l, 0)
		lines[i] = l
	}
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(many, func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	for i, l := range lines {
		w.remove(l)
		require.Len(t, w.children[parent], many-i-1)
		require.NotContains(t, w.children[parent], l)
		w.unlink(l) // once more changes nothing
	}
	assert.Empty(t, w.children)
}
