//go:build linux && (amd64 || arm64)

package libraries

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// waiting starts a program that waits until stop is called.
func waiting(t *testing.T, path string) (pid uint32, stop func()) {
	t.Helper()
	cmd := exec.Command(path, "-test.run", "TestHelperThatWaits")
	cmd.Env = append(os.Environ(), "LIBRARIES_WAIT=1")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return uint32(cmd.Process.Pid), func() { require.NoError(t, errors.Join(in.Close(), cmd.Wait())) }
}

func TestDeletedFileIsLetGoOnceNoProcessHasIt(t *testing.T) {
	w, a := newWatcher(t)
	own, err := os.Executable()
	require.NoError(t, err)
	look(t, w, own)
	program := copyOfSelf(t)
	pid, stop := waiting(t, program)
	look(t, w, program)
	require.Equal(t, 2, a.made)
	for range 3 * unusedTimes {
		w.release()
	}
	assert.Zero(t, a.closed, "the file is there")
	require.NoError(t, os.Remove(program))
	for range 3 * unusedTimes {
		w.release()
	}
	assert.Zero(t, a.closed, "process %d has it mapped", pid)
	stop()
	for i := range unusedTimes {
		assert.Zero(t, a.closed, "after %d times", i)
		w.release()
	}
	assert.Equal(t, 1, a.closed)
	assert.Len(t, w.attached, 1)
	w.detach(every)
	assert.Equal(t, 2, a.closed)
}

func TestProgramThatEndedBeforeItWasLookedAtIsNoTrouble(t *testing.T) {
	program := copyOfSelf(t)
	pid, stop := waiting(t, program)
	stop()
	w, a := newWatcher(t)
	w.process(pid, map[mapping]bool{})
	assert.Zero(t, a.made)
	assert.Equal(t, Stats{}, w.Stats())
	next, stop := waiting(t, program) // the same file
	defer stop()
	assert.Eventually(t, func() bool { // it has mapped the file only once it runs
		w.process(next, map[mapping]bool{})
		return a.made == 1
	}, 20*time.Second, time.Millisecond)
}

func TestFilesBeyondTheBoundAreAttachedToOnce(t *testing.T) {
	own, err := os.Executable()
	require.NoError(t, err)
	w, a := newWatcher(t)
	look(t, w, own)
	for inode := range uint64(2*maxFiles + 1) {
		w.remember(fileID{device: 1 << 40, inode: inode})
		require.LessOrEqual(t, len(w.files), maxFiles)
	}
	look(t, w, own)
	look(t, w, copyOfSelf(t))
	assert.Equal(t, 2, a.made)
	assert.Equal(t, Stats{Observed: 2}, w.Stats())
}

func TestEachFileIsLoggedThoughLinesAreSampled(t *testing.T) {
	core, lines := observer.New(zap.InfoLevel)
	w, _ := newWatcher(t)
	w.opts.Logger = zap.New(zapcore.NewSamplerWithOptions(core, time.Hour, 1, 0))
	for range 3 {
		look(t, w, copyOfSelf(t))
	}
	assert.Len(t, lines.FilterMessageSnippet("watching").All(), 3)
}

var _ io.Closer = (*attachment)(nil)
