package procfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// Handle is the directory of a process. It belongs to the process and not to its pid: once the process is gone the kernel finds
// nothing in it, even if the pid is in use again (fs/proc/base.c, get_proc_task of the inode's struct pid).
type Handle struct{ dir *os.Root }

// Open opens the directory of a process of the procfs that is mounted on root.
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

// Executable reads the link to what the process executes, as the kernel prints it. A kernel thread and a process that is ending
// have none, which is "" and no error.
func (h Handle) Executable() (string, error) {
	link, err := h.dir.Readlink("exe")
	if IsMissing(err) {
		return "", nil
	}
	return link, err
}

// Read passes at most limit bytes of a file to use, which must copy what it keeps, and says whether the file goes on behind them.
// scratch has to be longer than limit. It is cleared afterwards, because nothing else of an environment may stay behind in it. A file
// that is not there is not read, and is no error.
func (h Handle) Read(file string, limit int, scratch []byte, use func(data []byte, cut bool)) error {
	f, err := h.dir.Open(file)
	if IsMissing(err) {
		// Not every kernel has every file, and of a kernel thread some cannot be opened. Whether it is the process
		// that is missing is for stat to say.
		return nil
	}
	if err != nil {
		return err
	}
	// One byte beyond the limit tells a file that ends there from one that is cut.
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
