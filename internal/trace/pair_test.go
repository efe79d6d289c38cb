package trace

import (
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
)

// The numbers of one connection as its two ends have them: the SYN of the end that connected is counted by itself only.
var (
	atClient = [event.Directions]uint32{event.Sent: 999, event.Received: 5000}
	atServer = [event.Directions]uint32{event.Sent: 5000, event.Received: 1000}
)

func TestBothEndsOfAConnectionAreOnePair(t *testing.T) {
	pair := PairOf(atClient, event.RoleClient)
	require.NotZero(t, pair)
	assert.Equal(t, pair, PairOf(atServer, event.RoleServer))
	assert.Equal(t, PairOf([2]uint32{0xffffffff, 7}, event.RoleClient), PairOf([2]uint32{7, 0}, event.RoleServer), "the SYN had the last number of all")

	for name, other := range map[string]Pair{
		"the roles are swapped":         PairOf(atServer, event.RoleClient),
		"another connection":            PairOf([2]uint32{999, 5001}, event.RoleClient),
		"another connection's client":   PairOf([2]uint32{1000, 5000}, event.RoleClient),
		"who connected is not known":    PairOf(atServer, event.RoleUnknown),
		"the numbers are not known":     PairOf([2]uint32{}, event.RoleClient),
		"the same numbers crossed over": PairOf([2]uint32{4999, 1000}, event.RoleClient),
	} {
		assert.NotEqual(t, pair, other, name)
	}
	assert.Zero(t, PairOf(atServer, event.RoleUnknown))
	assert.Zero(t, PairOf([2]uint32{}, event.RoleServer))
}

func TestBothSocketsOfAConnectionWithinAHostAreOnePair(t *testing.T) {
	pair := WithinHost(9, 5, 6)
	require.NotZero(t, pair)
	assert.Equal(t, pair, WithinHost(9, 6, 5))
	for name, other := range map[string]Pair{
		"other sockets": WithinHost(9, 7, 6), "another start": WithinHost(8, 5, 6), "one socket is not known": WithinHost(9, 5, 0),
	} {
		assert.NotEqual(t, pair, other, name)
	}
	assert.Zero(t, WithinHost(9, 0, 6))
	assert.Zero(t, WithinHost(9, 5, 0))
}

func TestEndsOfAConnectionDiffer(t *testing.T) {
	pair := PairOf(atClient, event.RoleClient)
	assert.NotEqual(t, pair.End(event.RoleClient), pair.End(event.RoleServer))
	assert.Zero(t, pair.End(event.RoleUnknown))
	assert.Zero(t, Pair(0).End(event.RoleClient))
}

func TestPositionIsThatOfTheByteWhereverCountingBegan(t *testing.T) {
	const first = 0xfffffff0
	for position, want := range map[uint64]uint64{0: first, 0x10: 0, 0x11: 1, 1<<32 + 0x11: 1<<32 + 1} {
		assert.Equal(t, want, Position(first, position), position)
	}
	assert.Equal(t, Position(first, 0x100), Position(first-1, 0x101), "the SYN was counted")
}

func TestBothEndsGiveAnExchangeTheSameIDs(t *testing.T) {
	pair := PairOf(atClient, event.RoleClient)
	asks, hears := pair.Of(1000, event.RoleClient, true), pair.Of(1000, event.RoleClient, false)
	assert.Equal(t, asks.Trace, hears.Trace)
	assert.Equal(t, asks.Own, hears.Other)
	assert.Equal(t, asks.Other, hears.Own)
	assert.NotEqual(t, asks.Own, asks.Other)
	assert.True(t, asks.Asks)
	assert.False(t, hears.Asks)

	seen := map[[16]byte]bool{asks.Trace: true}
	for _, other := range []Exchange{
		pair.Of(1001, event.RoleClient, true), pair.Of(1000, event.RoleServer, true), (pair + 1).Of(1000, event.RoleClient, true), pair.Of(1<<32+1000, event.RoleClient, true),
	} {
		assert.False(t, seen[other.Trace], other)
		seen[other.Trace] = true
	}
}

// Backends show the first digits of a trace id, and samplers decide by the last 56 bits.
func TestIDsLookRandom(t *testing.T) {
	const exchanges = 1 << 16
	r := rand.New(rand.NewPCG(1, 2))
	high, low, spans := map[[8]byte]bool{}, map[[8]byte]bool{}, map[[8]byte]bool{}
	ones := 0
	for i := range exchanges {
		pair := PairOf([2]uint32{r.Uint32(), r.Uint32()}, event.RoleClient)
		x := pair.Of(uint64(i%7), event.RoleClient, true)
		high[[8]byte(x.Trace[:8])], low[[8]byte(x.Trace[8:])] = true, true
		spans[x.Own], spans[x.Other] = true, true
		for _, b := range x.Trace {
			ones += bits.OnesCount8(b)
		}
	}
	assert.Len(t, high, exchanges)
	assert.Len(t, low, exchanges)
	assert.Len(t, spans, 2*exchanges)
	assert.InDelta(t, 0.5, float64(ones)/(128*exchanges), 0.001)
}
