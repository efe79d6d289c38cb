package receiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
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
	to     consumers
	report *receiverhelper.ObsReport
	losses losses
}

func newEmitter(set receiver.Settings, to consumers) (*emitter, error) {
	report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID:             set.ID,
		Transport:              reportTransport,
		LongLivedCtx:           true,
		ReceiverCreateSettings: set,
	})
	if err != nil {
		return nil, err
	}
	return &emitter{to: to, report: report, losses: losses{logger: set.Logger, now: time.Now}}, nil
}

// consumeTraces hands spans over. The caller no longer owns them.
func (o *emitter) consumeTraces(ctx context.Context, spans ptrace.Traces) {
	n := items{spans: spans.SpanCount()}
	if o.to.traces == nil || n.spans == 0 {
		return
	}
	ctx = o.report.StartTracesOp(ctx)
	o.losses.begin(n)
	err := o.to.traces.ConsumeTraces(ctx, spans)
	o.losses.end(n, err)
	o.report.EndTracesOp(ctx, reportFormat, n.spans, err)
}

// consumeLogs hands log records over. The caller no longer owns them.
func (o *emitter) consumeLogs(ctx context.Context, records plog.Logs) {
	n := items{records: records.LogRecordCount()}
	if o.to.logs == nil || n.records == 0 {
		return
	}
	ctx = o.report.StartLogsOp(ctx)
	o.losses.begin(n)
	err := o.to.logs.ConsumeLogs(ctx, records)
	o.losses.end(n, err)
	o.report.EndLogsOp(ctx, reportFormat, n.records, err)
}

// Deliver hands over what a builder holds.
func (o *emitter) Deliver(ctx context.Context, from *otlp.Builder) {
	logs, traces := from.Take()
	o.consumeLogs(ctx, logs)
	o.consumeTraces(ctx, traces)
}

// consumeMetrics hands points over. The caller no longer owns them.
func (o *emitter) consumeMetrics(ctx context.Context, points pmetric.Metrics) {
	n := items{points: points.DataPointCount()}
	if o.to.metrics == nil || n.points == 0 {
		return
	}
	ctx = o.report.StartMetricsOp(ctx)
	o.losses.begin(n)
	err := o.to.metrics.ConsumeMetrics(ctx, points)
	o.losses.end(n, err)
	o.report.EndMetricsOp(ctx, reportFormat, n.points, err)
}

// DeliverMetrics hands over what a builder holds.
func (o *emitter) DeliverMetrics(ctx context.Context, from *otlp.Measurements) {
	for _, points := range from.Take() {
		o.consumeMetrics(ctx, points)
	}
}
