//go:build amd64 || arm64

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	cmd     *exec.Cmd
	log     bytes.Buffer
	metrics string // where its own telemetry is
}

const configuration = `
receivers:
  socketflow:
%s
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
      readers:
        - pull:
            exporter:
              prometheus: {host: 127.0.0.1, port: %d}
  pipelines:
%s
`

// bothSignals are the pipelines of a collector unless an observation has others.
var bothSignals = []string{"traces", "logs"}

// startCollector returns when the collector is ready.
func startCollector(s *settings, o *observation) (*collector, error) {
	signals := o.signals
	if signals == nil {
		signals = bothSignals
	}
	var pipelines strings.Builder
	for _, signal := range signals {
		fmt.Fprintf(&pipelines, "    %s: {receivers: [socketflow], exporters: [debug]}\n", signal)
	}
	healthPort, healthErr := freePort()
	metricsPort, metricsErr := freePort()
	if err := errors.Join(healthErr, metricsErr); err != nil {
		return nil, err
	}
	health := fmt.Sprintf("127.0.0.1:%d", healthPort)
	file := filepath.Join(s.dir, "collector.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, o.keys, health, metricsPort, pipelines.String()), 0o600); err != nil {
		return nil, err
	}
	c := &collector{cmd: exec.Command(s.collector, "--config", file), metrics: fmt.Sprintf("http://127.0.0.1:%d/metrics", metricsPort)}
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for ready := false; !ready; {
		_, err := fetch(ctx, "http://"+health)
		ready = err == nil
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("the collector did not get ready:\n%s", c.log.String()), c.stop())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return c, nil
}

func fetch(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	body, readErr := io.ReadAll(response.Body)
	err = errors.Join(readErr, response.Body.Close())
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return string(body), err
}

// emitted holds the collector's own counters of its output and its losses.
type emitted struct {
	exchanges, ended float64 // requests, and ends of connections
	lost             float64 // kernel events that were lost whole or lost their payload because a ring buffer was full
	forgotten        float64 // requests that had to give way to others while they may still have been of use
	joined           float64 // spans that are the child of the other end's
	kernelMemory     float64 // bytes that the kernel holds for the programs now
	followed         float64 // sockets that are followed now
	incomplete       float64 // sockets that went on without both addresses
}

// own reads the sums of the counters until now.
func (c *collector) own() (t emitted, err error) {
	time.Sleep(500 * time.Millisecond) // longer than an event waits in the kernel
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	text, err := fetch(ctx, c.metrics)
	if err != nil {
		return emitted{}, err
	}
	for line := range strings.Lines(text) {
		var sum *float64
		switch {
		case strings.HasPrefix(line, "otelcol_socketflow_exchanges{"):
			sum = &t.exchanges
		case strings.HasPrefix(line, "otelcol_socketflow_connections{") && strings.Contains(line, `"closed"`):
			sum = &t.ended
		case strings.HasPrefix(line, "otelcol_socketflow_exchanges_forgotten"):
			sum = &t.forgotten
		case strings.HasPrefix(line, "otelcol_socketflow_parents{") && strings.Contains(line, `"peer"`):
			sum = &t.joined
		case strings.HasPrefix(line, "otelcol_socketflow_kernel_memory{"):
			sum = &t.kernelMemory
		case strings.HasPrefix(line, "otelcol_socketflow_sockets_tracked{"):
			sum = &t.followed
		case strings.HasPrefix(line, "otelcol_socketflow_addresses_incomplete{"):
			sum = &t.incomplete
		case strings.HasPrefix(line, "otelcol_socketflow_kernel_events_lost"),
			strings.HasPrefix(line, "otelcol_socketflow_payload_missing") && strings.Contains(line, `"ring_full"`):
			sum = &t.lost
		default:
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]), 64)
		if err != nil {
			return emitted{}, err
		}
		*sum += n
	}
	return t, nil
}

// awaitLibraries returns once TLS libraries are watched, and no further ones were found for a second.
func (c *collector) awaitLibraries() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for before := ""; ; time.Sleep(time.Second) {
		text, err := fetch(ctx, c.metrics)
		if err != nil {
			return fmt.Errorf("wait for TLS libraries: %w", err)
		}
		watched := ""
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "otelcol_socketflow_tls_libraries{") && !strings.HasSuffix(line, " 0\n") {
				watched += line
			}
		}
		if watched != "" && watched == before {
			return nil
		}
		before = watched
	}
}

// settled reads the counters once no more ends of connections are emitted, or after a while: this host may have other
// connections.
func (c *collector) settled() (emitted, error) {
	const looks = 10
	before, err := c.own()
	for range looks {
		now, ownErr := c.own()
		if err = errors.Join(err, ownErr); err != nil || now.ended == before.ended {
			return now, err
		}
		before = now
	}
	return before, err
}

func (c *collector) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return c.cmd.Wait()
}

// cpu is the processor time used by the collector.
func (c *collector) cpu() (time.Duration, error) { return processorTimeOf(c.cmd.Process.Pid) }

// tick is the unit of processor times in /proc.
const tick = 10 * time.Millisecond

// processorTimeOf is the processor time of a process and of its threads.
func processorTimeOf(pid int) (time.Duration, error) { return processorFields(pid, 14) }

// processorTimeOfEnded is the processor time of the child processes of a process that have ended.
func processorTimeOfEnded(pid int) (time.Duration, error) { return processorFields(pid, 16) }

// processorFields is the sum of two fields. proc(5): utime and stime are the fields 14 and 15, cutime and cstime 16 and 17; the second
// field may hold spaces.
func processorFields(pid, field int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return sumTicks(strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[field-3 : field-1])
}

// processorTimeOfAll is the processor time of all processes, and the time that the host of this machine took from it.
func processorTimeOfAll() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	// proc(5): cpu user nice system idle iowait irq softirq steal. Interrupts belong to no process.
	fields := strings.Fields(strings.SplitN(string(stat), "\n", 2)[0])
	return sumTicks(append(fields[1:4], fields[8]))
}

func sumTicks(fields []string) (time.Duration, error) {
	var ticks int64
	for _, field := range fields {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// rss is the resident memory, in KiB: all of it, and the part that is shared memory, which are the ring buffers. They are mapped
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
