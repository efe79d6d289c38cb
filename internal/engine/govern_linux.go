//go:build amd64 || arm64

package engine

import (
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/sampling"
)

// govern keeps fewer traces for as long as the process takes more of the processor than its limit.
func (e *Engine) govern() {
	ticks := time.NewTicker(sampling.GovernorInterval)
	defer ticks.Stop()
	governor, governing := sampling.NewGovernor(e.opts.CPULimit), false
	before, err := processorTime()
	for at := time.Now(); ; {
		if err != nil { // a filter of system calls may refuse it
			e.opts.Logger.Error("sampling::cpu_limit is without effect: the processor time of the collector is not known", zap.Error(err))
			e.limitTraces(1)
			return
		}
		select {
		case <-e.helping.Done():
			return
		case <-ticks.C:
		}
		var used time.Duration
		if used, err = processorTime(); err != nil {
			continue
		}
		now := time.Now()
		processors := (used - before).Seconds() / now.Sub(at).Seconds()
		before, at = used, now
		kept := governor.Govern(processors)
		e.limitTraces(kept)
		switch {
		case kept < 1 && !governing:
			e.opts.Logger.Warn("the collector takes more of the processor than sampling::cpu_limit: fewer of the traces that begin here are kept until it takes less",
				zap.Float64("processors", processors), zap.Float64("limit", e.opts.CPULimit), zap.Float64("kept", kept))
		case kept == 1 && governing:
			e.opts.Logger.Info("the collector takes less of the processor than sampling::cpu_limit again: as many traces are kept as before")
		}
		governing = kept < 1
	}
}

// limitTraces has all shards keep a part of the traces that they would keep without a limit.
func (e *Engine) limitTraces(kept float64) {
	limit := sampling.KeepAll
	if kept < 1 {
		limit = e.opts.Telemetry.Sampling.Threshold.Keeping(kept)
	}
	for _, s := range e.shards {
		s.builder.Limit(limit)
	}
}

// processorTime is what this process has used since it began.
func processorTime() (time.Duration, error) {
	var usage unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), err
}
