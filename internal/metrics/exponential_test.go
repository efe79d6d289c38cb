package metrics

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// upper is the upper bound of a bucket.
func upper(i, scale int) float64 { return math.Exp2(math.Ldexp(float64(i+1), -scale)) }

func TestBucketsHoldTheirValues(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for scale := minScale; scale <= maxScale; scale++ {
		for range 2000 {
			value := math.Exp2(random.Float64()*60 - 40)
			i := indexOf(value, scale)
			require.LessOrEqual(t, value, upper(i, scale)*(1+1e-12), "%g at scale %d", value, scale)
			require.Greater(t, value, upper(i-1, scale)*(1-1e-12), "%g at scale %d", value, scale)
		}
		for exponent := -30; exponent < 30; exponent++ {
			value := math.Ldexp(1, exponent)
			i := indexOf(value, scale)
			if scale >= 0 {
				assert.Equal(t, exponent<<scale-1, i, "%g at scale %d", value, scale)
			} else {
				assert.Equal(t, (exponent-1)>>-scale, i, "%g at scale %d", value, scale)
			}
		}
	}
}

// quantile is the upper bound of the bucket that has it.
func (e *Exponential) quantile(q float64) float64 {
	left := e.Zero
	for _, n := range e.Counts {
		left += n
	}
	left = uint64(q * float64(left))
	for i, n := range e.Counts {
		if left < n {
			return upper(e.First+i, e.Scale)
		}
		left -= n
	}
	return 0
}

func TestExponentialBucketsAreFineAndFew(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var whole, merged Exponential
	parts := make([]Exponential, 5)
	for i := range 100_000 {
		value := math.Exp(random.NormFloat64()) / 1000
		whole.record(value)
		parts[i%len(parts)].record(value)
	}
	whole.record(0)
	parts[0].record(0)
	for i := range parts {
		merged.merge(&parts[i])
	}
	assert.LessOrEqual(t, len(whole.Counts), maxBuckets)
	assert.EqualValues(t, 1, whole.Zero)
	assert.InEpsilon(t, 0.001, whole.quantile(0.5), 0.08)
	assert.Equal(t, whole.Scale, merged.Scale)
	assert.Equal(t, whole.Zero, merged.Zero)
	assert.Equal(t, whole.First, merged.First)
	assert.Equal(t, whole.Counts, merged.Counts)
}

func TestExponentialTakesAllNumbers(t *testing.T) {
	var e Exponential
	for _, value := range []float64{math.SmallestNonzeroFloat64, math.MaxFloat64, 1, 0, math.Inf(1), math.NaN()} {
		e.record(value)
	}
	assert.EqualValues(t, 3, e.Zero)
	assert.LessOrEqual(t, len(e.Counts), maxBuckets)
	var n uint64
	for _, count := range e.Counts {
		n += count
	}
	assert.EqualValues(t, 3, n)
	e.reset()
	e.record(1)
	assert.Equal(t, Exponential{Scale: maxScale, First: -1, Counts: []uint64{1}}, e)
}
