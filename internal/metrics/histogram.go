package metrics

import "math"

// Point is what has been measured of a series: of a Counter and a Level the Sum only, of a Ratio the Sum of parts, and of the wholes as Max.
type Point struct {
	Count         uint64
	Sum, Min, Max float64
	Buckets       []uint64     // explicit: between bounds; nil: the series has others
	Exponential   *Exponential // nil: the series has none
}

// newPoint returns an empty point of an instrument.
func newPoint(i *Instrument, exponential bool) Point {
	switch {
	case i.Kind != Histogram:
		return Point{}
	case exponential:
		return Point{Exponential: new(Exponential)}
	default:
		return Point{Buckets: make([]uint64, len(i.Bounds)+1)}
	}
}

// record adds a value, which is not negative.
func (p *Point) record(value float64, bounds []float64) {
	if p.Count == 0 || value < p.Min {
		p.Min = value
	}
	p.Max = max(p.Max, value)
	p.Count++
	p.Sum += value
	if p.Exponential != nil {
		p.Exponential.record(value)
		return
	}
	p.Buckets[bucketOf(value, bounds)]++
}

// bucketOf is the first bucket whose bound is not below the value.
func bucketOf(value float64, bounds []float64) int {
	for i, bound := range bounds {
		if value <= bound {
			return i
		}
	}
	return len(bounds)
}

// add adds to a counter.
func (p *Point) add(n float64) {
	p.Count++
	p.Sum += n
}

// part adds a part of a whole.
func (p *Point) part(of, whole float64) {
	p.Count++
	p.Sum += of
	p.Max += whole
}

// merge adds what another point of the same instrument has measured.
func (p *Point) merge(from *Point) {
	if from.Count == 0 {
		return
	}
	if p.Count == 0 {
		p.Min = math.Inf(1)
	}
	p.Min, p.Max = min(p.Min, from.Min), max(p.Max, from.Max)
	p.Count += from.Count
	p.Sum += from.Sum
	for i, n := range from.Buckets {
		p.Buckets[i] += n
	}
	if p.Exponential != nil {
		p.Exponential.merge(from.Exponential)
	}
}

// reset empties the point, and keeps its memory.
func (p *Point) reset() {
	clear(p.Buckets)
	if p.Exponential != nil {
		p.Exponential.reset()
	}
	*p = Point{Buckets: p.Buckets, Exponential: p.Exponential}
}
