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

// hostID identifies this boot of this host. It is the same for every collector on the host. If the boot has no id, the number is
// random.
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
