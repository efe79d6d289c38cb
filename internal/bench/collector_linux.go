//go:build amd64 || arm64

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// collector is a real collector process with the receiver in a pipeline of each signal, and exporters that only count.
type collector struct {
	cmd *exec.Cmd
	log bytes.Buffer
}

const configuration = `
receivers:
  socketflow:
exporters:
  debug:
    verbosity: basic
    sampling_initial: 1
    sampling_thereafter: 1000000
extensions:
  health_check:
    endpoint: %s
service:
  extensions: [health_check]
  telemetry:
    metrics:
      level: none
  pipelines:
    traces:
      receivers: [socketflow]
      exporters: [debug]
    logs:
      receivers: [socketflow]
      exporters: [debug]
`

// startCollector returns when the collector is ready.
func startCollector(binary, dir string) (*collector, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	health := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "collector.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, health), 0o600); err != nil {
		return nil, err
	}
	c := &collector{cmd: exec.Command(binary, "--config", file)}
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for ready := false; !ready; {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+health, nil)
		if err != nil {
			return nil, err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			ready = response.StatusCode == http.StatusOK
			if err := response.Body.Close(); err != nil {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("the collector did not get ready:\n%s", c.log.String()), c.stop())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return c, nil
}

func (c *collector) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return c.cmd.Wait()
}

// cpu is the processor time that the collector has used.
func (c *collector) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// proc(5): utime and stime are the fields 14 and 15, in ticks of 10 ms; the second field may hold spaces.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// rss is the resident memory, in KiB, all of it and what of it is shared memory: the ring buffers, which are mapped
// twice and count twice.
func (c *collector) rss() (all, shared int, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "VmRSS:":
			all, err = strconv.Atoi(fields[1])
		case "RssFile:":
			shared, err = strconv.Atoi(fields[1])
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return all, shared, nil
}
