package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/socketflow/socketflow/internal/integration/otelcol"
)

// run is one run of all cells.
type run struct {
	*settings
	self     string
	ports    *ports
	observer *observer
	next     int // number of the next request
	folder   int // number of the next cell's folder
	report   *report
}

// result is what a cell has given.
type result struct {
	*score
	cell     *cell
	answered int
	losses   otelcol.Counters // what the collector has counted meanwhile
	problem  error
}

// lost is how many spans may be missing.
func (x *result) lost() int {
	losses := x.losses.Losses()
	return losses.Export + losses.Kernel
}

// faults are what makes a run fail.
func (x *result) faults() error {
	err := x.problem
	if x.score == nil {
		return err
	}
	if x.answered < x.requests {
		err = errors.Join(err, fmt.Errorf("%d of %d requests were answered", x.answered, x.requests))
	}
	if unexplained := x.missing() - x.lost(); unexplained > 0 {
		err = errors.Join(err, fmt.Errorf("%d spans are missing, and are not counted as lost", unexplained))
	}
	return err
}

// measure runs all cells, and prints the tables.
func measure(ctx context.Context, s *settings, m *matrix, out io.Writer) (err error) {
	x := &run{settings: s, ports: newPorts(), report: newReport(out), next: 1}
	if x.self, err = os.Executable(); err != nil {
		return err
	}
	if x.observer, err = startObserver(s.collector, s.dir, x.ports, s.receiver); err != nil {
		return err
	}
	for _, r := range m.runtimes {
		x.runtime(ctx, r, m)
	}
	x.report.summary()
	err = errors.Join(x.report.failure(), x.observer.stop())
	if s.strict {
		err = errors.Join(err, x.report.misses())
	}
	return err
}

func (x *run) runtime(ctx context.Context, r *runtime, m *matrix) {
	absent, err := r.prepare(&place{Programs: x.programs, Work: x.dir})
	if absent != "" {
		x.report.absent(r, absent)
		return
	}
	if err != nil {
		x.report.failed(r, err)
		return
	}
	for _, c := range m.cells(r) {
		if ctx.Err() != nil {
			x.report.failed(r, ctx.Err())
			return
		}
		x.report.add(x.cellOrAgain(ctx, c))
	}
}

// cellOrAgain runs a cell once more if nothing but its recall misses an aim that has to be reached: a busy machine may cause that, but no wrong parent.
// .ci/run counts these lines.
func (x *run) cellOrAgain(ctx context.Context, c *cell) *result {
	r := x.cell(ctx, c)
	if !x.strict || r.faults() != nil || !slices.Equal(r.missedAims(), []string{recallMissed}) {
		return r
	}
	fmt.Fprintf(os.Stderr, "REPEATED causality/%s: the recall was %s, by %s\n", strings.ReplaceAll(c.String(), " ", "_"), r.recallText(), r.evidenceText())
	return x.cell(ctx, c)
}

// cell runs a service and a backend of its own, and the load.
func (x *run) cell(ctx context.Context, c *cell) *result {
	r := &result{cell: c}
	before, err := x.observer.collector.Scrape()
	if err == nil {
		err = x.measureCell(ctx, r)
	}
	var lossesErr error
	r.losses, lossesErr = x.observer.losses(before)
	r.problem = errors.Join(err, lossesErr)
	return r
}

func (x *run) measureCell(ctx context.Context, r *result) (err error) {
	x.folder++
	at := &place{
		Programs: x.programs, Work: x.dir, Dir: filepath.Join(x.dir, strconv.Itoa(x.folder)),
		Style: string(r.cell.style), Calls: string(r.cell.pattern), Concurrency: r.cell.concurrency, RequestIDs: x.requestIDs,
	}
	listen, err1 := x.ports.take()
	backendPort, err2 := x.ports.take()
	if err := errors.Join(err1, err2, os.Mkdir(at.Dir, 0o755)); err != nil { //nolint:gosec // a service may run as another user
		return err
	}
	at.Listen, at.Backend = listen, backendPort
	backend, err := startProcess(exec.Command(x.self, "-backend", strconv.Itoa(backendPort)), filepath.Join(at.Dir, "backend.log"), backendPort)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backend.stop()) }()
	service, err := r.cell.runtime.start(at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.stop()) }()
	t := &truth{
		first: x.next, requests: x.requestsOf(r.cell), calls: r.cell.pattern.calls(), forwards: r.cell.runtime.forwards, backend: backend.cmd.Process.Pid,
	}
	x.next += t.requests
	l := &load{cell: r.cell, truth: t, port: listen, requestIDs: x.requestIDs}
	r.answered, err = l.run(ctx)
	r.score = x.settle(t)
	for _, note := range x.observer.ledger.explain(t, x.explain) {
		fmt.Fprintf(os.Stderr, "%v: %s\n", r.cell, note)
	}
	x.observer.ledger.forget(t)
	for _, p := range []*process{service, backend} {
		if !p.running() {
			err = errors.Join(err, fmt.Errorf("%s has ended: %v", p.cmd.Args[0], p.cmd.ProcessState))
		}
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, service.tail())
	}
	return err
}

func (x *run) requestsOf(c *cell) int {
	if x.requests > 0 {
		return x.requests
	}
	return c.requests()
}

// quiet is how long no span may come until it is clear that no more will.
const quiet = 4 * time.Second

// settle waits until all spans have come, or no more come.
func (x *run) settle(t *truth) *score {
	last, since := x.observer.ledger.score(t), time.Now()
	for last.missing() > 0 && time.Since(since) < quiet {
		time.Sleep(50 * time.Millisecond)
		now := x.observer.ledger.score(t)
		if now.missing() != last.missing() {
			since = time.Now()
		}
		last = now
	}
	return last
}
