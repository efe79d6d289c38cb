package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Process is what a process' sockets have from it.
type Process struct {
	Start uint64 // clock ticks (1/100 s) since boot, as process.ID.Start
	NetNS uint32 // inode of its network namespace; 0: it may not be read
}

// Process looks at a process as it is now. The error wraps ErrGone where there is none of that pid.
func (r *Resolver) Process(pid uint32) (Process, error) {
	var line [1024]byte // up to the start time it is under 1 KiB, whatever the comm
	start, err := readStart(r.path(pid, "stat"), line[:])
	if err != nil {
		return Process{}, fmt.Errorf("read the start time of process %d: %w", pid, gone(err))
	}
	netns, err := r.netNS(pid)
	if err != nil { // of a zombie, or without the privilege
		return Process{Start: start}, nil
	}
	return Process{Start: start, NetNS: netns}, nil
}

func (r *Resolver) path(pid uint32, file string) string {
	b := make([]byte, 0, 64)
	b = append(append(b, r.root...), '/')
	b = strconv.AppendUint(b, uint64(pid), 10)
	return string(append(append(b, '/'), file...))
}

// netNS is the network namespace of a process' main thread, whose tables /proc/<pid>/net are.
func (r *Resolver) netNS(pid uint32) (uint32, error) {
	netns, err := readNetNS(r.path(pid, "ns/net"))
	if err != nil {
		return 0, err
	}
	r.residents.Add(netns, pid)
	return netns, nil
}

// ownNetNS is of the thread that happens to run: all but those that have entered another for a Source are in the same.
func ownNetNS() uint32 {
	netns, err := readNetNS(defaultProcRoot + "/thread-self/ns/net")
	if err != nil {
		return 0
	}
	return netns
}

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

// inodeOf reads the number in a link such as socket:[123] (proc_pid_fd(5)).
func inodeOf(link, prefix string) (uint64, bool) {
	number, ok := strings.CutPrefix(link, prefix)
	if !ok {
		return 0, false
	}
	if number, ok = strings.CutSuffix(number, "]"); !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(number, 10, 64)
	return inode, err == nil
}

// socketInode is the inode of the socket that a descriptor leads to.
func (r *Resolver) socketInode(pid, fd uint32) (uint64, error) {
	link, err := os.Readlink(r.path(pid, "fd/"+strconv.FormatUint(uint64(fd), 10)))
	if err != nil {
		return 0, fmt.Errorf("look at descriptor %d of process %d: %w", fd, pid, gone(err))
	}
	inode, ok := inodeOf(link, "socket:[")
	if !ok {
		return 0, fmt.Errorf("look at descriptor %d of process %d: %w", fd, pid, ErrNotSocket)
	}
	return inode, nil
}

func readStart(path string, buffer []byte) (start uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	n, err := f.ReadAt(buffer, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	return parseStart(buffer[:n])
}

// parseStart reads field 22 of "pid (comm) state ppid ..." (proc_pid_stat(5)). A comm is any bytes; behind it nothing has
// a parenthesis.
func parseStart(line []byte) (uint64, error) {
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return 0, errors.New("there is no comm in stat")
	}
	rest := line[end+1:]
	var field []byte
	for range 22 - 2 {
		if field, rest = nextField(rest); len(field) == 0 {
			return 0, errors.New("there is no start time in stat")
		}
	}
	start, ok := decimal(field)
	if !ok {
		return 0, fmt.Errorf("the start time in stat is %q", field)
	}
	return start, nil
}

// nextField cuts the first field of a line; fields are separated by any number of blanks.
func nextField(line []byte) (field, rest []byte) {
	begin := 0
	for begin < len(line) && isBlank(line[begin]) {
		begin++
	}
	end := begin
	for end < len(line) && !isBlank(line[end]) {
		end++
	}
	return line[begin:end], line[end:]
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }

// decimal reads a number without allocating.
func decimal(field []byte) (n uint64, ok bool) {
	if len(field) == 0 || len(field) > 19 {
		return 0, false
	}
	for _, c := range field {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + uint64(c-'0')
	}
	return n, true
}
