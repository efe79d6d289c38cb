//go:build linux && (amd64 || arm64)

package libraries

import (
	"crypto/tls"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/tlslib"
)

// linked is in this program, so that its own file has one.
var linked io.ReadWriter = tls.Client(nil, &tls.Config{MinVersion: tls.VersionTLS13})

// attachments counts what a Watcher attaches to.
type attachments struct{ made, closed int }

func (a *attachments) Close() error {
	a.closed++
	return nil
}

func newWatcher(t *testing.T) (*Watcher, *attachments) {
	t.Helper()
	a := &attachments{}
	return New(Options{
		Kinds: map[tlslib.Kind]bool{tlslib.Go: true}, Logger: zaptest.NewLogger(t),
		Attach: func(string, []kernel.LibraryProbe) (io.Closer, error) {
			a.made++
			return a, nil
		},
	}), a
}

// look looks at a file as one of a process.
func look(t *testing.T, w *Watcher, path string) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	w.file(path, file)
}

func TestAFileIsAttachedToOnce(t *testing.T) {
	require.NotNil(t, linked)
	own, err := os.Executable()
	require.NoError(t, err)
	w, a := newWatcher(t)
	for range 3 {
		look(t, w, own)
	}
	w.process(uint32(os.Getpid()), map[mapping]bool{})
	assert.Equal(t, 1, a.made)
	assert.Equal(t, Stats{Observed: 1}, w.Stats())
	w.detach(every)
	assert.Equal(t, 1, a.closed)
}

// slow are attachments that the kernel takes time to detach from.
type slow struct{ release, closed chan struct{} }

func (s *slow) Close() error {
	<-s.release
	close(s.closed)
	return nil
}

func TestAStopDoesNotWaitForASlowKernel(t *testing.T) {
	s := &slow{make(chan struct{}), make(chan struct{})}
	core, logs := observer.New(zap.InfoLevel)
	w := New(Options{
		Kinds: map[tlslib.Kind]bool{tlslib.Go: true}, Logger: zap.New(core),
		Attach: func(string, []kernel.LibraryProbe) (io.Closer, error) { return s, nil },
	})
	w.detachWithin = time.Millisecond
	own, err := os.Executable()
	require.NoError(t, err)
	look(t, w, own)
	w.detach(every)
	assert.Len(t, logs.FilterMessageSnippet("still detaching").All(), 1)
	close(s.release)
	<-s.closed
}

// TestAnInodeWithAnotherProgramIsLookedAtAgain: inodes are given to other files once theirs are gone.
func TestAnInodeWithAnotherProgramIsLookedAtAgain(t *testing.T) {
	own, err := os.Executable()
	require.NoError(t, err)
	program, err := os.ReadFile(own)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "program")
	w, a := newWatcher(t)

	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755))
	look(t, w, path)
	assert.Zero(t, a.made)
	require.NoError(t, os.WriteFile(path, program, 0o755)) // the same inode
	look(t, w, path)
	assert.Equal(t, 1, a.made)
}

// TestPlacesThatTwoFunctionsShareAreProbedOnce: two functions of GnuTLS end in the same one.
func TestPlacesThatTwoFunctionsShareAreProbedOnce(t *testing.T) {
	got := probes(&tlslib.Library{Probes: []tlslib.Probe{
		{Call: tlslib.GnuTLSRecv, Place: tlslib.Enter, Offset: 1}, {Call: tlslib.GnuTLSRecv, Place: tlslib.Exit, Offset: 9, Depth: 8},
		{Call: tlslib.GnuTLSRecvSeq, Place: tlslib.Enter, Offset: 2}, {Call: tlslib.GnuTLSRecvSeq, Place: tlslib.Exit, Offset: 9, Depth: 8},
		{Call: tlslib.GnuTLSPush, Place: tlslib.Enter, Offset: 20, Push: tlslib.Push{Session: 3, Bytes: 4, Count: 5, Displacement: -6}},
	}})
	assert.Equal(t, []kernel.LibraryProbe{
		{Offset: 1, Kind: kernel.GnuTLSReadEnter}, {Offset: 9, Kind: kernel.GnuTLSReadExit, Depth: 8}, {Offset: 2, Kind: kernel.GnuTLSReadEnter},
		{Offset: 20, Kind: kernel.GnuTLSPush, Push: kernel.PushRegisters{Session: 3, Bytes: 4, Count: 5, Displacement: -6}},
	}, got)
}
