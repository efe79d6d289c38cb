//go:build linux && (amd64 || arm64)

package libraries

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/procfs"
	"github.com/socketflow/socketflow/internal/tlslib"
)

const (
	// maxFiles bounds the files that are remembered. Then they are forgotten, and looked at once more.
	maxFiles = 1 << 14
	// maxAttached bounds the libraries that are attached to at a time.
	maxAttached = 1 << 10
	// tries is how often the mappings of a process are listed at most.
	tries = 5
	// queue is how many processes may wait to be looked at. If there are more, all processes are looked at once more.
	queue = 256
)

// Options of a Watcher.
type Options struct {
	Kinds  map[tlslib.Kind]bool // those that are attached to
	Attach func(path string, probes []kernel.LibraryProbe) (io.Closer, error)
	Logger *zap.Logger
}

// Watcher finds the TLS libraries that processes have mapped, and attaches to each file once.
type Watcher struct {
	opts     Options
	asked    chan uint32
	missed   atomic.Bool // processes that did not fit into asked
	observed atomic.Uint64
	refused  atomic.Uint64

	// Those of Run's goroutine.
	files        map[fileID]struct{} // that have been looked at
	attached     map[library]*attachment
	forbidden    bool // that files cannot be opened was logged
	detachWithin time.Duration
}

// New returns a Watcher.
func New(opts Options) *Watcher {
	return &Watcher{
		opts: opts, asked: make(chan uint32, queue), files: map[fileID]struct{}{}, attached: map[library]*attachment{}, detachWithin: detachWithin,
	}
}

// fileID identifies a file as it is: another one may get its inode, or be written over it. Containers that share a layer have a file under several
// devices.
type fileID struct {
	device, inode uint64
	size          int64
	changed       unix.Timespec
}

// mapping identifies a file as long as a process has it mapped.
type mapping struct{ device, inode uint64 }

// library identifies a file whatever its device: a probe of one is a probe of all.
type library struct {
	inode   uint64
	buildID string
}

// Stats are safe to read at any time.
func (w *Watcher) Stats() Stats { return Stats{w.observed.Load(), w.refused.Load()} }

// Look has a process looked at soon. It does not wait.
func (w *Watcher) Look(pid uint32) {
	select {
	case w.asked <- pid:
	default:
		w.missed.Store(true)
	}
}

// Run looks at all processes, and then at those that it is asked to look at, until ctx ends. Then it detaches from all libraries; if
// that takes long, it goes on when Run has returned.
func (w *Watcher) Run(ctx context.Context) {
	w.shared()
	w.all(ctx)
	releases := time.NewTicker(releaseEvery)
	defer releases.Stop()
	for {
		select {
		case <-ctx.Done():
			w.detach(every)
			return
		case <-releases.C:
			w.release()
		case pid := <-w.asked:
			w.some(pid)
			if w.missed.Swap(false) {
				w.all(ctx)
			}
		}
	}
}

// some looks at a process and those that have been asked for since, each once: a program that begins maps one library after the other.
func (w *Watcher) some(pid uint32) {
	pids, seen := map[uint32]bool{pid: true}, map[mapping]bool{}
	for len(w.asked) > 0 {
		pids[<-w.asked] = true
	}
	for pid := range pids {
		w.process(pid, seen)
	}
}

// shared looks at libraries where this host has them, so that the first program that uses one is seen from its first connection on.
func (w *Watcher) shared() {
	root := hostRoot
	if _, err := os.Stat(root + "/"); err != nil { // a security module may forbid it
		root = ""
	}
	for _, pattern := range sharedLibraries {
		paths, err := filepath.Glob(root + pattern)
		if err != nil {
			w.opts.Logger.Error("look for shared libraries", zap.Error(err))
			continue
		}
		for _, path := range paths {
			if file, err := os.Open(path); err == nil {
				w.file(path, file)
			}
		}
	}
}

// hostRoot is the host's root directory, whatever this process' own one is. Where it cannot be read, that one is taken.
const hostRoot = "/proc/1/root"

// sharedLibraries are where distributions have the libraries of OpenSSL and GnuTLS.
var sharedLibraries = []string{
	"/usr/lib/libssl.so.*", "/usr/lib/libcrypto.so.*", "/usr/lib/libgnutls.so.*",
	"/usr/lib64/libssl.so.*", "/usr/lib64/libcrypto.so.*", "/usr/lib64/libgnutls.so.*",
	"/usr/lib/*-linux-gnu/libssl.so.*", "/usr/lib/*-linux-gnu/libcrypto.so.*", "/usr/lib/*-linux-gnu/libgnutls.so.*",
	"/usr/local/lib*/libssl.so.*", "/usr/local/lib*/libcrypto.so.*", "/usr/local/lib*/libgnutls.so.*",
}

// all looks at all processes.
func (w *Watcher) all(ctx context.Context) {
	pids, err := procfs.Processes()
	if err != nil {
		w.opts.Logger.Warn("TLS libraries of running processes are not seen", zap.Error(err))
	}
	seen := map[mapping]bool{}
	for _, pid := range pids {
		if ctx.Err() != nil {
			return
		}
		w.process(pid, seen)
	}
}

// process looks at the files that a process has mapped, but for those that have been seen just now. A program that begins to run changes its
// mappings, so that they may be others before their files have been opened.
func (w *Watcher) process(pid uint32, seen map[mapping]bool) {
	for range tries {
		if !w.mapped(pid, seen) {
			return
		}
	}
}

// mapped reports whether mappings are gone since they were listed.
func (w *Watcher) mapped(pid uint32, seen map[mapping]bool) (changed bool) {
	mapped, _, err := procfs.MappedFiles(pid)
	if errors.Is(err, fs.ErrPermission) {
		w.forbid(err)
	}
	if err != nil {
		return false
	}
	for i := range mapped {
		m := &mapped[i]
		id := mapping{m.Device, m.Inode}
		if seen[id] {
			continue
		}
		switch file, err := m.Open(pid); {
		case err == nil:
			seen[id] = true
			w.file(m.Path, file)
		case errors.Is(err, procfs.ErrGone):
			changed = true
		default:
			seen[id] = true
			if !w.remember(fileID{device: m.Device, inode: m.Inode, size: -1}) {
				continue
			}
			if errors.Is(err, fs.ErrPermission) {
				w.refused.Add(1)
				w.forbid(err)
				continue
			}
			w.refuse(m.Path, err)
		}
	}
	return changed
}

// file looks at a file, once, and closes it unless it attaches to its library.
func (w *Watcher) file(path string, file *os.File) {
	kept := false
	defer func() {
		if !kept {
			_ = file.Close() // it was only read
		}
	}()
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		w.refuse(path, err)
		return
	}
	id := fileID{stat.Dev, stat.Ino, stat.Size, stat.Ctim}
	if !w.remember(id) {
		return
	}
	switch err := w.observe(path, id, file); {
	case err == nil:
		kept = true
		w.observed.Add(1)
	case !errors.Is(err, tlslib.ErrNoTLS) && !errors.Is(err, errNotWanted) && !errors.Is(err, errAttached):
		w.refuse(path, err)
	}
}

// remember reports whether the file has not been looked at.
func (w *Watcher) remember(id fileID) bool {
	if _, known := w.files[id]; known {
		return false
	}
	if len(w.files) >= maxFiles {
		clear(w.files)
	}
	w.files[id] = struct{}{}
	return true
}

func (w *Watcher) refuse(path string, err error) {
	w.refused.Add(1)
	// Sampling counts lines by their message.
	w.opts.Logger.Info("requests within TLS of the library "+path+" are not seen", zap.String("file", path), zap.Error(err))
}

// forbid logs once that this process may not look at the files of others.
func (w *Watcher) forbid(err error) {
	if w.forbidden {
		return
	}
	w.forbidden = true
	w.opts.Logger.Info("requests within TLS are not seen of processes whose mapped files this one may not open; CAP_SYS_PTRACE lets it", zap.Error(err))
}

var (
	errAttached  = errors.New("the file is observed under another name")
	errNotWanted = errors.New("libraries of this kind are not looked into")
	errTooMany   = fmt.Errorf("there are %d others already", maxAttached)
)
