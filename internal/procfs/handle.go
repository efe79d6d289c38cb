package procfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// Handle is the open directory of a process. It belongs to the process and not to its pid: once the process has ended, its
// files cannot be read any more, even if the pid is reused (fs/proc/base.c, get_proc_task of the inode's struct pid).
type Handle struct{ dir *os.Root }

// Open opens the directory of a process in the procfs that is mounted on root.
func Open(root string, pid uint32) (Handle, error) {
	dir, err := os.OpenRoot(filepath.Join(root, strconv.FormatUint(uint64(pid), 10)))
	return Handle{dir}, err
}

// Close closes the directory.
func (h Handle) Close() error { return h.dir.Close() }

// Stat reads comm and start time.
func (h Handle) Stat() (Stat, error) {
	f, err := h.dir.Open("stat")
	if err != nil {
		return Stat{}, err
	}
	return readStat(f)
}

// Executable reads the link to the executable of the process, as the kernel prints it. For a kernel thread or an ending
// process, which have none, it returns "" and no error.
func (h Handle) Executable() (string, error) {
	link, err := h.dir.Readlink("exe")
	if IsMissing(err) {
		return "", nil
	}
	return link, err
}

// Read calls use with at most limit bytes of a file; cut says whether the file is longer. use must copy what it keeps. scratch
// has to be longer than limit. Read clears it afterwards, so that no part of an environment stays in memory. A missing file is
// not an error, and use is not called.
func (h Handle) Read(file string, limit int, scratch []byte, use func(data []byte, cut bool)) error {
	f, err := h.dir.Open(file)
	if IsMissing(err) {
		// Not every kernel has every file, and some files of a kernel thread cannot be opened. Stat shows whether the
		// process itself is gone.
		return nil
	}
	if err != nil {
		return err
	}
	// One byte beyond the limit shows whether the file is longer.
	n, err := io.ReadFull(f, scratch[:limit+1])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || IsMissing(err) {
		err = nil
	}
	if err == nil {
		use(scratch[:min(n, limit)], n > limit)
	}
	clear(scratch[:n])
	return errors.Join(err, f.Close())
}
