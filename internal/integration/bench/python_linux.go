//go:build amd64 || arm64

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// pythonPair makes the transfers of a pair in a program in Python, whose main thread makes all system calls itself.
type pythonPair struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// pingPongsInPython reads lines with a size and a number of times, and answers with the number of transfers.
const pingPongsInPython = `
import os, sys
pairs = [(3, 4), (4, 3)]
for line in sys.stdin:
    size, times = map(int, line.split())
    block, transfers = bytes(size), 0
    for _ in range(times):
        for source, target in pairs:
            done = 0
            while done < size:
                done += os.write(source, block[done:] if done else block)
                transfers += 1
            done = 0
            while done < size:
                done += len(os.read(target, size - done))
                transfers += 1
    print(transfers, flush=True)
`

func newPythonPair(p *pair) (_ *pythonPair, err error) {
	command := exec.Command("python3", "-c", pingPongsInPython)
	command.Stderr = os.Stderr
	for _, fd := range p.fds {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("dup: %w", err)
		}
		file := os.NewFile(uintptr(own), "socket")
		defer func() { err = errors.Join(err, file.Close()) }()
		command.ExtraFiles = append(command.ExtraFiles, file)
	}
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &pythonPair{command, in, bufio.NewReader(out)}, command.Start()
}

func (p *pythonPair) pingPongs(size, times int) (transfers int, err error) {
	if _, err := fmt.Fprintln(p.in, size, times); err != nil {
		return 0, err
	}
	_, err = fmt.Fscanln(p.out, &transfers)
	return transfers, err
}

func (p *pythonPair) close() error { return errors.Join(p.in.Close(), p.command.Wait()) }
