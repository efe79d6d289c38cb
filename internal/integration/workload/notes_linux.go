//go:build amd64 || arm64

package workload

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// notes is the output of a workload, and the input by which it passes gates.
type notes struct {
	mu  sync.Mutex
	in  *bufio.Reader
	out *bufio.Writer
}

func (n *notes) write(l line) {
	text, err := json.Marshal(l)
	check(err)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.out.Write(append(text, '\n')) //nolint:errcheck // flush returns the error
}

func (n *notes) flush() {
	n.mu.Lock()
	defer n.mu.Unlock()
	check(n.out.Flush())
}

// ends writes down the ends of sockets.
func (n *notes) ends(sockets ...*socket) {
	for _, s := range sockets {
		n.write(line{End: &s.end})
	}
}

// gate waits until the test lets the workload pass, and returns the test's words. If the test is gone, the process ends.
func (n *notes) gate(name string) []string {
	n.write(line{Gate: name})
	n.flush()
	words, err := n.in.ReadString('\n')
	if errors.Is(err, io.EOF) {
		os.Exit(1)
	}
	check(err)
	return strings.Fields(words)
}

// start starts another process of this workload.
func (n *notes) start(name string, args ...string) *Run {
	return n.startCommand(Command(context.Background(), name, args...))
}

func (n *notes) startCommand(cmd *exec.Cmd) *Run {
	cmd.Stderr = os.Stderr
	run, err := Start(cmd)
	check(err)
	return run
}

// wait adds what the other process wrote down.
func (n *notes) wait(r *Run) {
	ends, err := r.Wait()
	check(err)
	for i := range ends {
		n.write(line{End: &ends[i]})
	}
}

// check ends the process at an error: a workload that failed has no truth to report.
func check(err error) {
	if err != nil {
		die(err)
	}
}

// expect ends the process unless there is this error.
func expect(want unix.Errno, err error) {
	if !errors.Is(err, want) {
		die(errors.Join(fmt.Errorf("this should have failed: %w", want), err))
	}
}

// die names the line that called the caller.
func die(err error) {
	_, file, at, _ := runtime.Caller(2)
	fmt.Fprintf(os.Stderr, "workload %s: %s:%d: %v\n", os.Getenv(askedFor), file, at, err)
	os.Exit(1)
}
