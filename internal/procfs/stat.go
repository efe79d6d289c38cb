package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/socketflow/socketflow/internal/monotime"
)

// Stat has fields of /proc/<pid>/stat, which every user may read.
type Stat struct {
	Comm  string // any bytes
	Start uint64 // clock ticks (1/100 s) since the host has booted
}

// readStat reads and closes an open stat file.
func readStat(f *os.File) (Stat, error) {
	var line [1024]byte // a comm and up to 51 numbers; the start time is within the first 1 KiB
	n, err := f.ReadAt(line[:], 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return Stat{}, err
	}
	return parseStat(line[:n])
}

// parseStat reads "pid (comm) state ppid ..." (proc_pid_stat(5)) up to field 22. A comm may contain any bytes, also parentheses
// and spaces. No later field has a parenthesis, so that the last one ends the comm.
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
	return Stat{Comm: string(line[begin+1 : end]), Start: start - uint64(monotime.BootOffset()/tick)}, nil
}

const tick = 10 * time.Millisecond // USER_HZ, proc_pid_stat(5)
