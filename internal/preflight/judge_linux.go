//go:build amd64 || arm64

package preflight

import (
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
)

// Judge tries every mode that may be chosen, for a moment each, and reports what it found.
func Judge(asked Mode) *Report {
	types := loadTypes()
	facts, missing := privileges()
	r := &Report{Asked: asked, Host: host(types), Privileges: facts}
	if asked.allowed(Socket) {
		r.Attempts = append(r.Attempts, trySocket(types))
	}
	if asked.allowed(Syscall) {
		r.Attempts = append(r.Attempts, trySyscall())
	}
	r.choose()
	r.advise(missing)
	return r
}

// options are what the receiver asks for by default, in less memory.
func options() kernel.Options {
	return kernel.Options{
		Shards: 1, RingBytes: 64 * os.Getpagesize(), ExcludeSelf: true, Processes: 64, Sockets: 64,
		Data: true, Unix: true, UDP: true, PayloadLimit: 256, PayloadRun: 4096, DatagramIdle: time.Minute,
	}
}

// opened is what a mode says of itself when it is open.
type opened interface {
	Attached() []string
	Degraded() []error
	Close() error
}

// trySocket asks for the whole mode first, as the receiver does for auto, and then for what there is of it.
func trySocket(types []byte) Attempt {
	wanted := options()
	wanted.WholeOrNothing = true
	capture, wholeErr := kernel.Open(wanted)
	err := wholeErr
	if wholeErr != nil {
		capture, err = kernel.Open(options())
	}
	a := judge(Socket, capture, err)
	a.Whole = wholeErr == nil
	a.final = wholeErr != nil && (!errors.Is(wholeErr, kernel.ErrUnsupported) || errors.Is(wholeErr, unix.EPERM))
	a.Hooks = append(a.Hooks, describe(socketHooks, a.attached, a.Works, func(hook string) (there, known bool) {
		name := btfName(hook)
		return hasType(types, name), name != "" && types != nil
	})...)
	return a.Attempt
}

func trySyscall() Attempt {
	calls, err := kernel.OpenCalls(options(), func(event.Event) {}) // nothing reads them
	a := judge(Syscall, calls, err)
	a.Whole = a.Works
	a.Hooks = append(a.Hooks, describe(nil, a.attached, a.Works, nil)...)
	return a.Attempt
}

type attempt struct {
	Attempt
	attached []string
}

// judge puts down what came of opening a mode, and closes it.
func judge[T opened](mode Mode, capture T, err error) attempt {
	a := attempt{Attempt: Attempt{Mode: mode, Works: err == nil}}
	ring := Fact{Name: factRingBuffer, State: OK}
	if err != nil {
		ring.State = Untried
		a.Error, a.Hooks = oneLine(err), []Fact{ring}
		return a
	}
	a.Hooks = []Fact{ring}
	a.attached = capture.Attached()
	for _, lack := range capture.Degraded() {
		a.Degraded = append(a.Degraded, oneLine(lack))
	}
	if err := capture.Close(); err != nil {
		a.Works, a.Error = false, oneLine(err)
	}
	return a
}

// oneLine is what the receiver would say, without line breaks: joined errors have them.
func oneLine(err error) string {
	text := err.Error()
	if errors.Is(err, kernel.ErrUnsupported) {
		text = strings.TrimPrefix(text, kernel.ErrUnsupported.Error()+": ")
	}
	return strings.ReplaceAll(text, "\n", "; ")
}
