package receiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

// NewFactory returns the factory of the receiver. The traces, logs and metrics of one configuration come from one running
// instance; the factory remembers which.
func NewFactory() receiver.Factory {
	running := newInstances(newHostObservation)
	return receiver.NewFactory(metadata.Type, createDefaultConfig,
		receiver.WithTraces(
			func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces) (receiver.Traces, error) {
				return running.join(cfg.(*Config), set, signalTraces, func(to *consumers) { to.traces = next }), nil
			}, metadata.TracesStability),
		receiver.WithLogs(
			func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
				return running.join(cfg.(*Config), set, signalLogs, func(to *consumers) { to.logs = next }), nil
			}, metadata.LogsStability),
		receiver.WithMetrics(
			func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics) (receiver.Metrics, error) {
				return running.join(cfg.(*Config), set, signalMetrics, func(to *consumers) { to.metrics = next }), nil
			}, metadata.MetricsStability),
	)
}
