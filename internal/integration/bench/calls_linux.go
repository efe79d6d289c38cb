//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
)

// callSizes are the bytes of a call.
var callSizes = []struct {
	name  string
	bytes int
}{{"100 B", 100}, {"16 KiB", 16 << 10}}

// measureCalls measures what a call costs the thread that makes it, whatever the kernel spends it for: the programs, and in the
// syscall mode also the path to the tracepoints, which every call of the host takes.
func measureCalls(s *settings) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rows := []string{
		"getppid, which is not traced",
		"a file, 100 B, in a process without sockets", "a file, 100 B, in a process that has some",
	}
	for _, excluded := range []bool{false, true} {
		for _, t := range treatments {
			if t.excluded != excluded {
				continue
			}
			for _, size := range callSizes {
				rows = append(rows, fmt.Sprintf("TCP, %s: %s", size.name, t.name))
			}
		}
	}
	var arms []arm
	for _, m := range modes {
		arms = append(arms, arm{m.name, func() ([]float64, error) {
			others, err := tracingPrograms()
			if err != nil {
				return nil, err
			}
			watched, err := callCosts(s, m, false)
			if err != nil {
				return nil, err
			}
			ignored, err := callCosts(s, m, true)
			return append(append(watched, ignored...), float64(others)), err
		}})
	}
	c, err := compare(arms, s.rounds)
	if err != nil {
		return err
	}
	alone := c.keep(func(round int) bool {
		for arm := range c.arms {
			if c.figures[arm][round][len(rows)] > 0 {
				return false
			}
		}
		return true
	})
	fmt.Printf("Modes: CPU of a system call (the thread's own, by its clock; of %d batches the best), medians of %d rounds "+
		"(least to most); in %d of %d no other program of eBPF was tracing:\n\n", callBatches, len(c.figures[0]), alone, s.rounds)
	callTable(c, rows)
	return nil
}

// tracingPrograms is how many loaded programs may be attached to the measured hooks. It waits for programs that were just closed
// to vanish.
func tracingPrograms() (n int, err error) {
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if n, err = countTracing(); n == 0 || err != nil || time.Now().After(deadline) {
			return n, err
		}
	}
}

func countTracing() (n int, err error) {
	err = eachProgram(func(program *ebpf.Program) error {
		switch program.Type() {
		case ebpf.TracePoint, ebpf.RawTracepoint, ebpf.Tracing, ebpf.Kprobe, ebpf.PerfEvent:
			n++
		}
		return nil
	})
	return n, err
}

// callCosts are the rows of one mode: those of this process as an observed one, or as an excluded one.
func callCosts(s *settings, m mode, excluded bool) (figures []float64, err error) {
	w, err := traceCalls(m, excluded)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if !excluded {
		unrelated, err := w.best(func() (int, error) {
			for range 10_000 {
				unix.Getppid()
			}
			return 10_000, nil
		})
		if err != nil {
			return nil, err
		}
		files, err := w.files(filepath.Join(s.dir, "calls"))
		if err != nil {
			return nil, err
		}
		figures = append(append(figures, unrelated), files...)
	}
	for _, t := range treatments {
		if t.excluded != excluded {
			continue
		}
		costs, err := w.connection(t.want)
		if err != nil {
			return nil, err
		}
		figures = append(figures, costs...)
	}
	return figures, nil
}

// tracedCalls are calls beside a tracer whose events are read and discarded, except for the cookies of sockets.
type tracedCalls struct {
	tracer   tracer                // nil: there is none
	syscalls *kernel.SyscallTracer // in the syscall mode
	excluded bool                  // this process is excluded
	mu       sync.Mutex
	opened   map[openedAs]uint64 // cookies
}

// openedAs identifies a socket of this process: by its descriptor, and a port at one of its ends.
type openedAs struct {
	fd   uint32
	port uint16
}

func traceCalls(m mode, excluded bool) (*tracedCalls, error) {
	w := &tracedCalls{excluded: excluded, opened: map[openedAs]uint64{}}
	if m.off {
		return w, nil
	}
	options := everything
	options.ExcludeSelf = excluded
	c, err := m.open(options)
	if err != nil {
		return nil, err
	}
	w.tracer = c
	w.syscalls, _ = c.(*kernel.SyscallTracer)
	for _, r := range c.Readers() {
		go w.read(r)
	}
	return w, nil
}

func (w *tracedCalls) close() error {
	if w.tracer == nil {
		return nil
	}
	return w.tracer.Close()
}

// read does the part of the receiver's work that affects the cost of a call: it rejects descriptors that lead to no socket.
func (w *tracedCalls) read(r *kernel.Reader) {
	var e event.Event
	for {
		r.SetDeadline(time.Now().Add(time.Millisecond))
		switch err := r.Next(&e); {
		case errors.Is(err, kernel.ErrIdle):
			continue
		case err != nil:
			return // closed
		}
		switch e.Kind {
		case event.KindOpen:
			w.mu.Lock()
			w.opened[openedAs{e.FD, e.Flow.Local.Port()}] = e.Flow.Cookie
			w.opened[openedAs{e.FD, e.Flow.Remote.Port()}] = e.Flow.Cookie
			w.mu.Unlock()
		case event.KindUnknown:
			if w.syscalls.Reject(e.Owner.PID, e.FD, e.Flow.Cookie) != nil {
				return // closed meanwhile
			}
		}
	}
}

// identify returns the cookies of the sockets of a pair.
func (w *tracedCalls) identify(p *pair) ([2]uint64, error) {
	if w.syscalls == nil {
		return p.cookies, nil
	}
	var cookies [2]uint64
	for i, fd := range p.fds {
		key := openedAs{uint32(fd), p.port}
		for deadline := time.Now().Add(10 * time.Second); cookies[i] == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				return cookies, fmt.Errorf("no opening was reported for a connection on port %d", p.port)
			}
			w.mu.Lock()
			cookies[i] = w.opened[key]
			w.mu.Unlock()
		}
	}
	return cookies, nil
}

// callBatches are measured for each figure. The best one is the one that was disturbed the least.
const callBatches = 40

// best returns the thread's processor time for a call in the best batch, ns. A batch returns how many calls it has made.
func (w *tracedCalls) best(batch func() (calls int, err error)) (float64, error) {
	lost, err := w.losses()
	if err != nil {
		return 0, err
	}
	least := math.Inf(1)
	for range callBatches {
		w.awaitRoom()
		began := threadTime()
		n, err := batch()
		took := threadTime() - began
		if err != nil {
			return 0, err
		}
		least = min(least, float64(took.Nanoseconds())/float64(n))
	}
	lostNow, err := w.losses()
	if err == nil && lostNow != lost {
		err = fmt.Errorf("the ring buffer was full: %d events lost something, so that this measured nothing", lostNow-lost)
	}
	return least, err
}

func (w *tracedCalls) losses() (uint64, error) {
	if w.tracer == nil {
		return 0, nil
	}
	c, err := w.tracer.Counters()
	return c.PayloadRingFull + c.RingFull[event.KindData], err
}

func (w *tracedCalls) awaitRoom() {
	for w.tracer != nil && w.tracer.Readers()[0].Fill() > 1./8 {
		time.Sleep(100 * time.Microsecond)
	}
}

// files measures a file in memory before this process has a connection, and while it has one.
func (w *tracedCalls) files(name string) (figures []float64, err error) {
	without, err := w.file(name)
	if err != nil {
		return nil, err
	}
	p, err := newPair()
	if err != nil {
		return nil, err
	}
	with, err := w.file(name)
	return []float64{without, with}, errors.Join(err, p.close())
}

// file measures a file in memory.
func (w *tracedCalls) file(name string) (ns float64, err error) {
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(name)) }()
	fd, buffer := int(f.Fd()), make([]byte, 100)
	const times = 4000
	pass := func(call func(fd int, b []byte) (int, error)) error {
		if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
			return err
		}
		for range times {
			if _, err := call(fd, buffer); err != nil {
				return err
			}
		}
		return nil
	}
	return w.best(func() (int, error) { return 2 * times, errors.Join(pass(unix.Write), pass(unix.Read)) })
}

// connection measures transfers over a connection with this policy, for each size.
func (w *tracedCalls) connection(want func(*event.Want)) (figures []float64, err error) {
	p, err := newPair()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if w.tracer != nil && !w.excluded {
		cookies, err := w.identify(p)
		if err != nil {
			return nil, err
		}
		wanted := whole()
		want(&wanted)
		for _, cookie := range cookies {
			w.tracer.Want(cookie, wanted)
		}
	}
	for _, size := range callSizes {
		// The events of a batch fill a third of the ring buffer at the most.
		times := min(2000, everything.RingBytes/3/4/size.bytes)
		ns, err := w.best(func() (int, error) { return p.pingPongs(size.bytes, times) })
		if err != nil {
			return nil, err
		}
		figures = append(figures, ns)
	}
	return figures, nil
}

// threadTime is how long this thread has run.
func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err) // cannot happen: the clock exists and the pointer is valid
	}
	return time.Duration(ts.Nano())
}
