//go:build linux

// Package mappings lists the files that a process has mapped to run code of them.
package mappings

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ID identifies a file on a host, as long as it exists.
type ID struct{ Device, Inode uint64 }

// File is a file of which a process has mapped a part that can be executed.
type File struct {
	ID   ID
	Path string // as the process sees it

	link, inRoot string
}

// maxLines bounds the mappings of a process that are looked at (vm.max_map_count is 65530 by default).
const maxLines = 1 << 17

// Executable are the files of a process, each once for every mapping. An error ends it: the process has ended, or may not be looked at.
func Executable(pid uint32) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		dir := fmt.Sprintf("/proc/%d", pid)
		maps, err := os.Open(dir + "/maps")
		if err != nil {
			yield(File{}, err)
			return
		}
		defer maps.Close() //nolint:errcheck // it was only read
		for file, err := range executable(maps) {
			if err == nil {
				file.link, file.inRoot = dir+"/map_files/"+file.link, dir+"/root"+file.Path
			}
			if !yield(file, err) {
				return
			}
		}
	}
}

// executable reads /proc/PID/maps (Linux, Documentation/filesystems/proc.rst).
func executable(maps io.Reader) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		lines := bufio.NewScanner(maps)
		for range maxLines {
			if !lines.Scan() {
				break
			}
			if file, ok := parse(lines.Text()); ok && !yield(file, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(File{}, err)
		}
	}
}

// parse reads a line: range, permissions, offset, device, inode and path. ok is false if it is no executable mapping of a file.
func parse(line string) (file File, ok bool) {
	where, rest, _ := strings.Cut(line, " ")
	permissions, rest, _ := strings.Cut(rest, " ")
	_, rest, _ = strings.Cut(rest, " ")
	device, rest, _ := strings.Cut(rest, " ")
	inode, path, _ := strings.Cut(rest, " ")
	path = strings.TrimLeft(path, " ")
	if len(permissions) < 3 || permissions[2] != 'x' || !strings.HasPrefix(path, "/") {
		return File{}, false
	}
	major, minor, _ := strings.Cut(device, ":")
	high, errHigh := strconv.ParseUint(major, 16, 32)
	low, errLow := strconv.ParseUint(minor, 16, 32)
	number, errNumber := strconv.ParseUint(inode, 10, 64)
	return File{ID: ID{high<<32 | low, number}, Path: path, link: where}, errHigh == nil && errLow == nil && errNumber == nil && number != 0
}

// At is the file at a path that this process sees.
func At(path string) (File, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return File{}, err
	}
	return File{ID: ID{uint64(unix.Major(stat.Dev))<<32 | uint64(unix.Minor(stat.Dev)), stat.Ino}, Path: path, link: path}, nil
}

// errOther means that the path leads to another file by now.
var errOther = errors.New("the path leads to another file by now")

// Open opens the file itself, whatever its path leads to by now. That takes CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN; without them it is opened by
// its path, if that still leads to it.
func (f *File) Open() (*os.File, error) {
	if file, err := os.Open(f.link); err == nil {
		return file, nil
	}
	file, err := os.Open(f.inRoot)
	if err != nil {
		return nil, err
	}
	var stat unix.Stat_t
	if err = unix.Fstat(int(file.Fd()), &stat); err == nil && stat.Ino != f.ID.Inode {
		err = errOther
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
