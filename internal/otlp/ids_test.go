package otlp

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/splitmix"
)

func TestIDsOfTwoStartsDiffer(t *testing.T) {
	before, after := newIdentity(1, Seed{2, 3}), newIdentity(1, Seed{2, 4})
	assert.Equal(t, before.connectionID(7), after.connectionID(7))
	traces, spans := map[pcommon.TraceID]bool{}, map[pcommon.SpanID]bool{}
	for _, i := range []identity{before, after} {
		for serial := range uint64(50) {
			for ordinal := range uint64(50) {
				trace, span := i.ids(serial, ordinal)
				traces[trace], spans[span] = true, true
			}
		}
	}
	assert.Len(t, traces, 2*50*50)
	assert.Len(t, spans, 2*50*50)
}

func TestConnectionIDsOfTwoHostsDiffer(t *testing.T) {
	one, other := newIdentity(1, Seed{2, 3}), newIdentity(2, Seed{2, 3})
	assert.NotEqual(t, one.connectionID(7), other.connectionID(7))
}

// Jaeger shows the first seven digits of a trace id, and samplers decide by the last fourteen.
func TestEachHalfOfATraceIDLooksRandom(t *testing.T) {
	halves := map[string]func(pcommon.TraceID) uint64{
		"upper": func(id pcommon.TraceID) uint64 { return binary.BigEndian.Uint64(id[:8]) },
		"lower": func(id pcommon.TraceID) uint64 { return binary.BigEndian.Uint64(id[8:]) },
	}
	numbers := map[string]func(uint64) (serial, ordinal uint64){
		"exchanges of one connection":   func(n uint64) (uint64, uint64) { return 1, n },
		"first exchange of connections": func(n uint64) (uint64, uint64) { return n, 1 },
	}
	i := newIdentity(1, Seed{})
	for half, of := range halves {
		for what, number := range numbers {
			t.Run(half+" of "+what, func(t *testing.T) {
				const n = 4096
				var ones [64]int
				var changed int
				var last uint64
				var first []uint64
				for k := range uint64(n) {
					trace, _ := i.ids(number(k + 1))
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
	for _, host := range []uint64{0, 1, math.MaxUint64, splitmix.Gamma} {
		identity := newIdentity(host, Seed{0, host})
		for number := range uint64(10_000) {
			what := fmt.Sprintf("connection %d of host %#x", number, host)
			trace, span := identity.ids(number, whole)
			id := identity.connectionID(number)
			note(trace, trace.IsEmpty(), what)
			note(span, span.IsEmpty(), what)
			note(id, id == "0000000000000000", what)
			if len(id) != 16 {
				t.Fatalf("%s is %s", what, id)
			}
		}
	}
}

// Finalize is a bijection: for every key there is a connection whose id would be zero.
func TestNumberThatMixesToZeroHasNonZeroIDs(t *testing.T) {
	both := identity{traceHigh: 42, traceLow: 42, span: 42}
	if trace, span := both.ids(42, whole); trace.IsEmpty() || span.IsEmpty() {
		t.Error("an id is zero, which means that there is none")
	}
}
