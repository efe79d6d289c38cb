package console

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/socketflow/socketflow/exporter/console/internal/metadata"
)

// NewFactory returns the factory of the exporter. The traces, logs and metrics of one configuration are printed by one console, so that
// they come in one order.
func NewFactory() exporter.Factory {
	open := &consoles{of: map[*Config]*console{}}
	return exporter.NewFactory(metadata.Type,
		func() component.Config { return newDefaultConfig() },
		exporter.WithTraces(open.traces, metadata.TracesStability),
		exporter.WithLogs(open.logs, metadata.LogsStability),
		exporter.WithMetrics(open.metrics, metadata.MetricsStability),
	)
}

// consoles are those whose pipelines run.
type consoles struct {
	mu sync.Mutex
	of map[*Config]*console
}

// join returns the console of a configuration, which is forgotten when its last pipeline ends.
func (c *consoles) join(cfg component.Config, set exporter.Settings) (*console, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	config := cfg.(*Config)
	shared := c.of[config]
	if shared == nil {
		var err error
		if shared, err = newConsole(config, set.TelemetrySettings); err != nil {
			return nil, err
		}
		shared.forget = func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.of, config)
		}
		c.of[config] = shared
	}
	return shared, nil
}

// options are the same for all signals. Nothing here waits for the output, so that there is no need of a queue or of a timeout.
func options(c *console) []exporterhelper.Option {
	return []exporterhelper.Option{
		exporterhelper.WithStart(c.start),
		exporterhelper.WithShutdown(c.shutdown),
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{}),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
	}
}

func (c *consoles) traces(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
	shared, err := c.join(cfg, set)
	if err != nil {
		return nil, err
	}
	return exporterhelper.NewTraces(ctx, set, cfg, shared.consumeTraces, options(shared)...)
}

func (c *consoles) logs(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	shared, err := c.join(cfg, set)
	if err != nil {
		return nil, err
	}
	return exporterhelper.NewLogs(ctx, set, cfg, shared.consumeLogs, options(shared)...)
}

func (c *consoles) metrics(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Metrics, error) {
	shared, err := c.join(cfg, set)
	if err != nil {
		return nil, err
	}
	return exporterhelper.NewMetrics(ctx, set, cfg, shared.consumeMetrics, options(shared)...)
}
