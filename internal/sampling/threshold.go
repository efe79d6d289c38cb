// Package sampling decides which traces are kept: by their ids, so that all who see one decide alike (W3C Trace Context Level 2, "random trace id";
// OpenTelemetry, "TraceState: Probability Sampling").
package sampling

import (
	"encoding/binary"
	"math"
	"math/bits"
)

const (
	randomBits = 56
	digits     = randomBits / 4
	// precision is how many digits of a threshold count, beside the leading ones that are f. The specification recommends it, so that all who
	// configure a ratio have the same threshold.
	precision = 4
)

// Threshold is how many of 2^56 traces are left out: those whose Randomness is below it.
type Threshold uint64

// The bounds.
const (
	KeepAll  Threshold = 0
	KeepNone Threshold = 1 << randomBits
)

// ThresholdOf is the threshold that keeps a ratio of all traces, from 0 to 1, rounded.
func ThresholdOf(ratio float64) Threshold { return thresholdOf(ratio, precision) }

func thresholdOf(ratio float64, precision int) Threshold {
	kept := uint64(math.Round(math.Ldexp(ratio, randomBits)))
	if kept == 0 {
		return KeepNone
	}
	leading := (bits.LeadingZeros64(kept) - (64 - randomBits)) / 4
	last := uint64(1) << (4 * max(0, digits-precision-max(leading, 0))) // of the last digit that counts
	return Threshold((uint64(KeepNone) - kept + last/2) / last * last)
}

// Keeping is the threshold that keeps a part, from 0 to 1, of what t keeps.
func (t Threshold) Keeping(part float64) Threshold {
	return ThresholdOf(math.Ldexp(float64(KeepNone-t), -randomBits) * part)
}

// RandomnessOf are the random bits of a trace id.
func RandomnessOf(trace [16]byte) uint64 {
	return binary.BigEndian.Uint64(trace[8:]) & (1<<randomBits - 1)
}

// Keeps reports whether a trace is kept.
func (t Threshold) Keeps(trace [16]byte) bool { return RandomnessOf(trace) >= uint64(t) }
