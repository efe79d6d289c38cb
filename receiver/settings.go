package receiver

import (
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// signalKey is the attribute by which the collector distinguishes the signals of a component
// (docs/rfcs/component-universal-telemetry.md of the collector).
const signalKey = "otelcol.signal"

// withoutSignal removes the signal from an instance's own telemetry, because an instance serves several signals. The collector's own
// receivers do the same through a package that only they may import. Here the types behind the settings are used directly.
func withoutSignal(set component.TelemetrySettings) component.TelemetrySettings {
	if set.Logger != nil {
		set.Logger = set.Logger.WithOptions(zap.WrapCore(withoutSignalIn[zapcore.Core]))
	}
	set.MeterProvider = withoutSignalIn(set.MeterProvider)
	set.TracerProvider = withoutSignalIn(set.TracerProvider)
	return set
}

func withoutSignalIn[T any](provider T) T {
	if d, ok := any(provider).(interface{ DropInjectedAttributes(...string) T }); ok {
		return d.DropInjectedAttributes(signalKey)
	}
	return provider
}
