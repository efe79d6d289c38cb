//go:build amd64 || arm64

package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a server program on a processor of its own, which ends with this one.
type server struct {
	cmd *exec.Cmd
	log bytes.Buffer
}

// serverProcessor is the processor of the servers.
const serverProcessor = "0"

// startServer returns when the program listens.
func startServer(port int, command ...string) (*server, error) {
	s := &server{cmd: exec.Command("taskset", append([]string{"-c", serverProcessor}, command...)...)}
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		connection, err := net.DialTimeout("tcp4", address, time.Second)
		if err == nil {
			return s, connection.Close()
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("%s does not listen: %w:\n%s", command[0], err, &s.log), s.cmd.Process.Kill(), s.cmd.Wait())
		}
	}
}

// stop asks the program to end; a server that has served is no longer asked for its result.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := s.cmd.Wait(); !errors.As(err, &exit) {
		return err
	}
	return nil
}

// cpu is the processor time that the program and its child processes have used.
func (s *server) cpu() (time.Duration, error) {
	pids := []int{s.cmd.Process.Pid}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for _, field := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		pids = append(pids, pid)
	}
	sum, err := processorTimeOfEnded(s.cmd.Process.Pid) // a server may have a process for each connection
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		used, err := processorTimeOf(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

const nginxConfiguration = `
daemon off;
user root;
pid nginx.pid;
worker_processes 1;
error_log stderr;
events { worker_connections 256; }
http {
	access_log off;
	keepalive_requests 1000000000;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		listen 127.0.0.1:%s;
		root files;
	}
}
`

// startNginx serves a file of 600 bytes.
func startNginx(dir string) (*server, int, error) {
	port, err := freePort()
	if err != nil {
		return nil, 0, err
	}
	files := filepath.Join(dir, "files")
	if err := os.MkdirAll(files, 0o750); err != nil {
		return nil, 0, err
	}
	configuration := filepath.Join(dir, "nginx.conf")
	if err := errors.Join(
		os.WriteFile(filepath.Join(files, "small"), bytes.Repeat([]byte("0123456789"), 60), 0o600),
		os.WriteFile(configuration, fmt.Appendf(nil, nginxConfiguration, strconv.Itoa(port)), 0o600),
	); err != nil {
		return nil, 0, err
	}
	s, err := startServer(port, "nginx", "-e", "stderr", "-p", dir, "-c", configuration)
	return s, port, err
}

func startRedis(dir string) (*server, int, error) {
	port, err := freePort()
	if err != nil {
		return nil, 0, err
	}
	s, err := startServer(port, "redis-server", "--daemonize", "no", "--bind", "127.0.0.1", "--port", strconv.Itoa(port),
		"--save", "", "--dir", dir)
	return s, port, err
}

// served is the result of a load: how many requests a second, and the 99th percentile of their latency.
type served struct {
	rate float64
	p99  time.Duration
	cpu  time.Duration // of the load
	n    float64       // requests
}

const loadConnections = 32

// runOn runs a load on a processor, and returns what it wrote and the processor time that it used.
func runOn(processor string, command ...string) (string, time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", processor}, command...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w:\n%s", command[0], err, out)
	}
	return string(out), cmd.ProcessState.SystemTime() + cmd.ProcessState.UserTime(), nil
}

// loadNginx requests the file over connections that stay open, as fast as it is served.
func loadNginx(port int, processor string, seconds int) (served, error) {
	return loadHTTP(fmt.Sprintf("http://127.0.0.1:%d/small", port), processor, seconds)
}

func loadHTTP(url, processor string, seconds int) (served, error) {
	out, cpu, err := runOn(processor, "wrk", "-t1", "-c"+strconv.Itoa(loadConnections), "-d"+strconv.Itoa(seconds)+"s", "--latency", url)
	if err != nil {
		return served{}, err
	}
	s := served{cpu: cpu}
	var countErr, rateErr, latencyErr error
	for line := range strings.Lines(out) {
		switch fields := strings.Fields(line); {
		case len(fields) > 3 && fields[1] == "requests" && fields[2] == "in":
			s.n, countErr = strconv.ParseFloat(fields[0], 64)
		case len(fields) != 2:
		case fields[0] == "Requests/sec:":
			s.rate, rateErr = strconv.ParseFloat(fields[1], 64)
		case fields[0] == "99%":
			s.p99, latencyErr = time.ParseDuration(fields[1])
		}
	}
	err = errors.Join(countErr, rateErr, latencyErr)
	if err != nil || s.n == 0 || s.rate == 0 || s.p99 == 0 || strings.Contains(out, "Non-2xx") {
		return served{}, fmt.Errorf("wrk wrote:\n%s", out)
	}
	return s, nil
}

// loadRedis gets a value of 100 bytes, so often that it takes about so many seconds.
func loadRedis(port int, processor string, seconds int) (served, error) {
	return benchmarkRedis(port, processor, 50_000*seconds, "-c", strconv.Itoa(loadConnections))
}

// benchmarkRedis gets a value of 100 bytes so often.
func benchmarkRedis(port int, processor string, n int, options ...string) (served, error) {
	out, cpu, err := runOn(processor, append([]string{"redis-benchmark", "-h", "127.0.0.1", "-p", strconv.Itoa(port),
		"-t", "get", "-d", "100", "-n", strconv.Itoa(n), "--csv"}, options...)...)
	if err != nil {
		return served{}, err
	}
	start := strings.Index(out, `"test"`)
	rows, err := csv.NewReader(strings.NewReader(out[max(start, 0):])).ReadAll()
	if err != nil || len(rows) != 2 || len(rows[0]) != len(rows[1]) {
		return served{}, fmt.Errorf("redis-benchmark wrote:\n%s", out)
	}
	column := map[string]string{}
	for i, name := range rows[0] {
		column[name] = rows[1][i]
	}
	rate, rateErr := strconv.ParseFloat(column["rps"], 64)
	p99, latencyErr := time.ParseDuration(column["p99_latency_ms"] + "ms")
	return served{rate: rate, p99: p99, cpu: cpu, n: float64(n)}, errors.Join(rateErr, latencyErr)
}
