package receiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

// NewFactory returns the factory of the receiver. The traces and the logs of one configuration come from one running instance;
// the factory remembers which.
func NewFactory() receiver.Factory {
	running := newInstances(newHostObservation)
	return receiver.NewFactory(metadata.Type, createDefaultConfig,
		receiver.WithTraces(
			func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces) (receiver.Traces, error) {
				return running.join(cfg.(*Config), set, signalTraces, func(i *instance) { i.traces = next }), nil
			}, metadata.TracesStability),
		receiver.WithLogs(
			func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
				return running.join(cfg.(*Config), set, signalLogs, func(i *instance) { i.logs = next }), nil
			}, metadata.LogsStability),
	)
}
