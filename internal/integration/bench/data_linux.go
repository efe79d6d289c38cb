//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
)

// everything is the receiver's default set of kernel options, with a larger ring buffer, so that a full buffer does not affect
// the figures.
var everything = kernel.Options{
	Shards: 1, RingBytes: 32 << 20, Processes: 16384, Sockets: 65536,
	Data: true, Causes: true, PayloadLimit: 256 << 10, PayloadBurst: 256 << 10,
}

// payloads are the sizes of a call's bytes, and how often they are sent there and back.
var payloads = []struct {
	name         string
	bytes, times int
}{
	{"100 B", 100, 20_000}, {"1 KiB", 1 << 10, 20_000}, {"16 KiB", 16 << 10, 4_000}, {"64 KiB", 64 << 10, 1_000},
}

// whole is the policy for a conversation that is parsed.
func whole() event.Want {
	return event.Want{Limit: [event.Directions]uint32{256 << 10, 256 << 10}, Burst: 4 << 20}
}

// treatment is a policy for a socket.
type treatment struct {
	name      string
	excluded  bool // the process is excluded
	causeless bool // causes are not observed
	python    bool // the transfers are made by a program in Python: it has no goroutines, which causes are read from
	want      func(w *event.Want)
}

var treatments = []treatment{
	{name: "captured", want: func(*event.Want) {}},
	{name: "captured, without causes", causeless: true, want: func(*event.Want) {}},
	{name: "captured, of Python", python: true, want: func(*event.Want) {}},
	{name: "captured, of Python, without causes", python: true, causeless: true, want: func(*event.Want) {}},
	{name: "emitted, without payload", want: func(w *event.Want) { w.Burst = 0 }},
	{name: "within a body of known length", want: func(w *event.Want) {
		w.Until = [event.Directions]uint64{math.MaxInt64, math.MaxInt64}
	}},
	{name: "nothing wanted any more", want: unwanted},
	{name: "nothing wanted any more, without causes", causeless: true, want: unwanted},
	{name: "ignored: of the collector itself", excluded: true, want: func(*event.Want) {}},
}

func unwanted(w *event.Want) { w.Until = [event.Directions]uint64{event.Never, event.Never} }

// measureData measures what the kernel programs cost a system call that transfers bytes.
func measureData(s *settings) (err error) {
	stats, err := kernel.EnableStats()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stats.Close()) }()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var arms []arm
	for _, t := range treatments {
		arms = append(arms, arm{t.name, func() ([]float64, error) { return treat(&t) }})
	}
	c, err := compare(arms, s.rounds)
	if err != nil {
		return err
	}
	fmt.Printf("Kernel, ns per transfer of a TCP connection (ping-pong by one thread) above an empty program beside it, "+
		"medians of %d rounds (least to most):\n\n", s.rounds)
	fmt.Print("|")
	for _, p := range payloads {
		fmt.Printf(" | %s", p.name)
	}
	fmt.Println(" |\n|---|---:|---:|---:|---:|")
	for i, a := range c.arms {
		fmt.Printf("| %s", a.name)
		for j := range payloads {
			fmt.Printf(" | %s", c.value(i, 2*j).format(0))
		}
		fmt.Println(" |")
	}
	fmt.Print("| an empty program, and its being measured")
	for j := range payloads {
		var all []float64
		for i := range c.arms {
			all = append(all, c.value(i, 2*j+1).median)
		}
		fmt.Printf(" | %s", spreadOf(all).format(0))
	}
	fmt.Print(" |\n\n")
	return measurePaced(s)
}

// treat measures each size, until at most one run in 50 was of another program's sockets. It returns what a transfer costs more
// than an empty program, and what the empty program costs.
func treat(t *treatment) (figures []float64, err error) {
	options := everything
	options.ExcludeSelf, options.Causes = t.excluded, !t.causeless
	o, err := newObserved(options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	p, err := newPair()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	var by pingPonger = p
	if t.python {
		var python *pythonPair
		if python, err = newPythonPair(p); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, python.close()) }()
		by = python
	}
	w := whole()
	t.want(&w)
	for _, cookie := range p.cookies {
		o.tracer.Want(cookie, w)
	}
	for _, payload := range payloads {
		if _, err := by.pingPongs(payload.bytes, 1); err != nil { // the first transfer of a process also emits the process
			return nil, err
		}
		var transfer, nothing cost
		for foreign := uint64(math.MaxUint64); foreign > transfer.runs/50; {
			var own int
			if transfer, nothing, own, err = o.pingPongs(by, payload.bytes, payload.times); err != nil {
				return nil, err
			}
			foreign = transfer.runs - uint64(own)
		}
		figures = append(figures, transfer.perRun()-nothing.perRun(), nothing.perRun())
	}
	return figures, nil
}

// pingPonger sends size bytes there and back over a connection, some times, and returns how many transfers that took.
type pingPonger interface {
	pingPongs(size, times int) (transfers int, err error)
}

// pingPongs returns what the transfers cost for all observed programs, and how many transfers this connection had.
func (o *observed) pingPongs(p pingPonger, size, times int) (transfer, nothing cost, own int, err error) {
	if err := o.begin(); err != nil {
		return cost{}, cost{}, 0, err
	}
	between := max(1, (1<<20)/size) // transfers between two looks at the reader
	for done := 0; done < times; done += between {
		o.awaitRoom()
		n, err := p.pingPongs(size, min(between, times-done))
		if err != nil {
			return cost{}, cost{}, 0, err
		}
		own += n
	}
	transfer, nothing, err = o.end()
	return transfer, nothing, own, err
}

// measurePaced measures the same for programs that work in between, so that caches are colder.
func measurePaced(s *settings) error {
	const rate = 20_000
	c, err := compare([]arm{{"", func() (figures []float64, err error) {
		o, err := newObserved(everything)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, o.close()) }()
		if err := o.begin(); err != nil {
			return nil, err
		}
		if err := pacedRequests(rate*s.seconds/2, rate); err != nil {
			return nil, err
		}
		transfer, nothing, err := o.end()
		return []float64{transfer.perRun(), nothing.perRun(), transfer.perRun() - nothing.perRun()}, err
	}}}, s.rounds)
	if err != nil {
		return err
	}
	fmt.Printf("The same under %d requests a second of some 100 bytes over 64 connections: %s ns, the empty program %s, "+
		"above it %s.\n\n", rate, c.value(0, 0).format(0), c.value(0, 1).format(0), c.value(0, 2).format(0))
	return nil
}

// observed is a tracer whose events are read and discarded, beside empty programs.
type observed struct {
	tracer         *kernel.SocketTracer
	empty          *empty
	lost           uint64
	begun, nothing cost
}

func newObserved(options kernel.Options) (*observed, error) {
	tracer, err := kernel.OpenSockets(options)
	if err != nil {
		return nil, err
	}
	o := &observed{tracer: tracer}
	if o.empty, err = attachEmpty(); err != nil {
		return nil, errors.Join(err, tracer.Close())
	}
	for _, r := range tracer.Readers() {
		go drain(r, time.Millisecond)
	}
	return o, nil
}

func (o *observed) close() error { return errors.Join(o.empty.close(), o.tracer.Close()) }

// awaitRoom waits until the reader has caught up.
func (o *observed) awaitRoom() {
	for o.tracer.Readers()[0].Fill() > 1./8 {
		time.Sleep(100 * time.Microsecond)
	}
}

func (o *observed) begin() (err error) {
	if o.lost, err = o.losses(); err != nil {
		return err
	}
	if o.begun, err = o.transfers(); err != nil {
		return err
	}
	o.nothing, err = o.empty.stats()
	return err
}

// end returns the runs since begin: of the programs of the data path, and of the empty ones.
func (o *observed) end() (transfer, nothing cost, err error) {
	transfer, err = o.transfers()
	if err != nil {
		return cost{}, cost{}, err
	}
	if nothing, err = o.empty.stats(); err != nil {
		return cost{}, cost{}, err
	}
	lost, err := o.losses()
	if err == nil && lost != o.lost {
		err = fmt.Errorf("the ring buffer was full: %d events lost something, so that this measured nothing", lost-o.lost)
	}
	return transfer.since(o.begun), nothing.since(o.nothing), err
}

func (o *observed) losses() (uint64, error) {
	c, err := o.tracer.Counters()
	return c.PayloadRingFull + c.RingFull[event.KindData], err
}

func (o *observed) transfers() (cost, error) {
	all, err := o.tracer.ProgramStats()
	var sum cost
	for _, program := range all {
		if program.Name == "socket_sent" || program.Name == "socket_received" {
			sum.runs += program.Runs
			sum.time += program.Runtime
		}
	}
	return sum, err
}
