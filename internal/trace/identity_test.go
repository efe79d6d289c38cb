package trace

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/splitmix"
)

func TestIDsOfTwoStartsDiffer(t *testing.T) {
	before, after := NewIdentity(Seed{2, 3}), NewIdentity(Seed{2, 4})
	traces, spans := map[[16]byte]bool{}, map[[8]byte]bool{}
	for _, i := range []Identity{before, after} {
		for serial := range uint64(50) {
			for ordinal := range uint64(50) {
				trace, span := i.Of(serial, ordinal)
				traces[trace], spans[span] = true, true
			}
		}
	}
	assert.Len(t, traces, 2*50*50)
	assert.Len(t, spans, 2*50*50)
}

// Jaeger shows the first seven digits of a trace id, and samplers decide by the last fourteen.
func TestEachHalfOfATraceIDLooksRandom(t *testing.T) {
	halves := map[string]func([16]byte) uint64{
		"upper": func(id [16]byte) uint64 { return binary.BigEndian.Uint64(id[:8]) },
		"lower": func(id [16]byte) uint64 { return binary.BigEndian.Uint64(id[8:]) },
	}
	numbers := map[string]func(uint64) (serial, ordinal uint64){
		"exchanges of one connection":   func(n uint64) (uint64, uint64) { return 1, n },
		"first exchange of connections": func(n uint64) (uint64, uint64) { return n, 1 },
	}
	i := NewIdentity(Seed{})
	for half, of := range halves {
		for what, number := range numbers {
			t.Run(half+" of "+what, func(t *testing.T) {
				const n = 4096
				var ones [64]int
				var changed int
				var last uint64
				var first []uint64
				for k := range uint64(n) {
					trace, _ := i.Of(number(k + 1))
					x := of(trace)
					for bit := range ones {
						ones[bit] += int(x >> bit & 1)
					}
					changed += bits.OnesCount64(x ^ last)
					last = x
					first = append(first, x>>(64-28))
				}
				for bit, count := range ones { // 6 standard deviations of 32
					assert.InDelta(t, n/2, count, 6*32, "bit %d", bit)
				}
				assert.InDelta(t, 32, float64(changed)/n, 1)
				slices.Sort(first)
				assert.Greater(t, len(slices.Compact(first)), n-4)
			})
		}
	}
}

func TestIDsAreDistinctAndNeverZero(t *testing.T) {
	seen := make(map[any]string)
	note := func(id any, zero bool, what string) {
		if zero {
			t.Errorf("%s is zero", what)
		}
		if other, taken := seen[id]; taken {
			t.Fatalf("%s and %s are both %v", what, other, id)
		}
		seen[id] = what
	}
	for _, seed := range []uint64{0, 1, math.MaxUint64, splitmix.Gamma} {
		identity := NewIdentity(Seed{0, seed})
		for number := range uint64(10_000) {
			what := fmt.Sprintf("connection %d of seed %#x", number, seed)
			trace, span := identity.Of(number, Whole)
			note(trace, trace == [16]byte{}, what)
			note(span, span == [8]byte{}, what)
		}
	}
}

// Finalize is a bijection: for every key there is a connection whose id would be zero.
func TestNumberThatMixesToZeroHasNonZeroIDs(t *testing.T) {
	both := Identity{traceHigh: 42, traceLow: 42, span: 42}
	if trace, span := both.Of(42, Whole); trace == [16]byte{} || span == [8]byte{} {
		t.Error("an id is zero, which means that there is none")
	}
}
