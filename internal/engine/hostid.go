package engine

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
)

// bootIDFile names this boot of this host (random(4)).
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// hostID is a number for this boot of this host, the same for every collector on it; where the host does not tell,
// a random one.
func hostID(file string) (uint64, error) {
	if id, err := os.ReadFile(file); err == nil {
		h := fnv.New64a()
		h.Write(bytes.TrimSpace(id))
		return h.Sum64(), nil
	}
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return 0, fmt.Errorf("choose a host id: %w", err)
	}
	return binary.LittleEndian.Uint64(random[:]), nil
}
