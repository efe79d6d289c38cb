package otlp

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/splitmix"
)

func TestConnectionIDsOfTwoHostsDiffer(t *testing.T) {
	assert.NotEqual(t, newIdentity(1).connectionID(7), newIdentity(2).connectionID(7))
}

func TestConnectionIDsAreDistinct(t *testing.T) {
	seen := make(map[string]bool)
	for _, host := range []uint64{0, 1, math.MaxUint64, splitmix.Gamma} {
		identity := newIdentity(host)
		for number := range uint64(10_000) {
			id := identity.connectionID(number)
			if len(id) != 16 || id == "0000000000000000" || seen[id] {
				t.Fatalf("connection %d of host %#x is %s", number, host, id)
			}
			seen[id] = true
		}
	}
}
