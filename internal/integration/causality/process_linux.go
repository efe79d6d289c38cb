package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Bounds of a program's start and end.
const (
	startTimeout = 30 * time.Second
	endTimeout   = 5 * time.Second
)

// process is a program that listens, with its children in a group of its own.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	log   string
}

// startProcess returns when the program listens. What it writes goes to a file.
func startProcess(cmd *exec.Cmd, log string, port int) (*process, error) {
	p := &process{cmd: cmd, log: log, ended: make(chan struct{})}
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	go func() {
		_, _ = cmd.Wait(), out.Close()
		close(p.ended)
	}()
	if err := p.waitListening(port); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w:\n%s", cmd.Args[0], err, p.tail()), p.stop())
	}
	return p, nil
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) waitListening(port int) error {
	for until := time.Now().Add(startTimeout); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if !p.running() {
			return fmt.Errorf("it has ended: %v", p.cmd.ProcessState)
		}
		if listens(port) {
			return nil
		}
	}
	return errors.New("it does not listen")
}

// listens reports whether a program listens on the port. It does not connect: some servers answer a client that asks for nothing.
func listens(port int) bool {
	listening := regexp.MustCompile(fmt.Sprintf(`(?m)^ *\d+: [0-9A-F]+:%04X [0-9A-F]+:0000 0A `, port))
	for _, table := range [...]string{"/proc/net/tcp", "/proc/net/tcp6"} { // the JDK's sockets are of the second
		if text, err := os.ReadFile(table); err == nil && listening.Match(text) {
			return true
		}
	}
	return false
}

// stop ends the program, and whatever of its group is left.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(endTimeout):
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	<-p.ended
	return nil
}

// tail is the end of what the program has written.
func (p *process) tail() string {
	const lines = 15
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
