package metrics

import "math"

// Point is what has been measured of a series: of a Counter and a Level the Sum only, of a Ratio the Sum of parts, and of the wholes as Max.
type Point struct {
	Count         uint64
	Sum, Min, Max float64
	Buckets       []uint64     // explicit: between bounds; nil: there are others, or no values
	Exponential   *Exponential // nil: there are others, or no values
}

// record adds a value, which is not negative.
func (p *Point) record(value float64, bounds []float64, exponential bool) {
	if p.Count == 0 || value < p.Min {
		p.Min = value
	}
	p.Max = max(p.Max, value)
	p.Count++
	p.Sum += value
	if exponential {
		if p.Exponential == nil {
			p.Exponential = new(Exponential)
		}
		p.Exponential.record(value)
		return
	}
	if p.Buckets == nil { // most series have no values of some instruments
		p.Buckets = make([]uint64, len(bounds)+1)
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
	if p.Buckets == nil && from.Buckets != nil {
		p.Buckets = make([]uint64, len(from.Buckets))
	}
	for i, n := range from.Buckets {
		p.Buckets[i] += n
	}
	if from.Exponential == nil {
		return
	}
	if p.Exponential == nil {
		p.Exponential = new(Exponential)
	}
	p.Exponential.merge(from.Exponential)
}

// reset empties the point, and keeps its memory.
func (p *Point) reset() {
	clear(p.Buckets)
	if p.Exponential != nil {
		p.Exponential.reset()
	}
	*p = Point{Buckets: p.Buckets, Exponential: p.Exponential}
}
