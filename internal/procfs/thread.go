package procfs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Thread is a thread of a process.
type Thread struct {
	TID  uint32
	call string // path of the file that shows the call it waits in
}

// Threads lists the threads of all processes.
func Threads() ([]Thread, error) {
	paths, err := filepath.Glob(mountPoint + "/[1-9]*/task/[1-9]*/syscall")
	if err != nil {
		return nil, fmt.Errorf("list threads: %w", err)
	}
	threads := make([]Thread, 0, len(paths))
	for _, path := range paths {
		if tid, err := strconv.ParseUint(filepath.Base(filepath.Dir(path)), 10, 32); err == nil {
			threads = append(threads, Thread{uint32(tid), path})
		}
	}
	return threads, nil
}

// Call is a system call in which a thread waits.
type Call struct {
	Number uint32
	Args   [6]uint64
	Stack  uint64 // stack pointer, which can distinguish two calls with the same arguments
	PC     uint64
}

// Call returns the call in which the thread waits. It returns false if the thread does not wait in one, or if reading is not
// permitted: threads of other users need CAP_SYS_PTRACE.
func (t Thread) Call() (Call, bool) {
	text, err := os.ReadFile(t.call)
	if err != nil { // the thread has ended, or reading is not permitted
		return Call{}, false
	}
	return parseCall(text)
}

// parseCall parses number, six arguments, stack pointer and program counter (proc_pid_syscall(5)). The file of a thread that
// waits outside a call has fewer fields; that of a thread that does not wait is "running".
func parseCall(text []byte) (Call, bool) {
	var c Call
	fields := bytes.Fields(text)
	if len(fields) < 3+len(c.Args) {
		return Call{}, false
	}
	number, err := strconv.ParseUint(string(fields[0]), 10, 32)
	if err != nil {
		return Call{}, false
	}
	c.Number = uint32(number)
	rest := [...]*uint64{&c.Args[0], &c.Args[1], &c.Args[2], &c.Args[3], &c.Args[4], &c.Args[5], &c.Stack, &c.PC}
	for i, value := range rest {
		if *value, err = strconv.ParseUint(string(fields[1+i]), 0, 64); err != nil {
			return Call{}, false
		}
	}
	return c, true
}
