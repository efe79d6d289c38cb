package receiver

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/socketflow/socketflow/internal/metrics"
	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

// TestMetricsAloneMakeNothingElse: no spans, no records, no search for parents; but requests are parsed.
func TestMetricsAloneMakeNothingElse(t *testing.T) {
	out, err := newEmitter(receivertest.NewNopSettings(metadata.Type), consumers{metrics: consumertest.NewNop()})
	require.NoError(t, err)
	options, err := createDefaultConfig().(*Config).engineOptions("", out)
	require.NoError(t, err)
	assert.False(t, options.Telemetry.Traces)
	assert.Zero(t, options.Telemetry.Records)
	assert.Zero(t, options.Parents)
	assert.NotEmpty(t, options.Protocols)
	assert.NotEmpty(t, options.TLS)
	assert.Equal(t, out, options.MetricsSink)
	assert.Equal(t, metrics.Options{Interval: 15 * time.Second, StaleAfter: 5 * time.Minute, Series: 20000}, options.Metrics)
}

func TestWithoutAPipelineOfThemThereAreNoMetrics(t *testing.T) {
	out, err := newEmitter(receivertest.NewNopSettings(metadata.Type), consumers{traces: consumertest.NewNop()})
	require.NoError(t, err)
	options, err := createDefaultConfig().(*Config).engineOptions("", out)
	require.NoError(t, err)
	assert.Nil(t, options.MetricsSink)
}

func TestMetricsAreConfigured(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Metrics = MetricsConfig{
		Interval: time.Minute, Temporality: TemporalityDelta, Histograms: HistogramsExponential, StaleAfter: time.Hour, Resource: MetricsResourceService, LearnRoutes: true, Phases: true,
		Peers: []PeerConfig{{Name: "billing", CIDR: "10.1.0.0/16", Port: 8443}},
	}
	cfg.Limits.Series = 100
	o, err := cfg.metricsOptions()
	require.NoError(t, err)
	assert.Equal(t, metrics.Options{
		Interval: time.Minute, Delta: true, Exponential: true, StaleAfter: time.Hour, LearnRoutes: true, Phases: true, ByService: true, Series: 100,
		Peers: []metrics.Network{{Name: "billing", Prefix: netip.MustParsePrefix("10.1.0.0/16"), Port: 8443}},
	}, o)
}

func TestMetricsShareTheEngine(t *testing.T) {
	b := newBench()
	cfg := createDefaultConfig().(*Config)
	points, traces := &consumertest.MetricsSink{}, &consumertest.TracesSink{}
	m, tr := b.addMetrics(cfg, points), b.addTraces(cfg, traces)
	require.NoError(t, m.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, tr.Start(t.Context(), componenttest.NewNopHost()))
	require.Len(t, b.engines, 1)
	assert.Equal(t, 1, b.engines[0].started)
	assert.Same(t, points, b.engines[0].metrics)
	assert.Same(t, traces, b.engines[0].traces)
	require.NoError(t, m.Shutdown(t.Context()))
	require.NoError(t, tr.Shutdown(t.Context()))
	assert.Equal(t, 1, b.engines[0].shutdowns)
}

// TestRefusedPointsAreCounted, as spans and records are.
func TestRefusedPointsAreCounted(t *testing.T) {
	set, tel, logged := settingsOf(t)
	o, err := newEmitter(set, consumers{metrics: consumertest.NewErr(errors.New("full"))})
	require.NoError(t, err)
	points := pmetric.NewMetrics()
	sum := points.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptySum()
	for range 3 {
		sum.DataPoints().AppendEmpty()
	}
	o.consumeMetrics(t.Context(), points)
	o.consumeMetrics(t.Context(), pmetric.NewMetrics())
	assert.Equal(t, items{points: 3}, o.losses.all())
	assert.Equal(t, []items{{points: 3}}, lossesIn(t, logged))
	assert.Equal(t, int64(3), sumOf(t, tel, "otelcol_receiver_refused_metric_points"))
}
