package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/socketflow/socketflow/internal/integration/otelcol"
	"github.com/socketflow/socketflow/internal/integration/sink"
)

// soak is a run.
type soak struct {
	*settings
	rand    *rand.Rand
	at      addresses
	config  string
	metrics int
	pprof   int
	sink    *sink.Sink
	ledger  *ledger
	self    string

	servers   []*exec.Cmd
	clients   sync.WaitGroup
	runs      int
	collector *collector
	life      int

	mu       sync.Mutex
	phase    string
	samples  []sample
	spans    []span
	segments []segment
	troubles []string
}

// span of time that had a phase.
type span struct {
	phase      string
	begin, end int64
}

// segment is the time between two starts of the receiver in which it observed. Its counters begin at 0.
type segment struct {
	life       int
	begin, end int64
	how        string // its end: reload, SIGTERM, SIGKILL
	counters   otelcol.Counters
	received   int // spans that the backend has got by its end, since the run began
}

func freePort() (int, error) {
	l, err := net.Listen("tcp4", loopback(0))
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func newSoak(s *settings) (*soak, error) {
	x := &soak{settings: s, rand: rand.New(rand.NewPCG(s.seed, 0)), ledger: newLedger()} //nolint:gosec // an order that can be repeated
	var sinkPort int
	for _, port := range []*int{&x.at.HTTP, &x.at.HTTP2, &x.at.Redis, &x.at.DNS, &x.at.Flood, &x.metrics, &x.pprof, &sinkPort} {
		n, err := freePort()
		if err != nil {
			return nil, err
		}
		*port = n
	}
	x.at.Unix = filepath.Join(s.dir, "http.sock")
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	x.self = self
	x.config = filepath.Join(s.dir, "collector.yaml")
	x.sink = &sink.Sink{Port: sinkPort, Spans: x.ledger.emitted}
	text := fmt.Appendf(nil, configuration, self, x.at.Redis, sinkPort, x.pprof, x.metrics)
	return x, errors.Join(os.WriteFile(x.config, text, 0o600), x.sink.Open(), removeOld(x.at.Unix))
}

func removeOld(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// program is this program in another part.
func (x *soak) program(part string, more ...string) *exec.Cmd {
	at, _ := json.Marshal(x.at) //nolint:errchkjson // numbers and a string
	cmd := exec.Command(x.self, append([]string{"-part", part, "-at", string(at)}, more...)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return cmd
}

func (x *soak) startServers() error {
	redis := exec.Command("redis-server", "--port", strconv.Itoa(x.at.Redis), "--bind", "127.0.0.1", "--save", "", "--dir", x.dir)
	redis.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	x.servers = []*exec.Cmd{redis, x.program("servers")}
	for _, cmd := range x.servers {
		if err := cmd.Start(); err != nil {
			return err
		}
		x.ledger.servers[int64(cmd.Process.Pid)] = true
	}
	for _, port := range []int{x.at.Redis, x.at.HTTP} {
		if err := answers(port); err != nil {
			return err
		}
	}
	return nil
}

func answers(port int) (err error) {
	for range 200 {
		var conn net.Conn
		if conn, err = net.Dial("tcp4", loopback(port)); err == nil {
			return conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// startClient runs a client, whose requests go to the ledger.
func (x *soak) startClient(more ...string) (*exec.Cmd, error) {
	x.ledger.mu.Lock()
	x.runs++
	run := x.runs
	x.ledger.mu.Unlock()
	cmd := x.program("client", append([]string{"-run", strconv.Itoa(run)}, more...)...)
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = in
	x.ledger.mu.Lock()
	err = errors.Join(cmd.Start(), in.Close())
	if err == nil {
		x.ledger.pids[run] = int64(cmd.Process.Pid)
	}
	x.ledger.mu.Unlock()
	if err != nil {
		return nil, err
	}
	x.clients.Go(func() { x.listen(cmd, run, out) })
	return cmd, nil
}

func (x *soak) listen(cmd *exec.Cmd, run int, out io.ReadCloser) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if err := x.ledger.client(run, lines.Text()); err != nil {
			x.trouble("%v", err)
		}
	}
	if err := errors.Join(lines.Err(), cmd.Wait(), out.Close()); err != nil {
		x.trouble("client %d: %v", run, err)
	}
}

func (x *soak) trouble(format string, arguments ...any) {
	text := time.Now().UTC().Format(time.TimeOnly) + " " + fmt.Sprintf(format, arguments...)
	fmt.Println("trouble:", text)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.troubles = append(x.troubles, text)
}

// loadUntil keeps one client running, each for a minute or so.
func (x *soak) loadUntil(ctx context.Context) {
	for ctx.Err() == nil {
		cmd, err := x.startClient()
		if err != nil {
			x.trouble("client: %v", err)
			return
		}
		wait(ctx, 40*time.Second+time.Duration(cmd.Process.Pid%50)*time.Second)
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// begin begins a phase.
func (x *soak) begin(phase string) {
	now := time.Now().UnixNano()
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.spans); n > 0 {
		x.spans[n-1].end = now
	}
	x.phase = phase
	x.spans = append(x.spans, span{phase: phase, begin: now})
	fmt.Println(time.Now().UTC().Format(time.TimeOnly), phase)
}

// sampleUntil looks at the collector each 10 seconds.
func (x *soak) sampleUntil(ctx context.Context) {
	for ctx.Err() == nil {
		wait(ctx, 10*time.Second)
		x.sample()
	}
}

// sample looks at the collector, if there is one.
func (x *soak) sample() {
	x.mu.Lock()
	c, phase := x.collector, x.phase
	x.mu.Unlock()
	if c == nil {
		return
	}
	s, err := c.sample(phase)
	if err != nil {
		return // it is about to end, or begins
	}
	x.mu.Lock()
	x.samples = append(x.samples, s)
	x.mu.Unlock()
	if err := writeSample(x.dir, s); err != nil {
		x.trouble("%v", err)
	}
}
