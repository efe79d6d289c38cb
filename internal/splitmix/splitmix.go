// Package splitmix maps 64-bit numbers to numbers that look random. No two numbers are mapped to the same one. It is splitmix64
// (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
package splitmix

// Gamma is the odd number nearest to 2^64 divided by the golden ratio, the increment of splitmix64.
const Gamma = 0x9e3779b97f4a7c15

// Finalize is the finalizer of splitmix64, a bijection that maps 0 to 0. Its constants are variant 13 of David Stafford's
// "Better Bit Mixing".
func Finalize(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Mix is the output of splitmix64 for the state x: a bijection that does not map 0 to 0.
func Mix(x uint64) uint64 { return Finalize(x + Gamma) }
