package procfs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// Bounds of what is read of one process's mappings. A large browser has some 3,000 mappings and 200 files.
const (
	maxMapsBytes   = 8 << 20
	maxMappedFiles = 1 << 10
	maxMapsLine    = 20 << 10 // a path is at most 4 KiB, and a newline in it is four bytes
)

// MappedFile is a file of which a process has mapped code.
type MappedFile struct {
	// Device and Inode are those of the file as the kernel prints them. On some file systems (btrfs, overlayfs) stat(2) gives
	// another device.
	Device uint64 // major<<32 | minor
	Inode  uint64
	// Path is the path when the file was mapped, relative to the reader's root, or to that of the file's mount namespace if it is
	// another. It ends with " (deleted)" if the file has been unlinked.
	Path       string
	Start, End uint64 // addresses of one of its executable mappings
}

// MappedFiles lists the files that a process has mapped executable, each once, the executable first as a rule. cut says that the
// process has more than 8 MiB of mappings or 1,024 files, and that the rest was left out. The error wraps ErrGone if there is no
// such process.
func MappedFiles(pid uint32) (files []MappedFile, cut bool, err error) {
	f, err := os.Open(path(mountPoint, pid, "maps"))
	if err == nil {
		files, cut, err = readMaps(f)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return nil, false, fmt.Errorf("read the mappings of process %d: %w", pid, gone(err))
	}
	return files, cut, nil
}

func readMaps(r io.Reader) (files []MappedFile, cut bool, err error) {
	type identity struct{ device, inode uint64 }
	seen := make(map[identity]bool)
	limited := &io.LimitedReader{R: r, N: maxMapsBytes}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 4<<10), maxMapsLine)
	for lines.Scan() {
		f, ok := parseMapping(lines.Bytes())
		id := identity{f.Device, f.Inode}
		if !ok || seen[id] {
			continue
		}
		if len(files) == maxMappedFiles {
			return files, true, nil
		}
		seen[id] = true
		files = append(files, f)
	}
	return files, limited.N == 0, lines.Err()
}

// parseMapping reads "begin-end perms offset major:minor inode path" (proc_pid_maps(5)). It returns false for a mapping that is not
// executable, or not of a file.
func parseMapping(line []byte) (MappedFile, bool) {
	var fields [5][]byte
	rest := line
	for i := range fields {
		fields[i], rest = nextField(rest)
	}
	perms := fields[1]
	if len(perms) < 3 || perms[2] != 'x' {
		return MappedFile{}, false
	}
	begin, end, separated := bytes.Cut(fields[0], []byte{'-'})
	major, minor, colon := bytes.Cut(fields[3], []byte{':'})
	var failed bool
	number := func(b []byte, base int) uint64 {
		n, err := strconv.ParseUint(string(b), base, 64)
		failed = failed || err != nil
		return n
	}
	f := MappedFile{
		Device: number(major, 16)<<32 | number(minor, 16), Inode: number(fields[4], 10),
		Start: number(begin, 16), End: number(end, 16), Path: unescaped(bytes.TrimLeft(rest, " ")),
	}
	return f, !failed && separated && colon && f.Inode != 0 && f.Path != ""
}

// unescaped is a path of /proc/<pid>/maps, in which a newline is \012 (show_map_vma in fs/proc/task_mmu.c).
func unescaped(b []byte) string { return string(bytes.ReplaceAll(b, []byte(`\012`), []byte{'\n'})) }
