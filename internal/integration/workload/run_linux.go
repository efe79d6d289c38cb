//go:build amd64 || arm64

package workload

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	askedFor    = "SOCKETFLOW_WORKLOAD"       // the workload's name
	isolatedFor = "SOCKETFLOW_WORKLOAD_NETNS" // set in a network namespace of its own
)

// workloads by name. The functions say what they do and which steps they write down.
var workloads = map[string]func(n *notes, args []string){
	"connections":       connections,
	"connection-server": connectionServer,
	"load":              load,
	"bulk":              bulk,
	"requests":          requests,
	"secure":            secure,
	"rounds":            rounds,
	"pair":              pair,
	"refused":           refused,
	"timeout":           timeout,
	"canceled":          canceled,
	"connect-and-wait":  connectAndWait,
	"unreachable":       unreachable,
	"ports-exhausted":   portsExhausted,
	"reset":             reset,
	"half-closed":       halfClosed,
	"never-read":        neverRead,
	"never-accepted":    neverAccepted,
	"reconnect":         reconnect,
	"dissolve":          dissolve,
	"self-connect":      selfConnect,
	"mptcp":             mptcp,
	"exit":              exit,
	"exit-holding":      exitHolding,
	"fork":              fork,
	"pass":              pass,
	"take":              take,
	"exec":              execAfterAccept,
	"accept-and-exec":   acceptAndExec,
	"serve-inherited":   serveInherited,
	"short-lived":       shortLived,
	"connect-once":      connectOnce,
	"older":             older,
	"scenario":          scenario,
}

// RunIfAsked runs the workload that Command selected for this process, and ends the process. In every other process it does
// nothing. Call it before anything else.
func RunIfAsked() {
	name, asked := os.LookupEnv(askedFor)
	if !asked {
		return
	}
	run, known := workloads[name]
	if !known {
		check(fmt.Errorf("no workload %q", name))
	}
	if os.Getenv(isolatedFor) != "" {
		raiseLoopback()
	}
	n := &notes{in: bufio.NewReader(os.Stdin), out: bufio.NewWriter(os.Stdout)}
	run(n, os.Args[1:])
	n.flush()
	os.Exit(0)
}

// Command is the command that runs a workload by this program's own executable. Its environment and attributes may be
// changed before it is started.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...) //nolint:gosec // the arguments are the program's own
	if path, err := os.Executable(); err == nil {
		cmd.Path = path
		cmd.Args[0] = path
	}
	// With the race detector every process would sleep for a second before it exits.
	cmd.Env = append(os.Environ(), askedFor+"="+name, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	return cmd
}

// Isolate gives a Command a network namespace of its own, with nothing in it but the loopback interface.
func Isolate(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	cmd.Env = append(cmd.Env, isolatedFor+"=1")
	return cmd
}

// Run is a running workload. It is for one goroutine.
type Run struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Scanner
	stderr bytes.Buffer
	ends   []End
	flows  []Flow
	load   Load
}

// line is what a workload writes: one of these, as JSON.
type line struct {
	Gate string `json:"gate,omitempty"` // it waits at this gate
	End  *End   `json:"end,omitempty"`
	Flow *Flow  `json:"flow,omitempty"`
	Load *Load  `json:"load,omitempty"`
}

// Start starts a Command. The process ends with its context at the latest, and with it every wait.
func Start(cmd *exec.Cmd) (*Run, error) {
	r := &Run{cmd: cmd}
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return nil, err
	}
	r.stdin, r.stdout = stdin, bufio.NewScanner(stdout)
	if cmd.Stderr == nil {
		cmd.Stderr = &r.stderr
	}
	return r, cmd.Start()
}

// PID is the process id of the workload.
func (r *Run) PID() int { return r.cmd.Process.Pid }

// Await reads until the workload waits at the gate of that name.
func (r *Run) Await(gate string) error {
	name, err := r.AwaitAny()
	if err == nil && name != gate {
		err = errors.Join(fmt.Errorf("the workload waits at %q instead of %q", name, gate), r.Kill())
	}
	return err
}

// AwaitAny reads until the workload waits at a gate, and returns its name.
func (r *Run) AwaitAny() (string, error) {
	l, err := r.read()
	if err == nil && l.Gate == "" {
		_, err = r.Wait()
		err = errors.Join(errors.New("the workload has ended instead of waiting"), err)
	}
	return l.Gate, err
}

// Continue lets the workload pass the gate at which it waits. The words are for the workload.
func (r *Run) Continue(words ...string) error {
	_, err := io.WriteString(r.stdin, strings.Join(words, " ")+"\n")
	return err
}

// Wait reads until the workload ends, which it must do without an error and without another gate.
func (r *Run) Wait() ([]End, error) {
	l, err := r.read()
	if err == nil && l.Gate != "" {
		err = errors.Join(fmt.Errorf("the workload waits at %q", l.Gate), r.cmd.Process.Kill())
	}
	if waiting := r.cmd.Wait(); waiting != nil {
		err = errors.Join(err, fmt.Errorf("workload %s: %w: %s", strings.Join(r.cmd.Args[1:], " "), waiting, &r.stderr))
	}
	return r.ends, err
}

// Kill ends the workload wherever it is.
func (r *Run) Kill() error {
	err := r.cmd.Process.Kill()
	_ = r.cmd.Wait() // it was killed
	return err
}

// Ends are the ends written down so far.
func (r *Run) Ends() []End { return r.ends }

// Flows are the flows that a "scenario" has written down so far.
func (r *Run) Flows() []Flow { return r.flows }

// Load is the result of a "load", of "requests", or of "bulk".
func (r *Run) Load() Load { return r.load }

// read reads what the workload writes until it waits or ends.
func (r *Run) read() (line, error) {
	for r.stdout.Scan() {
		var l line
		if err := json.Unmarshal(r.stdout.Bytes(), &l); err != nil {
			return l, fmt.Errorf("workload wrote %q: %w", r.stdout.Text(), err)
		}
		switch {
		case l.Gate != "":
			return l, nil
		case l.End != nil:
			r.ends = append(r.ends, *l.End)
		case l.Flow != nil:
			r.flows = append(r.flows, *l.Flow)
		case l.Load != nil:
			r.load = *l.Load
		}
	}
	return line{}, r.stdout.Err()
}
