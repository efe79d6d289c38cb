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

// measureCalls is about what a call costs the thread that makes it, whatever the kernel spends it for: the programs, and in the
// syscall mode also the way to the tracepoints, which every call of the host takes.
func measureCalls(s *settings) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rows := []string{
		"getppid, which is not watched",
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

// tracingPrograms is how many programs are loaded that may be attached to what is measured. Those that have just been let go are
// given time to vanish.
func tracingPrograms() (n int, err error) {
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if n, err = countTracing(); n == 0 || err != nil || time.Now().After(deadline) {
			return n, err
		}
	}
}

func countTracing() (n int, err error) {
	for id := ebpf.ProgramID(0); ; {
		id, err = ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return n, nil
		}
		if err != nil {
			return 0, fmt.Errorf("list the programs of eBPF: %w", err)
		}
		program, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has just been unloaded
		}
		if err != nil {
			return 0, fmt.Errorf("look at a program of eBPF: %w", err)
		}
		switch program.Type() {
		case ebpf.TracePoint, ebpf.RawTracepoint, ebpf.Tracing, ebpf.Kprobe, ebpf.PerfEvent:
			n++
		}
		if err := program.Close(); err != nil {
			return 0, fmt.Errorf("let go of a program of eBPF: %w", err)
		}
	}
}

// callCosts are the rows of one mode: those of this process as one that is watched, or as one that is left out.
func callCosts(s *settings, m mode, excluded bool) (figures []float64, err error) {
	w, err := watchCalls(m, excluded)
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

// watchedCalls are calls beside a capture whose events are read and thrown away, but for what a socket is called there.
type watchedCalls struct {
	capture  capture               // nil: there is none
	calls    *kernel.SyscallTracer // in the syscall mode
	excluded bool                  // this process is left out
	mu       sync.Mutex
	opened   map[openedAs]uint64 // cookies
}

// openedAs is how a socket of this process is recognised: by its descriptor, and a port at one of its ends.
type openedAs struct {
	fd   uint32
	port uint16
}

func watchCalls(m mode, excluded bool) (*watchedCalls, error) {
	w := &watchedCalls{excluded: excluded, opened: map[openedAs]uint64{}}
	if m.off {
		return w, nil
	}
	options := everything
	options.ExcludeSelf = excluded
	c, err := m.open(options)
	if err != nil {
		return nil, err
	}
	w.capture = c
	w.calls, _ = c.(*kernel.SyscallTracer)
	for _, r := range c.Readers() {
		go w.read(r)
	}
	return w, nil
}

func (w *watchedCalls) close() error {
	if w.capture == nil {
		return nil
	}
	return w.capture.Close()
}

// read does what the receiver does that decides over what a call costs: it says which descriptors lead to no socket.
func (w *watchedCalls) read(r *kernel.Reader) {
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
			if w.calls.Reject(e.Owner.PID, e.FD, e.Flow.Cookie) != nil {
				return // closed meanwhile
			}
		}
	}
}

// identify returns what the sockets of a pair are called in the events.
func (w *watchedCalls) identify(p *pair) ([2]uint64, error) {
	if w.calls == nil {
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

// callBatches are measured for each figure. The best of them is the one that was disturbed the least.
const callBatches = 40

// best returns the thread's processor time for a call in the best batch, ns. A batch returns how many calls it has made.
func (w *watchedCalls) best(batch func() (calls int, err error)) (float64, error) {
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

func (w *watchedCalls) losses() (uint64, error) {
	if w.capture == nil {
		return 0, nil
	}
	c, err := w.capture.Counters()
	return c.PayloadRingFull + c.RingFull[event.KindData], err
}

func (w *watchedCalls) awaitRoom() {
	for w.capture != nil && w.capture.Readers()[0].Fill() > 1./8 {
		time.Sleep(100 * time.Microsecond)
	}
}

// files measures a file in memory before this process has a connection, and while it has one.
func (w *watchedCalls) files(name string) (figures []float64, err error) {
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
func (w *watchedCalls) file(name string) (ns float64, err error) {
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

// connection measures transfers over a connection of which so much is wanted, for each size.
func (w *watchedCalls) connection(want func(*event.Want)) (figures []float64, err error) {
	p, err := newPair()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if w.capture != nil && !w.excluded {
		cookies, err := w.identify(p)
		if err != nil {
			return nil, err
		}
		wanted := whole()
		want(&wanted)
		for _, cookie := range cookies {
			w.capture.Want(cookie, wanted)
		}
	}
	for _, size := range callSizes {
		// So that what a batch writes fills a third of the ring buffer at the most.
		times := min(2000, everything.RingBytes/3/4/size.bytes)
		ns, err := w.best(func() (calls int, err error) {
			for range times {
				n, err := p.pingPong(size.bytes)
				if err != nil {
					return 0, err
				}
				calls += n
			}
			return calls, nil
		})
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
