package receiver

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/kernel"
)

// observation observes the host and sends telemetry to the consumers that it was made with.
type observation interface {
	// start returns quickly; it is called once. If it fails, it has undone what it did, and shutdown is not called. An error
	// that wraps kernel.ErrUnsupported means that this host cannot be observed.
	start(ctx context.Context, host component.Host) error
	// shutdown hands over what is buffered, as long as ctx allows, and ends everything that start began. It is called once.
	shutdown(ctx context.Context) error
}

// consumers are those of the pipelines; nil: none asked for the signal. There is one at least.
type consumers struct {
	traces  consumer.Traces
	logs    consumer.Logs
	metrics consumer.Metrics
}

// observationMaker makes an observation, which does nothing before start.
type observationMaker func(cfg *Config, set receiver.Settings, to consumers) (observation, error)

// signal is a kind of telemetry that a pipeline may use a configuration for.
type signal int

const (
	signalTraces signal = iota
	signalLogs
	signalMetrics
	signals
)

// instances holds the instance of each configuration that is in use, so that further signals can join it.
type instances struct {
	makeObservation observationMaker

	mu       sync.Mutex
	byConfig map[*Config]*instance
}

func newInstances(makeObservation observationMaker) *instances {
	return &instances{makeObservation: makeObservation, byConfig: map[*Config]*instance{}}
}

// join returns the component of one signal. If the instance of the configuration already has this signal, join makes a new instance.
func (t *instances) join(cfg *Config, set receiver.Settings, sig signal, connect func(*consumers)) *member {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.byConfig[cfg]
	if i == nil || i.joined[sig] {
		set.TelemetrySettings = withoutSignal(set.TelemetrySettings)
		i = &instance{cfg: cfg, set: set, makeObservation: t.makeObservation}
		i.leave = func() { t.remove(i) }
		t.byConfig[cfg] = i
	}
	i.joined[sig] = true
	connect(&i.consumers)
	return &member{instance: i}
}

func (t *instances) remove(i *instance) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byConfig[i.cfg] == i {
		delete(t.byConfig, i.cfg)
	}
}

// instance is what the signals of one configuration share.
//
// It runs from the first Start to the first Shutdown. The collector starts receivers when everything behind them runs, and
// stops the pipelines of a signal after the receiver's own Shutdown for it. So the first Shutdown is the last moment at which all
// pipelines can take what is buffered.
type instance struct {
	cfg             *Config
	set             receiver.Settings
	makeObservation observationMaker
	leave           func() // removes the instance from its table

	// Written by join only, which comes before every Start.
	joined    [signals]bool
	consumers consumers

	mu          sync.Mutex
	observation observation  // nil: not running
	hosts       *sharedHosts // nil: not started, or stopped
}

// start runs the instance, unless it runs already.
func (i *instance) start(ctx context.Context, host component.Host) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.hosts != nil {
		i.hosts.add(host)
		return nil
	}
	hosts := &sharedHosts{Host: host}
	hosts.add(host)
	o, err := i.makeObservation(i.cfg, i.set, i.consumers)
	if err == nil {
		err = o.start(ctx, hosts)
	}
	switch {
	case err == nil:
		i.observation = o
	case i.cfg.OnUnsupported == OnUnsupportedWarn && errors.Is(err, kernel.ErrUnsupported):
		i.set.Logger.Warn("nothing is observed, and the collector runs on because of on_unsupported: warn", zap.Error(err))
		componentstatus.ReportStatus(hosts, componentstatus.NewPermanentErrorEvent(err))
	default:
		return err
	}
	i.hosts = hosts
	return nil
}

// stop ends the instance, if it runs.
func (i *instance) stop(ctx context.Context) error {
	i.leave()
	i.mu.Lock()
	defer i.mu.Unlock()
	o := i.observation
	i.observation, i.hosts = nil, nil
	if o == nil {
		return nil
	}
	return o.shutdown(ctx)
}

// member is the component of one signal.
type member struct{ instance *instance }

// Start runs the instance, unless another signal did.
func (m *member) Start(ctx context.Context, host component.Host) error {
	return m.instance.start(ctx, host)
}

// Shutdown ends the instance, unless another signal did.
func (m *member) Shutdown(ctx context.Context) error { return m.instance.stop(ctx) }

// sharedHosts is the host of an instance. It reports a status for every signal that was started.
type sharedHosts struct {
	component.Host // of the first signal

	mu   sync.Mutex
	all  []component.Host
	last *componentstatus.Event
}

// Report reports the status of all signals.
func (h *sharedHosts) Report(status *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = status
	for _, host := range h.all {
		componentstatus.ReportStatus(host, status)
	}
}

// add adds the host of a signal, and reports the last status to it.
func (h *sharedHosts) add(host component.Host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, host)
	if h.last != nil {
		componentstatus.ReportStatus(host, h.last)
	}
}
