package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// Process has the properties of a process that its sockets inherit.
type Process struct {
	Start uint64 // clock ticks (1/100 s) since boot
	NetNS uint32 // inode of the network namespace; 0: not permitted to read
}

// Process reads the current properties of a process. The error wraps ErrGone if there is no such process.
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
	if err != nil { // a zombie, or no privilege
		return Process{Start: stat.Start}, nil
	}
	return Process{Start: stat.Start, NetNS: netns}, nil
}

func (r *Resolver) path(pid uint32, file string) string { return path(r.root, pid, file) }

// netNS is the network namespace of a process's main thread. /proc/<pid>/net has the tables of the same namespace.
func (r *Resolver) netNS(pid uint32) (uint32, error) {
	netns, err := readNetNS(r.path(pid, "ns/net"))
	if err != nil {
		return 0, err
	}
	r.residents.Add(netns, pid)
	return netns, nil
}

// Processes lists the pids of this host's processes, including kernel threads.
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

// HasEnded reports whether there is no process with that pid. It returns false if it cannot find out.
func HasEnded(pid uint32) bool {
	_, err := os.Stat(path(mountPoint, pid, ""))
	return errors.Is(err, fs.ErrNotExist)
}

// Executable is the link to the executable of a process, as the kernel prints it. For a kernel thread, which has none, it is
// an error.
func Executable(pid uint32) (string, error) { return os.Readlink(path(mountPoint, pid, "exe")) }
