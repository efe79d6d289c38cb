package procfs

import (
	"os"
	"strconv"
)

const elf32 = "\x7fELF\x01" // an ELF file's first bytes, with ELFCLASS32 (elf(5))

// Runs32Bit reports whether a process runs a 32-bit program, as far as it is permitted to read that.
func Runs32Bit(pid uint32) bool { return runs32Bit(mountPoint, pid) }

func runs32Bit(root string, pid uint32) bool {
	f, err := os.Open(root + "/" + strconv.FormatUint(uint64(pid), 10) + "/exe")
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // read only
	var head [len(elf32)]byte
	n, _ := f.Read(head[:])
	return string(head[:n]) == elf32
}
