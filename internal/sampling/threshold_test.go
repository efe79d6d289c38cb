package sampling

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

// textOf is a threshold as it is in a tracestate.
func textOf(t Threshold) string { return t.State().In("")[len("ot=th:"):] }

// The table of the specification: 1 in N, with a precision of 3, 4 and 5 digits.
func TestThresholdsOfRatiosAreThoseOfTheSpecification(t *testing.T) {
	for n, want := range map[float64][3]string{
		1:       {"0", "0", "0"},
		2:       {"8", "8", "8"},
		3:       {"aab", "aaab", "aaaab"},
		4:       {"c", "c", "c"},
		5:       {"ccd", "cccd", "ccccd"},
		8:       {"e", "e", "e"},
		10:      {"e66", "e666", "e6666"},
		16:      {"f", "f", "f"},
		100:     {"fd71", "fd70a", "fd70a4"},
		1000:    {"ffbe7", "ffbe77", "ffbe76d"},
		10000:   {"fff972", "fff9724", "fff97247"},
		100000:  {"ffff584", "ffff583a", "ffff583a5"},
		1000000: {"ffffef4", "ffffef39", "ffffef391"},
	} {
		for i, text := range want {
			assert.Equal(t, text, textOf(thresholdOf(1/n, 3+i)), "1 in %v, %d digits", n, 3+i)
		}
	}
	assert.Equal(t, "fd70a", textOf(ThresholdOf(0.01)))
}

func TestThresholdsAtTheEnds(t *testing.T) {
	for ratio, want := range map[float64]Threshold{
		1: KeepAll, 0: KeepNone, 0x1p-56: KeepNone - 1, 0x3p-56: KeepNone - 3, 0x1p-57: KeepNone - 1, 0x1p-58: KeepNone, 0x1p-1074: KeepNone,
		1 - 0x1p-53: KeepAll,
	} {
		assert.Equal(t, want, ThresholdOf(ratio), "%b", ratio)
	}
}

func TestTraceIsKeptFromTheThresholdOn(t *testing.T) {
	id := func(random uint64) (id [16]byte) {
		binary.BigEndian.PutUint64(id[:8], ^uint64(0))
		binary.BigEndian.PutUint64(id[8:], 0xee<<randomBits|random)
		return id
	}
	for _, test := range []struct {
		threshold Threshold
		random    uint64
		want      bool
	}{
		{KeepAll, 0, true},
		{KeepAll, 1<<56 - 1, true},
		{KeepNone, 0, false},
		{KeepNone, 1<<56 - 1, false},
		{1 << 55, 1<<55 - 1, false},
		{1 << 55, 1 << 55, true},
		{KeepNone - 1, 1<<56 - 2, false},
		{KeepNone - 1, 1<<56 - 1, true},
	} {
		assert.Equal(t, test.want, test.threshold.Keeps(id(test.random)), "%x, %x", test.threshold, test.random)
	}
}

// Who keeps less keeps some of what others keep.
func TestRatiosKeepTheirPartOfTheSameTraces(t *testing.T) {
	const traces = 100_000
	r := rand.New(rand.NewPCG(1, 2))
	ratios := []float64{0, 0.001, 0.01, 0.1, 1 / 3., 0.5, 0.9, 1}
	kept := make([]int, len(ratios))
	for range traces {
		var id [16]byte
		binary.BigEndian.PutUint64(id[8:], r.Uint64())
		before := false
		for i, ratio := range ratios {
			keeps := ThresholdOf(ratio).Keeps(id)
			if before && !keeps {
				t.Fatalf("%x is kept with %v, and not with %v", id, ratios[i-1], ratio)
			}
			if before = keeps; keeps {
				kept[i]++
			}
		}
	}
	for i, ratio := range ratios {
		assert.InDelta(t, ratio, float64(kept[i])/traces, 0.005, "%v", ratio)
	}
}
