package receiver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// These stand for the collector's own types, which add attributes to a component's telemetry.
type (
	markedCore   struct{ zapcore.Core }
	markedMeter  struct{ metric.MeterProvider }
	markedTracer struct{ trace.TracerProvider }
)

func (c markedCore) DropInjectedAttributes(keys ...string) zapcore.Core {
	if len(keys) == 1 && keys[0] == "otelcol.signal" {
		return c.Core
	}
	return c
}

func (m markedMeter) DropInjectedAttributes(...string) metric.MeterProvider { return m.MeterProvider }

func (t markedTracer) DropInjectedAttributes(...string) trace.TracerProvider { return t.TracerProvider }

func TestSignalAttributeIsRemoved(t *testing.T) {
	core := zapcore.NewNopCore()
	meters, tracers := metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider()
	set := componenttest.NewNopTelemetrySettings()
	set.Logger = zap.New(markedCore{core})
	set.MeterProvider, set.TracerProvider = markedMeter{meters}, markedTracer{tracers}

	set = withoutSignal(set)
	assert.Equal(t, core, set.Logger.Core())
	assert.Equal(t, meters, set.MeterProvider)
	assert.Equal(t, tracers, set.TracerProvider)

	assert.Equal(t, set.MeterProvider, withoutSignal(set).MeterProvider, "a provider without the attribute stays as it is")
}
