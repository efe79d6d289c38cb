//go:build linux && (amd64 || arm64)

package libraries

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/tlslib"
)

// observe attaches to the library in a file.
func (w *Watcher) observe(path string, id fileID, file *os.File) error {
	lib, err := tlslib.Find(file, id.size)
	if err != nil {
		return err
	}
	if !w.opts.Kinds[lib.Kind] {
		return errNotWanted
	}
	key := library{id.inode, lib.BuildID}
	if w.attached[key] != nil {
		return errAttached
	}
	if len(w.attached) >= maxAttached {
		return errTooMany
	}
	// By the descriptor, because the path may have become another file's.
	attached, err := w.opts.Attach(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), probes(lib))
	if err != nil {
		return err
	}
	w.attached[key] = attached
	w.opts.Logger.Info("watching a TLS library", zap.String("file", path), zap.Stringer("kind", lib.Kind), zap.String("version", lib.Version))
	return nil
}

// detachWithin bounds how long a stop waits until the kernel has detached from all libraries. That takes some 0.1 s, but before Linux 6.6 some 60 ms for
// each probe. What is left then goes on, and at the end of the process the kernel waits for it.
const detachWithin = 2 * time.Second

// detach detaches from all libraries, at once: each has to wait for the kernel.
func (w *Watcher) detach() {
	var closing sync.WaitGroup
	for _, attached := range w.attached {
		closing.Go(func() {
			if err := attached.Close(); err != nil {
				w.opts.Logger.Error("detach from a TLS library", zap.Error(err))
			}
		})
	}
	clear(w.attached)
	detached := make(chan struct{})
	go func() {
		closing.Wait()
		close(detached)
	}()
	select {
	case <-detached:
	case <-time.After(w.detachWithin):
		w.opts.Logger.Info("the kernel is still detaching from TLS libraries, which delays the end of this process")
	}
}

type place struct {
	call  tlslib.Call
	place tlslib.Place
}

var kinds = map[place]kernel.LibraryProbeKind{
	{tlslib.SSLRead, tlslib.Enter}:     kernel.ReadEnter,
	{tlslib.SSLRead, tlslib.Exit}:      kernel.ReadExit,
	{tlslib.SSLReadEx, tlslib.Enter}:   kernel.ReadExEnter,
	{tlslib.SSLReadEx, tlslib.Exit}:    kernel.ReadExExit,
	{tlslib.SSLWrite, tlslib.Enter}:    kernel.WriteEnter,
	{tlslib.SSLWrite, tlslib.Exit}:     kernel.WriteExit,
	{tlslib.SSLWriteEx, tlslib.Enter}:  kernel.WriteExEnter,
	{tlslib.SSLWriteEx, tlslib.Exit}:   kernel.WriteExExit,
	{tlslib.BIOWrite, tlslib.Enter}:    kernel.BIOWrite,
	{tlslib.SSLSetBIO, tlslib.Enter}:   kernel.SetBIO,
	{tlslib.SSLSet0WBIO, tlslib.Enter}: kernel.SetWriteBIO,
	{tlslib.GoRead, tlslib.Enter}:      kernel.GoReadEnter,
	{tlslib.GoRead, tlslib.Exit}:       kernel.GoReadExit,
	{tlslib.GoWrite, tlslib.Enter}:     kernel.GoWriteEnter,
	{tlslib.GoConnWrite, tlslib.Enter}: kernel.GoRecord,
}

// probes are those of a library that there is a program for.
func probes(lib *tlslib.Library) (all []kernel.LibraryProbe) {
	for _, p := range lib.Probes {
		if kind, ok := kinds[place{p.Call, p.Place}]; ok {
			all = append(all, kernel.LibraryProbe{Offset: p.Offset, Kind: kind, Depth: p.Depth})
		}
	}
	return all
}

var _ io.Closer = (*kernel.Library)(nil)
