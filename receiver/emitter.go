package receiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"

	"github.com/socketflow/socketflow/internal/otlp"
)

const (
	reportTransport = "ebpf"
	reportFormat    = "socketflow"
)

// emitter hands telemetry to the pipeline. Items that the pipeline refuses are lost, because the next events do not wait. It is safe for
// concurrent use.
type emitter struct {
	traces consumer.Traces // nil: no pipeline asked for traces
	logs   consumer.Logs   // nil: no pipeline asked for logs
	report *receiverhelper.ObsReport
	losses losses
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
	return &emitter{traces: traces, logs: logs, report: report, losses: losses{logger: set.Logger, now: time.Now}}, nil
}

// consumeTraces hands spans over. The caller no longer owns them.
func (o *emitter) consumeTraces(ctx context.Context, spans ptrace.Traces) {
	n := items{spans: spans.SpanCount()}
	if o.traces == nil || n.spans == 0 {
		return
	}
	ctx = o.report.StartTracesOp(ctx)
	o.losses.begin(n)
	err := o.traces.ConsumeTraces(ctx, spans)
	o.losses.end(n, err)
	o.report.EndTracesOp(ctx, reportFormat, n.spans, err)
}

// consumeLogs hands log records over. The caller no longer owns them.
func (o *emitter) consumeLogs(ctx context.Context, records plog.Logs) {
	n := items{records: records.LogRecordCount()}
	if o.logs == nil || n.records == 0 {
		return
	}
	ctx = o.report.StartLogsOp(ctx)
	o.losses.begin(n)
	err := o.logs.ConsumeLogs(ctx, records)
	o.losses.end(n, err)
	o.report.EndLogsOp(ctx, reportFormat, n.records, err)
}

// Deliver hands over what a builder holds.
func (o *emitter) Deliver(ctx context.Context, from *otlp.Builder) {
	logs, traces := from.Take()
	o.consumeLogs(ctx, logs)
	o.consumeTraces(ctx, traces)
}
