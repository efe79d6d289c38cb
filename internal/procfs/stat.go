package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// Stat is what /proc/<pid>/stat, which anybody may read, says of a process.
type Stat struct {
	Comm  string // any bytes
	Start uint64 // clock ticks (1/100 s) since boot
}

// readStat reads and closes an open stat.
func readStat(f *os.File) (Stat, error) {
	var line [1024]byte // 52 numbers and a comm; up to the start time it is under 1 KiB, whatever the comm
	n, err := f.ReadAt(line[:], 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return Stat{}, err
	}
	return parseStat(line[:n])
}

// parseStat reads "pid (comm) state ppid ..." (proc_pid_stat(5)) up to its field 22. A comm is any bytes, parentheses and spaces
// among them; nothing behind it has a parenthesis, so the last one ends it.
func parseStat(line []byte) (Stat, error) {
	begin, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if begin < 0 || end < begin {
		return Stat{}, errors.New("there is no comm in stat")
	}
	rest := line[end+1:]
	var field []byte
	for range 22 - 2 {
		if field, rest = nextField(rest); len(field) == 0 {
			return Stat{}, errors.New("there is no start time in stat")
		}
	}
	start, err := strconv.ParseUint(string(field), 10, 64)
	if err != nil {
		return Stat{}, fmt.Errorf("the start time in stat is %q", field)
	}
	return Stat{Comm: string(line[begin+1 : end]), Start: start}, nil
}
