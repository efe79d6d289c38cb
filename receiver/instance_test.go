package receiver

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

// fakeEngine records its calls.
type fakeEngine struct {
	consumers
	host               component.Host
	startErr, stopErr  error
	started, shutdowns int
}

func (e *fakeEngine) start(_ context.Context, host component.Host) error {
	e.started++
	e.host = host
	return e.startErr
}

func (e *fakeEngine) shutdown(context.Context) error {
	e.shutdowns++
	return e.stopErr
}

// bench is a factory's table with fake engines.
type bench struct {
	*instances
	engines  []*fakeEngine
	makeErr  error
	startErr error
	stopErr  error
}

func newBench() *bench {
	b := &bench{}
	b.instances = newInstances(func(_ *Config, _ receiver.Settings, to consumers) (observation, error) {
		if b.makeErr != nil {
			return nil, b.makeErr
		}
		e := &fakeEngine{consumers: to, startErr: b.startErr, stopErr: b.stopErr}
		b.engines = append(b.engines, e)
		return e, nil
	})
	return b
}

func (b *bench) addTraces(cfg *Config, next consumer.Traces) component.Component {
	return b.join(cfg, receivertest.NewNopSettings(metadata.Type), signalTraces, func(to *consumers) { to.traces = next })
}

func (b *bench) addLogs(cfg *Config, next consumer.Logs) component.Component {
	return b.join(cfg, receivertest.NewNopSettings(metadata.Type), signalLogs, func(to *consumers) { to.logs = next })
}

func (b *bench) addMetrics(cfg *Config, next consumer.Metrics) component.Component {
	return b.join(cfg, receivertest.NewNopSettings(metadata.Type), signalMetrics, func(to *consumers) { to.metrics = next })
}

// reportingHost is a host that takes reports of the component's status.
type reportingHost struct {
	component.Host
	reported []componentstatus.Status
}

func newReportingHost() *reportingHost { return &reportingHost{Host: componenttest.NewNopHost()} }

func (h *reportingHost) Report(e *componentstatus.Event) { h.reported = append(h.reported, e.Status()) }

func TestSignalsShareOneEngine(t *testing.T) {
	b := newBench()
	cfg := createDefaultConfig().(*Config)
	traces, logs := &consumertest.TracesSink{}, &consumertest.LogsSink{}
	tr, lg := b.addTraces(cfg, traces), b.addLogs(cfg, logs)

	require.NoError(t, tr.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, lg.Start(t.Context(), componenttest.NewNopHost()))
	require.Len(t, b.engines, 1)
	assert.Equal(t, 1, b.engines[0].started)
	assert.Same(t, traces, b.engines[0].traces)
	assert.Same(t, logs, b.engines[0].logs)

	require.NoError(t, lg.Shutdown(t.Context()))
	assert.Equal(t, 1, b.engines[0].shutdowns, "the first Shutdown is the last moment at which every pipeline takes items")
	require.NoError(t, tr.Shutdown(t.Context()))
	assert.Equal(t, 1, b.engines[0].shutdowns)
	assert.Empty(t, b.byConfig, "a configuration out of use is forgotten")
}

func TestOneSignalAlone(t *testing.T) {
	b := newBench()
	lg := b.addLogs(createDefaultConfig().(*Config), &consumertest.LogsSink{})
	require.NoError(t, lg.Start(t.Context(), componenttest.NewNopHost()))
	require.Len(t, b.engines, 1)
	assert.Nil(t, b.engines[0].traces)
	require.NoError(t, lg.Shutdown(t.Context()))
	assert.Equal(t, 1, b.engines[0].shutdowns)
}

func TestEachConfigurationHasItsEngine(t *testing.T) {
	b := newBench()
	first := b.addTraces(createDefaultConfig().(*Config), consumertest.NewNop())
	second := b.addTraces(createDefaultConfig().(*Config), consumertest.NewNop())
	require.NoError(t, first.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, second.Start(t.Context(), componenttest.NewNopHost()))
	require.Len(t, b.engines, 2)
	require.NoError(t, first.Shutdown(t.Context()))
	assert.Equal(t, 0, b.engines[1].shutdowns)
	require.NoError(t, second.Shutdown(t.Context()))
	assert.Empty(t, b.byConfig)
}

func TestSameSignalTwiceIsAnotherInstance(t *testing.T) {
	b := newBench()
	cfg := createDefaultConfig().(*Config)
	first, second := b.addTraces(cfg, consumertest.NewNop()), b.addTraces(cfg, consumertest.NewNop())
	require.NoError(t, first.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, second.Start(t.Context(), componenttest.NewNopHost()))
	require.Len(t, b.engines, 2)
	require.NoError(t, first.Shutdown(t.Context()))
	require.NotEmpty(t, b.byConfig, "the first leaves the second alone")
	require.NoError(t, second.Shutdown(t.Context()))
	assert.Empty(t, b.byConfig)
}

func TestShutdownWithoutStart(t *testing.T) {
	b := newBench()
	tr := b.addTraces(createDefaultConfig().(*Config), consumertest.NewNop())
	require.NoError(t, tr.Shutdown(t.Context()))
	require.NoError(t, tr.Shutdown(t.Context()))
	assert.Empty(t, b.engines)
	assert.Empty(t, b.byConfig)
}

func TestShutdownTwice(t *testing.T) {
	b := newBench()
	b.stopErr = errors.New("stuck")
	tr := b.addTraces(createDefaultConfig().(*Config), consumertest.NewNop())
	require.NoError(t, tr.Start(t.Context(), componenttest.NewNopHost()))
	require.ErrorIs(t, tr.Shutdown(t.Context()), b.stopErr)
	require.NoError(t, tr.Shutdown(t.Context()), "the failure was reported once")
	assert.Equal(t, 1, b.engines[0].shutdowns)
}

func TestStartAgain(t *testing.T) {
	b := newBench()
	tr := b.addTraces(createDefaultConfig().(*Config), consumertest.NewNop())
	for n := range 3 {
		require.NoError(t, tr.Start(t.Context(), componenttest.NewNopHost()))
		require.Len(t, b.engines, n+1)
		require.NoError(t, tr.Shutdown(t.Context()))
		assert.Equal(t, 1, b.engines[n].shutdowns)
	}
}

func TestStartFails(t *testing.T) {
	refused := errors.New("refused")
	unsupported := fmt.Errorf("%w: no BTF", kernel.ErrUnsupported)
	for _, tc := range []struct {
		name              string
		onUnsupported     OnUnsupported
		makeErr, startErr error
		want              error
	}{
		{name: "engine cannot be made", onUnsupported: OnUnsupportedFail, makeErr: refused, want: refused},
		{name: "engine cannot be made, warn", onUnsupported: OnUnsupportedWarn, makeErr: refused, want: refused},
		{name: "engine does not start", onUnsupported: OnUnsupportedFail, startErr: refused, want: refused},
		{name: "engine does not start, warn", onUnsupported: OnUnsupportedWarn, startErr: refused, want: refused},
		{name: "unsupported", onUnsupported: OnUnsupportedFail, startErr: unsupported, want: kernel.ErrUnsupported},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench()
			b.makeErr, b.startErr = tc.makeErr, tc.startErr
			cfg := createDefaultConfig().(*Config)
			cfg.OnUnsupported = tc.onUnsupported
			tr := b.addTraces(cfg, consumertest.NewNop())
			require.ErrorIs(t, tr.Start(t.Context(), componenttest.NewNopHost()), tc.want)
			require.NoError(t, tr.Shutdown(t.Context()))
			for _, e := range b.engines {
				assert.Equal(t, 0, e.shutdowns, "a failed start has undone its own work")
			}
		})
	}
}

func TestUnsupportedWarn(t *testing.T) {
	b := newBench()
	b.startErr = fmt.Errorf("%w: no BTF", kernel.ErrUnsupported)
	core, logged := observer.New(zap.InfoLevel)
	set := receivertest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	cfg := createDefaultConfig().(*Config)
	cfg.OnUnsupported = OnUnsupportedWarn
	tr := b.join(cfg, set, signalTraces, func(to *consumers) { to.traces = consumertest.NewNop() })
	lg := b.join(cfg, set, signalLogs, func(to *consumers) { to.logs = consumertest.NewNop() })

	trHost, lgHost := newReportingHost(), newReportingHost()
	require.NoError(t, tr.Start(t.Context(), trHost))
	require.NoError(t, lg.Start(t.Context(), lgHost))
	assert.Equal(t, []componentstatus.Status{componentstatus.StatusPermanentError}, trHost.reported)
	assert.Equal(t, []componentstatus.Status{componentstatus.StatusPermanentError}, lgHost.reported)
	require.Len(t, b.engines, 1, "what the host lacks is asked once")
	require.Equal(t, 1, logged.Len())
	assert.Equal(t, zap.WarnLevel, logged.All()[0].Level)
	assert.Contains(t, logged.All()[0].ContextMap()["error"], "no BTF")

	require.NoError(t, tr.Shutdown(t.Context()))
	require.NoError(t, lg.Shutdown(t.Context()))
	assert.Equal(t, 0, b.engines[0].shutdowns)
}

func TestStatusReachesEverySignal(t *testing.T) {
	b := newBench()
	cfg := createDefaultConfig().(*Config)
	tr, lg := b.addTraces(cfg, consumertest.NewNop()), b.addLogs(cfg, consumertest.NewNop())
	trHost, lgHost := newReportingHost(), newReportingHost()
	require.NoError(t, tr.Start(t.Context(), trHost))
	require.NoError(t, lg.Start(t.Context(), lgHost))

	componentstatus.ReportStatus(b.engines[0].host, componentstatus.NewRecoverableErrorEvent(errors.New("later")))
	assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, trHost.reported)
	assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, lgHost.reported)
	require.NoError(t, tr.Shutdown(t.Context()))
}

func TestFactory(t *testing.T) {
	f := NewFactory()
	assert.Equal(t, metadata.Type, f.Type())
	assert.Equal(t, component.StabilityLevelAlpha, f.TracesStability())
	assert.Equal(t, component.StabilityLevelAlpha, f.LogsStability())

	cfg := f.CreateDefaultConfig()
	tr, err := f.CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.NoError(t, err)
	lg, err := f.CreateLogs(t.Context(), receivertest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.NoError(t, err)
	assert.Same(t, tr.(*member).instance, lg.(*member).instance)

	other, err := NewFactory().CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.NoError(t, err)
	assert.NotSame(t, tr.(*member).instance, other.(*member).instance, "factories share nothing")
}
