package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// Process is what a process' sockets have from it.
type Process struct {
	Start uint64 // clock ticks (1/100 s) since boot
	NetNS uint32 // inode of its network namespace; 0: it may not be read
}

// Process looks at a process as it is now. The error wraps ErrGone where there is none of that pid.
func (r *Resolver) Process(pid uint32) (Process, error) {
	f, err := os.Open(r.path(pid, "stat"))
	var stat Stat
	if err == nil {
		stat, err = readStat(f)
	}
	if err != nil {
		return Process{}, fmt.Errorf("read the start time of process %d: %w", pid, gone(err))
	}
	netns, err := r.netNS(pid)
	if err != nil { // of a zombie, or without the privilege
		return Process{Start: stat.Start}, nil
	}
	return Process{Start: stat.Start, NetNS: netns}, nil
}

func (r *Resolver) path(pid uint32, file string) string { return path(r.root, pid, file) }

// netNS is the network namespace of a process' main thread, whose tables /proc/<pid>/net are.
func (r *Resolver) netNS(pid uint32) (uint32, error) {
	netns, err := readNetNS(r.path(pid, "ns/net"))
	if err != nil {
		return 0, err
	}
	r.residents.Add(netns, pid)
	return netns, nil
}

// Processes lists the pids of this host's processes, kernel threads among them.
func Processes() ([]uint32, error) { return processes(mountPoint) }

func processes(root string) ([]uint32, error) {
	dir, err := os.Open(root)
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	names, err := dir.Readdirnames(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	return numbers(names), nil
}

func numbers(names []string) []uint32 {
	out := make([]uint32, 0, len(names))
	for _, name := range names {
		if n, err := strconv.ParseUint(name, 10, 32); err == nil {
			out = append(out, uint32(n))
		}
	}
	return out
}

// HasEnded reports whether there is no process of that pid. It says no where it cannot know.
func HasEnded(pid uint32) bool {
	_, err := os.Stat(path(mountPoint, pid, ""))
	return errors.Is(err, fs.ErrNotExist)
}

// Executable is the link to what a process executes, as the kernel prints it; of a kernel thread there is none.
func Executable(pid uint32) (string, error) { return os.Readlink(path(mountPoint, pid, "exe")) }
