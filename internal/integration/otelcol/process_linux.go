// Package otelcol runs a built collector as a process of its own, and reads what it says of itself.
package otelcol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Process is one process of the collector, from its start to its end.
type Process struct {
	Cmd     *exec.Cmd
	ended   chan error
	log     string
	metrics string // URL
	ready   int    // times
}

// Start returns when the collector is ready. It writes its log to a file, and serves metrics about itself at the URL, for Prometheus.
func Start(binary, config, log, metrics string) (*Process, error) {
	p := &Process{log: log, metrics: metrics, ended: make(chan error, 1)}
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	p.Cmd = exec.Command(binary, "--config", config)
	p.Cmd.Stdout, p.Cmd.Stderr = out, out
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Cmd.Start(); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	go func() { p.ended <- errors.Join(p.Cmd.Wait(), out.Close()) }()
	return p, p.WaitReady()
}

// WaitReady waits until it is ready once more: after the start, and after each reload.
func (p *Process) WaitReady() error {
	p.ready++
	for range 1200 {
		text, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		if bytes.Count(text, []byte("Everything is ready.")) >= p.ready {
			return nil
		}
		select {
		case err := <-p.ended:
			p.ended <- err
			return fmt.Errorf("the collector has ended: %s: %w", p.log, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("the collector did not get ready: %s", p.log)
}

// End sends the signal, and waits for the end.
func (p *Process) End(signal syscall.Signal) error {
	if err := p.Cmd.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case err := <-p.ended:
		if signal == syscall.SIGKILL {
			return nil
		}
		return err
	case <-time.After(time.Minute):
		return fmt.Errorf("the collector still runs a minute after %v", signal)
	}
}

// Fetch reads a URL whole.
func Fetch(url string) (string, error) {
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
