//go:build amd64 || arm64

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// idleConnections is how many connections stay open and carry nothing. Server and client are a process each.
const idleConnections = 10_000

// Figures of an idle collector.
const (
	idleResident = iota // MiB
	idleAnonymous
	idleRings
	idleKernel
	idleWakeups // per second
	idleCPU     // ms per second
	idleFollowed
	idleWithout // sockets that went on without both addresses
)

// measureIdle measures what the collector holds and does while nothing is transferred.
func measureIdle(s *settings) error {
	arms := []arm{
		{"socket mode", func() ([]float64, error) { return runIdle(s, "socket", 0) }},
		{"socket mode, 10,000 connections", func() ([]float64, error) { return runIdle(s, "socket", idleConnections) }},
		{"syscall mode", func() ([]float64, error) { return runIdle(s, "syscall", 0) }},
		{"syscall mode, 10,000 connections", func() ([]float64, error) { return runIdle(s, "syscall", idleConnections) }},
	}
	c, err := compare(arms, s.rounds)
	if err != nil {
		return err
	}
	fmt.Printf("An idle collector, over %d s, medians of %d rounds (least to most):\n\n", idleSeconds(s), s.rounds)
	fmt.Println("| | resident, MiB | of which its own memory | of which ring buffers and other memory of the kernel | the kernel holds, MiB |" +
		" times that a thread waited, a second | CPU, ms a second | sockets followed | without both addresses |")
	fmt.Println("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
	for i, a := range c.arms {
		fmt.Printf("| %s", a.name)
		for figure := idleResident; figure <= idleWithout; figure++ {
			decimals := 0
			if figure == idleCPU || figure == idleWakeups {
				decimals = 1
			}
			fmt.Printf(" | %s", c.value(i, figure).format(decimals))
		}
		fmt.Println(" |")
	}
	fmt.Println()
	return nil
}

// idleSeconds is long enough for what is done once in 10 s to be in it.
func idleSeconds(s *settings) int { return max(20, s.seconds) }

func runIdle(s *settings, mode string, connections int) ([]float64, error) {
	o := &observation{keys: "    mode: " + mode}
	return o.with(s, func(c *collector) (figures []float64, err error) {
		if connections > 0 {
			stop, err := holdConnections(s, connections)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, stop()) }()
		}
		time.Sleep(15 * time.Second) // the first look at losses is over, and the garbage of the start collected
		wakeups, used, err := c.activity()
		if err != nil {
			return nil, err
		}
		time.Sleep(time.Duration(idleSeconds(s)) * time.Second)
		wakeupsAfter, usedAfter, err := c.activity()
		if err != nil {
			return nil, err
		}
		memory, err := c.resident()
		if err != nil {
			return nil, err
		}
		own, err := c.own()
		if err != nil {
			return nil, err
		}
		seconds := float64(idleSeconds(s))
		const mebi = 1 << 20
		return []float64{
			memory["VmRSS:"] / mebi, memory["RssAnon:"] / mebi, memory["mapped"] / mebi, own.kernelMemory / mebi,
			float64(wakeupsAfter-wakeups) / seconds, float64((usedAfter - used).Milliseconds()) / seconds, own.followed, own.incomplete,
		}, nil
	})
}

// activity is how often threads of the collector have waited so far, and its processor time.
func (c *collector) activity() (waits int, used time.Duration, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", c.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for _, thread := range threads {
		status, err := os.ReadFile(thread)
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(status)) {
			if number, is := strings.CutPrefix(line, "voluntary_ctxt_switches:"); is {
				n, err := strconv.Atoi(strings.TrimSpace(number))
				if err != nil {
					return 0, 0, err
				}
				waits += n
			}
		}
	}
	used, err = c.cpu()
	return waits, used, err
}

// resident is the collector's resident memory in bytes, by the names of /proc/<pid>/status; "mapped" is that of maps of the kernel.
func (c *collector) resident() (map[string]float64, error) {
	memory := map[string]float64{}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	smaps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", c.cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[2] == "kB" {
			kibi, err := strconv.Atoi(fields[1])
			if err != nil {
				return nil, err
			}
			memory[fields[0]] = float64(kibi) * 1024
		}
	}
	var ofMap bool
	for line := range strings.Lines(string(smaps)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"):
			ofMap = strings.Contains(line, "anon_inode:bpf-map")
		case ofMap && len(fields) == 3 && fields[0] == "Rss:":
			kibi, err := strconv.Atoi(fields[1])
			if err != nil {
				return nil, err
			}
			memory["mapped"] += float64(kibi) * 1024
		}
	}
	return memory, nil
}

// holdConnections starts a server and a client that keep connections open. stop ends them.
func holdConnections(s *settings, count int) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var started []*exec.Cmd
	stop = func() error {
		cancel()
		for _, c := range started {
			_ = c.Wait() // it was killed
		}
		return nil
	}
	start := func(args ...string) (string, error) {
		c := exec.CommandContext(ctx, s.self, args...)
		c.Stderr = os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := c.StdoutPipe()
		if err != nil {
			return "", err
		}
		if err := c.Start(); err != nil {
			return "", err
		}
		started = append(started, c)
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("%s: %w", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(line), nil
	}
	port, err := start("-hold", strconv.Itoa(count))
	if err == nil {
		_, err = start("-hold", strconv.Itoa(count), "-hold-port", port)
	}
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// hold is a server (port 0) or a client that keeps connections open until it is killed.
func hold(count, port int) error {
	limit := unix.Rlimit{Cur: uint64(count + 1000), Max: uint64(count + 1000)}
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		return err
	}
	if now.Cur < limit.Cur {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return fmt.Errorf("open %d files: %w", count, err)
		}
	}
	if port == 0 {
		l, err := newLoad()
		if err != nil {
			return err
		}
		fmt.Println(l.port)
		for range count {
			if _, _, err := unix.Accept4(l.listener, unix.SOCK_CLOEXEC); err != nil {
				return fmt.Errorf("accept: %w", err)
			}
		}
	} else {
		for range count {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("socket: %w", err)
			}
			if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
				return fmt.Errorf("connect: %w", err)
			}
		}
		fmt.Println("connected")
	}
	for {
		time.Sleep(time.Hour)
	}
}
