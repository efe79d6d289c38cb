//go:build amd64 || arm64

package engine

import (
	"errors"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/capability"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/monotime"
)

// settlesIn is how long after the start nothing more is done once: older connections and the libraries of running processes have been looked at.
const settlesIn = 10 * time.Second

// settle does what is done once, beside the observation that has begun.
func (e *Engine) settle() {
	e.findExisting()
	settled := time.NewTimer(settlesIn)
	defer settled.Stop()
	select {
	case <-e.helping.Done():
		return
	case <-settled.C:
	}
	// The start leaves tens of megabytes that are garbage: the types of the kernel, the texts of the programs, the symbols of libraries. An idle
	// process keeps what it has had for minutes, and would keep most of it for good.
	debug.FreeOSMemory()
}

// findExisting makes the tracer report the connections that are older than the kernel programs.
func (e *Engine) findExisting() {
	err := e.existing()
	close(e.older)
	if err != nil && e.helping.Err() == nil {
		e.opts.Logger.Warn("connections that are older than the collector may be missing", zap.Error(err))
	}
	sockets, inSocketMode := e.tracer.(*kernel.SocketTracer)
	if !inSocketMode { // no call leads to them
		return
	}
	if err := sockets.ExistingUnowned(e.helping); err != nil && e.helping.Err() == nil {
		held, unknown := capability.Effective()
		noticeUnowned(e.opts.Logger, held, errors.Join(err, unknown))
	}
}

// lossInterval is how often the kernel's counters of losses are read.
const lossInterval = 10 * time.Second

// watchLosses logs lost events, and forgets the sockets whose close was lost.
func (e *Engine) watchLosses() {
	ticks := time.NewTicker(min(lossInterval, e.opts.UDPIdleTimeout/2))
	defer ticks.Stop()
	var known kernel.Counters
	var withheld withheldNotice
	passes := livePasses{looked: time.Now()}
	for {
		select {
		case <-e.helping.Done():
			return
		case <-ticks.C:
		}
		e.seekCompat()
		withheld.update(e.opts.Logger, e.processes.Stats().Denied)
		now, err := e.tracer.Counters()
		if err != nil {
			e.opts.Logger.Error("the kernel's losses are not known", zap.Error(err))
			continue
		}
		if lost := total(now.RingFull) - total(known.RingFull); lost > 0 {
			e.opts.Logger.Warn("the kernel had to drop events, because they were not read fast enough; "+
				"a larger ring_buffer size or fewer connections (include, exclude) would help", zap.Uint64("events", lost))
		}
		passes.lost = passes.lost || now.RingFull[event.KindClose] > known.RingFull[event.KindClose]
		passes.untracked = passes.untracked || now.TableFull > known.TableFull
		if e.follows(event.UDP) {
			if _, err := e.tracer.Datagrams(e.helping); err != nil && e.helping.Err() == nil {
				e.opts.Logger.Warn("UDP flows that have ended stay in the table for now", zap.Error(err))
			}
		}
		if begin := time.Now(); passes.due(begin, e.follows(event.TCP, event.UnixStream, event.UDP)) {
			whole := e.forgetGone(now.RingFull[event.KindLive])
			passes.done(begin, time.Now(), whole)
		}
		known = now
	}
}

// seekCompat has the tracer see 32-bit programs from when there is one.
func (e *Engine) seekCompat() {
	if e.calls == nil {
		return
	}
	if err := e.calls.tracer.SeekCompat(); err != nil {
		e.opts.Logger.Warn("32-bit programs are not seen", zap.Error(err))
	}
}

// quietInterval is how often the engine looks for sockets that have ended without an event. The hooks miss some ends of Unix and UDP
// sockets, and one in some hundred thousand of TCP (docs/decisions/0006).
const quietInterval = time.Minute

// passShare bounds the processor time of passes for descriptors beyond the kernel side's bound: a pass rests for so many times as long as it took. In
// a process with many connections each new one may be beyond the bound, but it does harm only once the process forks or ends.
const passShare = 200

// livePasses decides when to look which sockets still exist.
type livePasses struct {
	lost      bool // the end of one was lost
	untracked bool // a descriptor may be closed with its process, unseen
	looked    time.Time
	took      time.Duration
}

// due reports whether to look now. following: there are sockets.
func (p *livePasses) due(now time.Time, following bool) bool {
	since := now.Sub(p.looked)
	return p.lost || p.untracked && since >= min(quietInterval, passShare*p.took) || following && since >= quietInterval
}

// done notes a pass. What was not whole is done once more.
func (p *livePasses) done(begin, end time.Time, whole bool) {
	p.looked, p.took = end, end.Sub(begin)
	if whole {
		p.lost, p.untracked = false, false
	}
}

func (e *Engine) follows(transports ...event.Transport) bool {
	for _, s := range e.shards {
		for _, transport := range transports {
			if s.table.Stats().TrackedBy[transport].Load() > 0 {
				return true
			}
		}
	}
	return false
}

// liveAttempts is how often all live sockets are reported if a report is lost each time: a small ring buffer may fill with
// other events.
const liveAttempts = 4

// forgetGone makes the kernel side report every live socket, and the shards forget the others. It returns false if not all could be
// reported.
func (e *Engine) forgetGone(liveLost uint64) bool {
	for range liveAttempts {
		gone := &unreported{since: monotime.Now()}
		var err error
		if gone.coverage, err = e.tracer.Live(e.helping); err == nil {
			gone.coverage.Everywhere[event.UDP], err = e.tracer.Datagrams(e.helping)
		}
		var after kernel.Counters
		if err == nil {
			after, err = e.tracer.Counters()
		}
		if err != nil {
			if e.helping.Err() == nil {
				e.opts.Logger.Warn("sockets whose close was lost stay in the table for now", zap.Error(err))
			}
			return false
		}
		if lost := after.RingFull[event.KindLive]; lost != liveLost {
			liveLost = lost
			continue
		}
		if !gone.coverage.Empty() { // if it is empty, it always will be; that was logged at the start
			for _, s := range e.shards {
				s.forget.Store(gone)
			}
		}
		return true
	}
	return false
}

func total(counts [event.Kinds]uint64) (sum uint64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}
