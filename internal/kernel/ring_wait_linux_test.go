//go:build amd64 || arm64

package kernel

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// waiterOf waits for an eventfd in place of a ring buffer. put wakes it, as the kernel does.
func waiterOf(t *testing.T) (w *ringWaiter, put, take func()) {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, unix.Close(fd)) })
	w, err = newRingWaiter(fd)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.close()) })
	return w, func() {
			_, err := unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
			require.NoError(t, err)
		}, func() {
			_, err := unix.Read(fd, make([]byte, 8))
			require.NoError(t, err)
		}
}

func TestAWakeUpIsNotMissedBetweenTwoWaits(t *testing.T) {
	w, put, take := waiterOf(t)
	for range 1000 {
		put()
		why, err := w.wait(time.Time{}) // without a deadline: a missed one hangs the test
		require.NoError(t, err)
		require.Equal(t, wokenByKernel, why)
		take()
	}
}

func TestAWakeUpEndsAWaitThatIsUnderWay(t *testing.T) {
	w, put, take := waiterOf(t)
	woken := make(chan wake)
	for range 100 {
		go func() {
			why, err := w.wait(time.Time{})
			assert.NoError(t, err)
			woken <- why
		}()
		put()
		require.Equal(t, wokenByKernel, <-woken)
		take()
	}
}

func TestWaitsEndByDeadlineAndByInterrupt(t *testing.T) {
	w, put, _ := waiterOf(t)
	why, err := w.wait(time.Now().Add(-time.Second))
	require.NoError(t, err)
	require.Equal(t, wokenByDeadline, why)
	require.NoError(t, w.interrupt())
	why, err = w.wait(time.Time{})
	require.NoError(t, err)
	require.Equal(t, wokenByInterrupt, why)
	put()
	why, err = w.wait(time.Time{})
	require.NoError(t, err)
	require.Equal(t, wokenByKernel, why, "an interrupt ends one wait")
}

func TestWaitingDoesNotAllocate(t *testing.T) {
	w, put, _ := waiterOf(t)
	put()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		_, _ = w.wait(time.Time{})
	}))
}
