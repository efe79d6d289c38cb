package receiver

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/otlp"
)

const (
	reportTransport = "ebpf"
	reportFormat    = "socketflow"
	refusalLogPause = 10 * time.Second
)

// emitter hands telemetry to the pipeline. It counts items that the pipeline refuses; they are lost, because the next events do not
// wait. It is safe for concurrent use.
type emitter struct {
	traces consumer.Traces // nil: no pipeline asked for traces
	logs   consumer.Logs   // nil: no pipeline asked for logs
	report *receiverhelper.ObsReport

	refusedSpans, refusedLogs atomic.Uint64
	inHand                    itemCount // given to the pipeline, which has not answered yet

	refusals refusalLog
}

func newEmitter(set receiver.Settings, traces consumer.Traces, logs consumer.Logs) (*emitter, error) {
	report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID:             set.ID,
		Transport:              reportTransport,
		LongLivedCtx:           true,
		ReceiverCreateSettings: set,
	})
	if err != nil {
		return nil, err
	}
	return &emitter{traces: traces, logs: logs, report: report, refusals: refusalLog{logger: set.Logger, now: time.Now}}, nil
}

// itemCount is a number of spans and of log records.
type itemCount struct{ spans, logs atomic.Int64 }

// consumeTraces hands spans over. The caller no longer owns them.
func (o *emitter) consumeTraces(ctx context.Context, spans ptrace.Traces) {
	n := spans.SpanCount()
	if o.traces == nil || n == 0 {
		return
	}
	ctx = o.report.StartTracesOp(ctx)
	o.inHand.spans.Add(int64(n))
	err := o.traces.ConsumeTraces(ctx, spans)
	o.inHand.spans.Add(-int64(n))
	o.report.EndTracesOp(ctx, reportFormat, n, err)
	if err != nil {
		o.refusedSpans.Add(uint64(n))
		o.refusals.add(n, 0, err)
	}
}

// consumeLogs hands log records over. The caller no longer owns them.
func (o *emitter) consumeLogs(ctx context.Context, records plog.Logs) {
	n := records.LogRecordCount()
	if o.logs == nil || n == 0 {
		return
	}
	ctx = o.report.StartLogsOp(ctx)
	o.inHand.logs.Add(int64(n))
	err := o.logs.ConsumeLogs(ctx, records)
	o.inHand.logs.Add(-int64(n))
	o.report.EndLogsOp(ctx, reportFormat, n, err)
	if err != nil {
		o.refusedLogs.Add(uint64(n))
		o.refusals.add(0, n, err)
	}
}

// Deliver hands over what a builder holds.
func (o *emitter) Deliver(ctx context.Context, from *otlp.Builder) {
	logs, traces := from.Take()
	o.consumeLogs(ctx, logs)
	o.consumeTraces(ctx, traces)
}

// refused is how many spans and log records the pipeline has refused.
func (o *emitter) refused() [2]uint64 {
	return [2]uint64{o.refusedSpans.Load(), o.refusedLogs.Load()}
}

// logAbandoned logs what was lost at the end of a shutdown that took longer than a time: what was refused since then, and what the
// pipeline was given and has not answered for.
func (o *emitter) logAbandoned(timeout time.Duration, before [2]uint64) {
	now := o.refused()
	o.refusals.logger.Error("the pipeline did not take everything within shutdown_timeout; the rest is lost",
		zap.Duration("shutdown_timeout", timeout),
		zap.Int64("spans", int64(now[0]-before[0])+o.inHand.spans.Load()),
		zap.Int64("log_records", int64(now[1]-before[1])+o.inHand.logs.Load()))
}

// End logs the refusals that have not been logged yet. Nothing is handed over afterwards.
func (o *emitter) End() { o.refusals.flush() }

// refusalLog writes at most one line per pause, with the number of items that were refused since the last one.
type refusalLog struct {
	logger *zap.Logger
	now    func() time.Time

	mu          sync.Mutex
	spans, logs int
	last        error
	next        time.Time // not before
}

func (r *refusalLog) add(spans, logs int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans += spans
	r.logs += logs
	r.last = err
	if now := r.now(); !now.Before(r.next) {
		r.next = now.Add(refusalLogPause)
		r.write()
	}
}

func (r *refusalLog) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil {
		r.write()
	}
}

func (r *refusalLog) write() {
	r.logger.Error("the pipeline refused items, which are lost",
		zap.Int("spans", r.spans), zap.Int("log_records", r.logs), zap.NamedError("last_error", r.last))
	r.spans, r.logs, r.last = 0, 0, nil
}
