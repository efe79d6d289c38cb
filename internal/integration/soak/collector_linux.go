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

// configuration has a queue that a long stall of the backend fills, so that losses are counted, too.
const configuration = `
receivers:
  socketflow:
    include:
      - executable: %s
      - executable: "**/redis-*"
        local_port: %d
exporters:
  otlp_http:
    endpoint: http://127.0.0.1:%d
    compression: none
    timeout: 5s
    sending_queue: {queue_size: 200, num_consumers: 2}
    retry_on_failure: {initial_interval: 500ms, max_interval: 2s, max_elapsed_time: 60s}
extensions:
  pprof:
    endpoint: 127.0.0.1:%d
service:
  extensions: [pprof]
  telemetry:
    metrics:
      readers:
        - pull:
            exporter:
              prometheus:
                host: 127.0.0.1
                port: %d
                without_type_suffix: true
                without_units: true
                without_scope_info: true
  pipelines:
    traces:
      receivers: [socketflow]
      exporters: [otlp_http]
    logs:
      receivers: [socketflow]
      exporters: [otlp_http]
`

// collector is one process of the collector, from its start to its end.
type collector struct {
	cmd     *exec.Cmd
	ended   chan error
	log     string
	metrics string
	pprof   string
	life    int
	ready   int // times
}

// startCollector returns when the collector is ready.
func startCollector(s *settings, life int, config string, metrics, pprof int) (*collector, error) {
	c := &collector{
		log: filepath.Join(s.dir, fmt.Sprintf("collector-%d.log", life)), life: life, ended: make(chan error, 1),
		metrics: fmt.Sprintf("http://%s/metrics", loopback(metrics)), pprof: fmt.Sprintf("http://%s/debug/pprof/", loopback(pprof)),
	}
	out, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	c.cmd = exec.Command(s.collector, "--config", config)
	c.cmd.Stdout, c.cmd.Stderr = out, out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	go func() { c.ended <- errors.Join(c.cmd.Wait(), out.Close()) }()
	return c, c.waitReady()
}

// waitReady waits until it is ready once more.
func (c *collector) waitReady() error {
	c.ready++
	for range 1200 {
		text, err := os.ReadFile(c.log)
		if err != nil {
			return err
		}
		if bytes.Count(text, []byte("Everything is ready.")) >= c.ready {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the collector did not get ready: %s", c.log)
}

// end sends the signal, and waits for the end.
func (c *collector) end(signal syscall.Signal) error {
	if err := c.cmd.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case err := <-c.ended:
		if signal == syscall.SIGKILL {
			return nil
		}
		return err
	case <-time.After(time.Minute):
		return fmt.Errorf("the collector still runs a minute after %v", signal)
	}
}

func fetch(url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(response.Body)
	return string(body), errors.Join(err, response.Body.Close())
}

// counters are the collector's own metrics, by name and labels as they are written.
type counters map[string]float64

func (c *collector) scrape() (counters, error) {
	text, err := fetch(c.metrics)
	if err != nil {
		return nil, err
	}
	all := counters{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		space := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || space < 0 {
			continue
		}
		if value, err := strconv.ParseFloat(line[space+1:], 64); err == nil {
			all[strings.TrimPrefix(line[:space], "otelcol_")] = value
		}
	}
	return all, nil
}

// sum adds up the series of the name whose labels contain the text.
func (c counters) sum(name, label string) int {
	var sum float64
	for series, value := range c {
		if (series == name || strings.HasPrefix(series, name+"{")) && strings.Contains(series, label) {
			sum += value
		}
	}
	return int(sum)
}
