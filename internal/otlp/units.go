package otlp

import (
	"strconv"
	"time"
)

// Sentences have rounded quantities; the attributes have the exact values. github.com/dustin/go-humanize would cost 280 ns
// and four allocations for each quantity; these functions append to the sentence.

// unit is a step of a scale, in the scale's smallest unit.
type unit struct {
	size uint64
	name string
}

var byteUnits = [...]unit{
	{1e18, " EB"}, {1e15, " PB"}, {1e12, " TB"}, {1e9, " GB"}, {1e6, " MB"}, {1e3, " kB"}, {1, " B"},
}

var secondUnits = [...]unit{
	{uint64(time.Second), "s"}, {uint64(time.Millisecond), "ms"}, {uint64(time.Microsecond), "µs"}, {1, "ns"},
}

var clockUnits = [...]struct{ major, minor unit }{
	{unit{uint64(24 * time.Hour), "d"}, unit{uint64(time.Hour), "h"}},
	{unit{uint64(time.Hour), "h"}, unit{uint64(time.Minute), "m"}},
	{unit{uint64(time.Minute), "m"}, unit{uint64(time.Second), "s"}},
}

// appendBytes writes a number of bytes with two digits where it has a fraction: "812 B", "1.2 kB", "45 MB".
func appendBytes(text []byte, n uint64) []byte {
	return appendScaled(text, n, byteUnits[:], 10)
}

// appendDuration writes a duration with three digits, "15.3ms", "1.53s"; from one minute on as "2m7s", "3h0m", "5d11h". A
// negative duration, which is possible if the clock was set, is written as 0.
func appendDuration(text []byte, d time.Duration) []byte {
	n := uint64(max(d, 0))
	for _, u := range clockUnits {
		if n >= u.major.size {
			text = append(strconv.AppendUint(text, n/u.major.size, 10), u.major.name...)
			text = strconv.AppendUint(text, n%u.major.size/u.minor.size, 10)
			return append(text, u.minor.name...)
		}
	}
	return appendScaled(text, n, secondUnits[:], 100)
}

// appendScaled writes n in the largest unit that is not larger than n, with at least as many digits as precision has: 10
// stands for two digits, 100 for three. The rest is cut off and not rounded, because rounding up to "1000 kB" would need
// another unit.
func appendScaled(text []byte, n uint64, units []unit, precision uint64) []byte {
	u := units[len(units)-1]
	for _, larger := range units {
		if n >= larger.size {
			u = larger
			break
		}
	}
	whole, rest := n/u.size, n%u.size
	text = strconv.AppendUint(text, whole, 10)
	if u.size > 1 && whole < precision {
		text = append(text, '.')
		for ; whole < precision; whole *= 10 {
			rest *= 10 // below 10 * 10^18, which fits
			text = append(text, byte('0'+rest/u.size))
			rest %= u.size
		}
	}
	return append(text, u.name...)
}
