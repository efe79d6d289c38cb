package engine

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/trace"
)

// newSeed returns random numbers that no shard of any collector has had.
func newSeed() (seed trace.Seed) {
	var random [16]byte
	rand.Read(random[:]) // never fails
	for i := range seed {
		seed[i] = binary.LittleEndian.Uint64(random[8*i:])
	}
	return seed
}
