package procfs

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for an answer, which takes milliseconds.
const patience = 20 * time.Second

func newResolver(t testing.TB, o Options) *Resolver {
	t.Helper()
	r, err := New(o)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// answer waits for a query.
func answer(t *testing.T, q *Query) (Socket, error) {
	t.Helper()
	select {
	case <-q.Done():
	case <-time.After(patience):
		t.Fatal("the query is not answered")
	}
	s, answered, err := q.Answered()
	require.True(t, answered)
	return s, err
}

// fakeProcess adds a process to a directory that replaces /proc. It is in the network namespace netns; its descriptors from 3 on
// refer to sockets with inode 100+fd.
func fakeProcess(t *testing.T, root string, pid, netns, descriptors int, tables map[string]string) {
	t.Helper()
	dir := filepath.Join(root, strconv.Itoa(pid))
	for _, sub := range []string{"ns", "fd", "net"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, sub), 0o700))
	}
	require.NoError(t, os.Symlink(fmt.Sprintf("net:[%d]", netns), filepath.Join(dir, "ns", "net")))
	for fd := 3; fd < 3+descriptors; fd++ {
		require.NoError(t, os.Symlink(fmt.Sprintf("socket:[%d]", 100+fd), filepath.Join(dir, "fd", strconv.Itoa(fd))))
	}
	for name, text := range tables {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "net", name), []byte(text), 0o600))
	}
}

func TestSocketsThatAreLookedForTogetherAreFoundInOneReading(t *testing.T) {
	root := t.TempDir()
	text := inetHeading
	for fd := 3; fd < 53; fd++ {
		text += inetLine(fmt.Sprintf("0100007F:%04X", fd), "0200007F:0050", "01", 100+fd)
	}
	fakeProcess(t, root, 10, 1, 50, map[string]string{"tcp": text})
	const interval = 300 * time.Millisecond
	r := newResolver(t, Options{ProcRoot: root, Interval: interval})
	_, err := answer(t, r.Ask(10, 3))
	require.NoError(t, err)
	before := time.Now()
	var queries []*Query
	for fd := uint32(3); fd < 53; fd++ {
		queries = append(queries, r.Ask(10, fd))
	}
	for i, q := range queries {
		s, err := answer(t, q)
		require.NoError(t, err)
		assert.Equal(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(3+i)), s.Local)
	}
	assert.EqualValues(t, 2, r.Stats().Readings.Load(), "the first is on its own")
	assert.Greater(t, time.Since(before), interval/2, "there is an interval between readings")
}

func TestNetworkNamespacesAreReadApart(t *testing.T) {
	root := t.TempDir()
	fakeProcess(t, root, 10, 1, 1, map[string]string{"tcp": inetHeading + inetLine("0100000A:0050", "0200000A:C350", "01", 103)})
	fakeProcess(t, root, 11, 2, 1, map[string]string{"tcp": inetHeading + inetLine("0300000A:0050", "0200000A:C350", "01", 103)})
	r := newResolver(t, Options{ProcRoot: root})
	for pid, local := range map[uint32]string{10: "10.0.0.1:80", 11: "10.0.0.3:80"} {
		s, err := answer(t, r.Ask(pid, 3))
		require.NoError(t, err)
		assert.Equal(t, addr(local), s.Local)
		assert.Equal(t, pid-9, s.NetNS)
	}
}

// The process of one question ends before the tables are read.
func TestTablesAreReadThroughAnotherProcessOfTheNamespace(t *testing.T) {
	root := t.TempDir()
	table := map[string]string{"tcp": inetHeading + inetLine("0100000A:0050", "0200000A:C350", "01", 103)}
	fakeProcess(t, root, 10, 1, 1, table)
	fakeProcess(t, root, 11, 1, 1, table)
	r := newResolver(t, Options{ProcRoot: root, Interval: 200 * time.Millisecond})
	_, err := answer(t, r.Ask(10, 3))
	require.NoError(t, err)
	queries := []*Query{r.Ask(10, 3), r.Ask(11, 3)}
	require.NoError(t, os.RemoveAll(filepath.Join(root, "10")))
	for _, q := range queries {
		_, err := answer(t, q)
		assert.NoError(t, err)
	}
}

func TestErrorsOfFailedLookups(t *testing.T) {
	root := t.TempDir()
	fakeProcess(t, root, 10, 1, 1, map[string]string{"tcp": inetHeading})
	fakeProcess(t, root, 11, 1, 1, nil)
	require.NoError(t, os.Symlink("/dev/null", filepath.Join(root, "10", "fd", "0")))
	require.NoError(t, os.Symlink("socket:[x]", filepath.Join(root, "10", "fd", "1")))
	require.NoError(t, os.Remove(filepath.Join(root, "11", "net")))
	r := newResolver(t, Options{ProcRoot: root})
	for name, test := range map[string]struct {
		pid, fd uint32
		want    error
	}{
		"no socket":        {10, 0, ErrNotSocket},
		"nothing like one": {10, 1, ErrNotSocket},
		"no descriptor":    {10, 99, ErrGone},
		"no process":       {99, 3, ErrGone},
		"in no table":      {10, 3, ErrNotListed},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := answer(t, r.Ask(test.pid, test.fd))
			assert.ErrorIs(t, err, test.want)
		})
	}
	t.Run("no tables", func(t *testing.T) {
		_, err := answer(t, newResolver(t, Options{ProcRoot: root}).Ask(11, 3))
		assert.ErrorIs(t, err, ErrGone)
	})
}

func TestCloseAnswersWaitingQueries(t *testing.T) {
	root := t.TempDir()
	fakeProcess(t, root, 10, 1, 2, map[string]string{"tcp": inetHeading})
	r := newResolver(t, Options{ProcRoot: root, Interval: time.Hour})
	_, err := answer(t, r.Ask(10, 3))
	require.ErrorIs(t, err, ErrNotListed)
	waits := r.Ask(10, 4)
	_, answered, _ := waits.Answered()
	assert.False(t, answered)
	r.Close()
	_, err = answer(t, waits)
	assert.ErrorIs(t, err, ErrClosed)
	_, err = answer(t, r.Ask(10, 3))
	assert.ErrorIs(t, err, ErrClosed)
	r.Close()
}

func TestTooManyWaitingQueriesAreRefused(t *testing.T) {
	root := t.TempDir()
	fakeProcess(t, root, 10, 1, 2, map[string]string{"tcp": inetHeading})
	r := newResolver(t, Options{ProcRoot: root, Interval: time.Hour})
	r.mu.Lock()
	r.questions = maxQuestions
	r.mu.Unlock()
	_, err := answer(t, r.Ask(10, 3))
	assert.ErrorIs(t, err, ErrTooMany)
	r.mu.Lock()
	r.questions = 0
	r.mu.Unlock()
}

func TestIdleNamespacesAreForgotten(t *testing.T) {
	r := newResolver(t, Options{Interval: time.Nanosecond})
	for i := range uint32(maxNamespaces) {
		r.namespaces[i] = &namespace{}
	}
	r.namespaces[7].timer = time.AfterFunc(time.Hour, func() {})
	r.readers.Add(1)
	r.forgetIdle()
	assert.Len(t, r.namespaces, 1, "one has a reading scheduled")
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := New(Options{Interval: -1})
	assert.ErrorContains(t, err, "must not be negative")
}

func TestGoneWrapsErrorsOfEndedProcesses(t *testing.T) {
	assert.ErrorIs(t, gone(syscall.ESRCH), ErrGone)
	assert.ErrorIs(t, gone(os.ErrNotExist), ErrGone)
	assert.NotErrorIs(t, gone(os.ErrPermission), ErrGone)
	assert.NoError(t, errors.Unwrap(gone(nil)))
}
