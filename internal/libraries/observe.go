//go:build linux && (amd64 || arm64)

package libraries

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/tlslib"
)

// attachment is what a Watcher is attached to.
type attachment struct {
	io.Closer
	file   *os.File // its, which may be gone from its directory
	unused int      // how often in a row no process had it mapped
}

func (a *attachment) Close() error { return errors.Join(a.Closer.Close(), a.file.Close()) }

// observe attaches to the library in a file, which it then keeps.
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
	w.attached[key] = &attachment{Closer: attached, file: file}
	// Sampling counts lines by their message.
	w.opts.Logger.Info("watching TLS calls of "+path, zap.String("file", path), zap.Stringer("kind", lib.Kind), zap.String("version", lib.Version))
	return nil
}

// detachWithin bounds how long the watcher waits until the kernel has detached from libraries. That takes some 0.1 s, but before Linux 6.6 some 60 ms for
// each probe. What is left then goes on, and at the end of the process the kernel waits for it.
const detachWithin = 2 * time.Second

// detach detaches from libraries, at once: each has to wait for the kernel.
func (w *Watcher) detach(which func(*attachment) bool) {
	var closing sync.WaitGroup
	for key, attached := range w.attached {
		if !which(attached) {
			continue
		}
		delete(w.attached, key)
		closing.Go(func() {
			if err := attached.Close(); err != nil {
				w.opts.Logger.Error("detach from a TLS library", zap.Error(err))
			}
		})
	}
	detached := make(chan struct{})
	go func() {
		closing.Wait()
		close(detached)
	}()
	select {
	case <-detached:
	case <-time.After(w.detachWithin):
		w.opts.Logger.Info("the kernel is still detaching from TLS libraries, which may delay the end of this process")
	}
}

func every(*attachment) bool { return true }

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
	{tlslib.SSLSendfile, tlslib.Enter}: kernel.FileEnter,
	{tlslib.SSLSendfile, tlslib.Exit}:  kernel.FileExit,
	{tlslib.BIOSSLWrite, tlslib.Enter}: kernel.WriteExEnter,
	{tlslib.BIOSSLWrite, tlslib.Exit}:  kernel.WriteExExit,
	{tlslib.BIOWrite, tlslib.Enter}:    kernel.BIOWrite,
	{tlslib.SSLSetBIO, tlslib.Enter}:   kernel.SetBIO,
	{tlslib.SSLSet0WBIO, tlslib.Enter}: kernel.SetWriteBIO,
	{tlslib.GoRead, tlslib.Enter}:      kernel.GoReadEnter,
	{tlslib.GoRead, tlslib.Exit}:       kernel.GoReadExit,
	{tlslib.GoWrite, tlslib.Enter}:     kernel.GoWriteEnter,
	{tlslib.GoConnWrite, tlslib.Enter}: kernel.GoRecord,

	{tlslib.GnuTLSRecv, tlslib.Enter}:       kernel.GnuTLSReadEnter,
	{tlslib.GnuTLSRecv, tlslib.Exit}:        kernel.GnuTLSReadExit,
	{tlslib.GnuTLSRecvSeq, tlslib.Enter}:    kernel.GnuTLSReadEnter,
	{tlslib.GnuTLSRecvSeq, tlslib.Exit}:     kernel.GnuTLSReadExit,
	{tlslib.GnuTLSSend, tlslib.Enter}:       kernel.GnuTLSWriteEnter,
	{tlslib.GnuTLSSend, tlslib.Exit}:        kernel.GnuTLSWriteExit,
	{tlslib.GnuTLSSend2, tlslib.Enter}:      kernel.GnuTLSWriteEnter,
	{tlslib.GnuTLSSend2, tlslib.Exit}:       kernel.GnuTLSWriteExit,
	{tlslib.GnuTLSSendRange, tlslib.Enter}:  kernel.GnuTLSWriteEnter,
	{tlslib.GnuTLSSendRange, tlslib.Exit}:   kernel.GnuTLSWriteExit,
	{tlslib.GnuTLSUncork, tlslib.Enter}:     kernel.GnuTLSUncorkEnter,
	{tlslib.GnuTLSUncork, tlslib.Exit}:      kernel.GnuTLSUncorkExit,
	{tlslib.GnuTLSPush, tlslib.Enter}:       kernel.GnuTLSPush,
	{tlslib.GnuTLSPushVector, tlslib.Enter}: kernel.GnuTLSPushVector,
}

// probes are those of a library that there is a program for. Two functions that end in the same one have exits in common.
func probes(lib *tlslib.Library) (all []kernel.LibraryProbe) {
	seen := map[kernel.LibraryProbe]bool{}
	for _, p := range lib.Probes {
		kind, ok := kinds[place{p.Call, p.Place}]
		if p.Moved {
			kind |= kernel.CountMoved
		}
		if p.GoesOn {
			kind |= kernel.GoesOn
		}
		probe := kernel.LibraryProbe{Offset: p.Offset, Kind: kind, Depth: p.Depth, Result: p.Result, Push: kernel.PushRegisters(p.Push),
			Kept: kernel.KeptArguments(p.Kept)}
		if ok && !seen[probe] {
			seen[probe] = true
			all = append(all, probe)
		}
	}
	return all
}

var _ io.Closer = (*kernel.Library)(nil)
