package metrics

import "math"

// Exponential are the buckets of an exponential histogram (OpenTelemetry, metrics data model, "ExponentialHistogram"): bucket i has the values in
// (b^i, b^(i+1)] for b = 2^(2^-Scale). The Scale is as fine as maxBuckets allow for what has been measured.
type Exponential struct {
	Scale  int
	Zero   uint64 // values that are 0
	First  int    // index of Counts[0]
	Counts []uint64
}

const (
	maxBuckets = 160 // as SDKs have by default
	maxScale   = 20
	minScale   = -10 // then one bucket has all numbers from 1 on
)

func (e *Exponential) record(value float64) {
	if value <= 0 || math.IsInf(value, 0) || math.IsNaN(value) {
		e.Zero++
		return
	}
	if len(e.Counts) == 0 {
		e.Scale = maxScale
	}
	i := indexOf(value, e.Scale)
	if by := e.excess(i, i); by > 0 {
		e.downscale(by)
		i >>= by
	}
	e.cover(i, i)
	e.Counts[i-e.First]++
}

// indexOf is the bucket of a positive value.
func indexOf(value float64, scale int) int {
	fraction, exponent := math.Frexp(value) // value = fraction * 2^exponent, 0.5 <= fraction < 1
	if fraction == 0.5 {                    // a power of two is the upper bound of its bucket, exactly
		if scale >= 0 {
			return (exponent-1)<<scale - 1
		}
		return (exponent - 2) >> -scale
	}
	if scale <= 0 {
		return (exponent - 1) >> -scale
	}
	i := int(math.Floor(math.Log2(fraction)*float64(int(1)<<scale))) + exponent<<scale
	return min(max(i, (exponent-1)<<scale), exponent<<scale-1) // as the logarithm is rounded
}

// excess is by how much the scale has to be lowered so that there are buckets from low to high, and those that there are.
func (e *Exponential) excess(low, high int) (by int) {
	if len(e.Counts) > 0 {
		low, high = min(low, e.First), max(high, e.First+len(e.Counts)-1)
	}
	for high>>by-low>>by >= maxBuckets {
		by++
	}
	return min(by, e.Scale-minScale)
}

// downscale joins buckets, 2^by each time.
func (e *Exponential) downscale(by int) {
	first := e.First >> by
	for i, n := range e.Counts {
		if at := (e.First+i)>>by - first; at != i {
			e.Counts[i] = 0
			e.Counts[at] += n
		}
	}
	if len(e.Counts) > 0 {
		e.Counts = e.Counts[:(e.First+len(e.Counts)-1)>>by-first+1]
	}
	e.First, e.Scale = first, e.Scale-by
}

// cover makes buckets from low to high, which have room.
func (e *Exponential) cover(low, high int) {
	if len(e.Counts) == 0 {
		e.First = low
	}
	if missing := e.First - low; missing > 0 {
		e.grow(missing)
		copy(e.Counts[missing:], e.Counts)
		clear(e.Counts[:missing])
		e.First = low
	}
	if missing := high + 1 - e.First - len(e.Counts); missing > 0 {
		e.grow(missing)
	}
}

// grow appends empty buckets.
func (e *Exponential) grow(by int) {
	for range by {
		e.Counts = append(e.Counts, 0)
	}
}

// merge adds another one, which it may downscale.
func (e *Exponential) merge(from *Exponential) {
	e.Zero += from.Zero
	if len(from.Counts) == 0 {
		return
	}
	if len(e.Counts) == 0 {
		e.Scale = from.Scale
	}
	switch {
	case from.Scale > e.Scale:
		from.downscale(from.Scale - e.Scale)
	case from.Scale < e.Scale:
		e.downscale(e.Scale - from.Scale)
	}
	low, high := from.First, from.First+len(from.Counts)-1
	if by := e.excess(low, high); by > 0 {
		e.downscale(by)
		from.downscale(by)
		low, high = from.First, from.First+len(from.Counts)-1
	}
	e.cover(low, high)
	for i, n := range from.Counts {
		e.Counts[from.First+i-e.First] += n
	}
}

func (e *Exponential) reset() { *e = Exponential{Counts: e.Counts[:0]} }
