package procfs

import (
	"bytes"
	"strconv"
)

// UID returns the real user id in /proc/<pid>/status, which is that of the reader's user namespace.
func UID(file []byte) (uid uint32, ok bool) {
	for line := range bytes.Lines(file) {
		ids, found := bytes.CutPrefix(line, []byte("Uid:"))
		if !found {
			continue
		}
		field, _ := nextField(ids)
		n, err := strconv.ParseUint(string(field), 10, 32)
		return uint32(n), err == nil
	}
	return 0, false
}
