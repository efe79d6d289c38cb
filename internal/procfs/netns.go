package procfs

import (
	"fmt"
	"os"
)

// threadNetNS is the network namespace of the current thread. All threads of the collector share one, other than those of
// onThread that have entered another.
func threadNetNS() (uint32, error) { return readNetNS(mountPoint + "/thread-self/ns/net") }

func readNetNS(path string) (uint32, error) {
	link, err := os.Readlink(path)
	if err != nil {
		return 0, fmt.Errorf("read the network namespace: %w", gone(err))
	}
	inode, ok := inodeOf(link, "net:[")
	if !ok || inode > 1<<32-1 {
		return 0, fmt.Errorf("read the network namespace: %s is %q", path, link)
	}
	return uint32(inode), nil
}
