//go:build amd64 || arm64

package preflight

import (
	"os"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
)

// Check opens every mode that may be chosen, one after the other, and reports what it found.
func Check(asked kernel.Mode) *Report {
	facts, missing := privileges()
	r := &Report{Asked: asked, Host: host(), Privileges: facts}
	for _, try := range []struct {
		mode kernel.Mode
		open func(kernel.Options) (tracer, error)
	}{{kernel.ModeSocket, openSockets}, {kernel.ModeSyscall, openCalls}} {
		if asked == kernel.ModeAuto || asked == try.mode {
			r.Attempts = append(r.Attempts, attempt(try.mode, try.open))
		}
	}
	r.choose()
	r.advise(missing)
	return r
}

// options are the receiver's defaults, with less memory.
func options() kernel.Options {
	return kernel.Options{
		Shards: 1, RingBytes: 64 * os.Getpagesize(), ExcludeSelf: true, Processes: 64, Sockets: 64,
		Data: true, Causes: true, TLS: true, Unix: true, UDP: true, PayloadLimit: 256, PayloadBurst: 4096, DatagramIdle: time.Minute,
	}
}

// tracer is what this package needs of an open mode.
type tracer interface {
	Programs() []kernel.ProgramStatus
	Degraded() []error
	Close() error
}

func openSockets(opts kernel.Options) (tracer, error) { return kernel.OpenSockets(opts) }

func openCalls(opts kernel.Options) (tracer, error) {
	return kernel.OpenSyscalls(opts, func(event.Event) {}) // nothing reads them
}

// attempt tries the whole mode first, as the receiver does, and then without requiring transfers.
func attempt(mode kernel.Mode, open func(kernel.Options) (tracer, error)) Attempt {
	wanted := options()
	wanted.WholeOrNothing = true
	t, err := open(wanted)
	a := Attempt{Mode: mode, wholeErr: err}
	if err != nil {
		t, err = open(options())
	}
	ring := Fact{Name: factRingBuffer, State: OK}
	if err != nil {
		ring.State = Untried
		a.err, a.Error = err, oneLine(err)
		a.Hooks = append([]Fact{ring}, describe(kernel.ProgramsOf(err))...)
		return a
	}
	a.Hooks = append([]Fact{ring}, describe(t.Programs())...)
	for _, lack := range t.Degraded() {
		a.Degraded = append(a.Degraded, oneLine(lack))
	}
	if a.err = t.Close(); a.err != nil {
		a.Error = oneLine(a.err)
	}
	a.Works, a.Whole = a.err == nil, a.err == nil && a.wholeErr == nil
	return a
}
