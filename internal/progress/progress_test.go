package progress

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSettledWhenAllShardsHaveReachedTheTime(t *testing.T) {
	s := New(2)
	assert.False(t, s.Settled(100))
	assert.True(t, s.Settled(0), "nothing is older")
	s.Reach(0, 100)
	s.Reach(1, 99)
	assert.False(t, s.Settled(100))
	s.Reach(1, 98) // it has come further already
	assert.True(t, s.Settled(99))
	s.Reach(1, 100)
	assert.True(t, s.Settled(100))
	assert.False(t, s.Settled(101))
	s.Leave(0)
	assert.False(t, s.Settled(101))
	s.Leave(1)
	assert.True(t, s.Settled(101))
}
