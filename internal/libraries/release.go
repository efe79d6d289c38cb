//go:build linux && (amd64 || arm64)

package libraries

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/procfs"
)

const (
	// releaseEvery is how often it is looked for files that are gone. What is attached to them keeps them on their disks.
	releaseEvery = time.Minute
	// unusedTimes is how often in a row no process may have such a file mapped until it is let go: one may have been forked meanwhile.
	unusedTimes = 2
)

// release detaches from files that have been deleted, and that no process has mapped any more.
func (w *Watcher) release() {
	deleted := false
	for _, a := range w.attached {
		deleted = deleted || a.isDeleted()
	}
	if !deleted {
		return
	}
	mapped, ok := mappedInodes()
	if !ok {
		return
	}
	for key, a := range w.attached {
		if mapped[key.inode] || !a.isDeleted() {
			a.unused = 0
		} else {
			a.unused++
		}
	}
	w.detach(func(a *attachment) bool { return a.unused >= unusedTimes })
}

// isDeleted reports whether no directory has the file.
func (a *attachment) isDeleted() bool {
	var stat unix.Stat_t
	return unix.Fstat(int(a.file.Fd()), &stat) == nil && stat.Nlink == 0
}

// mappedInodes are those that processes have mapped, of whichever device: stat(2) may give another one. Processes that have ended, or that may not be
// looked at, have none. ok is false if a process has more than can be listed.
func mappedInodes() (mapped map[uint64]bool, ok bool) {
	pids, err := procfs.Processes()
	if err != nil {
		return nil, false
	}
	mapped = map[uint64]bool{}
	for _, pid := range pids {
		files, cut, err := procfs.MappedFiles(pid)
		if err != nil {
			continue
		}
		if cut {
			return nil, false
		}
		for i := range files {
			mapped[files[i].Inode] = true
		}
	}
	return mapped, true
}
