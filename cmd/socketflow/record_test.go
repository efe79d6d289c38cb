package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// watchedText is text that is written, and that somebody waits for.
type watchedText struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // has one if more has been written
}

func newWatchedText() *watchedText { return &watchedText{changed: make(chan struct{}, 1)} }

func (w *watchedText) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
	return w.text.Write(b)
}

func (w *watchedText) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// await waits until the text has a part.
func (w *watchedText) await(t *testing.T, part string, ended <-chan error) {
	t.Helper()
	for !strings.Contains(w.String(), part) {
		select {
		case <-w.changed:
		case err := <-ended:
			t.Fatalf("it has ended (%v): %s", err, w)
		}
	}
}

// load makes requests over loopback until it is stopped, half of them over connections of their own.
type load struct {
	port  int
	count atomic.Int64
	more  chan struct{} // has one if there was a request
	stop  func()
}

func newLoad(t *testing.T) *load {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") })}
	go server.Serve(listener) //nolint:errcheck // it is closed
	l := &load{port: listener.Addr().(*net.TCPAddr).Port, more: make(chan struct{}, 1)}
	var clients sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	for i := range 4 {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
		clients.Go(func() { l.request(ctx, client) })
	}
	l.stop = sync.OnceFunc(func() {
		cancel()
		clients.Wait()
		assert.NoError(t, server.Close())
	})
	t.Cleanup(l.stop)
	return l
}

func (l *load) request(ctx context.Context, by *http.Client) {
	defer by.CloseIdleConnections()
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/load", l.port), nil)
		if err != nil {
			return
		}
		if response, err := by.Do(request); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			l.count.Add(1)
			select {
			case l.more <- struct{}{}:
			default:
			}
		}
	}
}

// await waits for so many further requests.
func (l *load) await(requests int64) {
	for end := l.count.Load() + requests; l.count.Load() < end; {
		<-l.more
	}
}

// asProgram in the environment has this test binary be the program.
const asProgram = "SOCKETFLOW_TEST_AS_PROGRAM"

func TestARecordingThatIsInterruptedUnderLoadIsWhole(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	l := newLoad(t)
	path := filepath.Join(t.TempDir(), "load.sfr")
	self, err := os.Executable()
	require.NoError(t, err)
	program := exec.CommandContext(t.Context(), self, "record", "-o", path, "-port", fmt.Sprint(l.port))
	said := newWatchedText()
	program.Env, program.Stderr = append(os.Environ(), asProgram+"=1"), said
	require.NoError(t, program.Start())
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	said.await(t, "watching sockets", ended)
	l.await(300)
	require.NoError(t, program.Process.Signal(os.Interrupt)) // and the load goes on
	require.NoError(t, <-ended, said)
	l.stop()
	assert.Regexp(t, `(?m)^[1-9]\d* events, [1-9]\d* spans, [1-9]\d* bytes of payload`, said.String())

	var stdout, stderr bytes.Buffer
	require.Equal(t, exitDone, run(t.Context(), []string{"replay", "-json", path}, &stdout, &stderr), stderr.String())
	assert.Contains(t, stdout.String(), `"http.request.method"`)
	if !strings.Contains(said.String(), "Time was up") {
		assert.NotContains(t, stderr.String(), "The end of the recording is missing")
	}
}

func TestARecordingThatHasNotBegunLeavesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.sfr")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	said := newWatchedText()
	require.Equal(t, exitFailed, run(ctx, []string{"record", "-o", path}, said, said))
	_, err := os.Stat(path)
	assert.ErrorIs(t, err, os.ErrNotExist, said)
}
