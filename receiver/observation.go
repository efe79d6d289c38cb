package receiver

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/receiver"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/fdtrack"
	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/registry"
	"github.com/socketflow/socketflow/internal/redact"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/trace"
	"github.com/socketflow/socketflow/receiver/internal/metadata"
)

// hostObservation is the observation of a host: an engine, and its status and own telemetry.
type hostObservation struct {
	cfg       *Config
	set       receiver.Settings
	emitter   *emitter
	engine    *engine.Engine
	telemetry *telemetry
}

func newHostObservation(cfg *Config, set receiver.Settings, to consumers) (observation, error) {
	out, err := newEmitter(set, to)
	if err != nil {
		return nil, err
	}
	return &hostObservation{cfg: cfg, set: set, emitter: out}, nil
}

func (o *hostObservation) start(_ context.Context, host component.Host) (err error) {
	options, err := o.cfg.engineOptions(o.set.BuildInfo.Version, o.emitter)
	if err != nil {
		return err
	}
	options.Logger = o.set.Logger
	options.Broken = func(err error) { componentstatus.ReportStatus(host, componentstatus.NewPermanentErrorEvent(err)) }
	o.cfg.warnOfLinks(o.set.Logger)
	o.engine = engine.New(options)
	if err := o.engine.Start(); err != nil {
		return err
	}
	o.telemetry, err = newTelemetry(o.set, o.snapshot)
	if err != nil {
		return errors.Join(err, o.drain(context.Background()), o.engine.Close())
	}
	componentstatus.ReportStatus(host, o.status())
	return nil
}

// status reports the mode, and why no better one was possible.
func (o *hostObservation) status() *componentstatus.Event {
	attributes := pcommon.NewMap()
	mode, why := o.engine.Mode()
	attributes.PutStr("mode", string(mode))
	if why != nil {
		attributes.PutStr("mode.reason", why.Error())
	}
	hooks := attributes.PutEmptySlice("attached")
	for _, hook := range o.engine.Attached() {
		hooks.AppendEmpty().SetStr(hook)
	}
	return componentstatus.NewEvent(componentstatus.StatusOK, componentstatus.WithAttributes(attributes))
}

func (o *hostObservation) snapshot() snapshot {
	return snapshot{o.engine.Snapshot(), o.emitter.losses.all()}
}

// shutdown releases the kernel programs last, so that counters can be collected until nothing is counted any more.
func (o *hostObservation) shutdown(ctx context.Context) error {
	return errors.Join(o.drain(ctx), o.telemetry.shutdown(), o.engine.Close())
}

// drain hands over what is buffered, and stops at shutdown_timeout, which is no error: a collector that reloads its configuration would
// end with it.
func (o *hostObservation) drain(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, o.cfg.ShutdownTimeout)
	defer cancel()
	o.emitter.losses.stop()
	whole, err := o.engine.Drain(bounded)
	o.emitter.losses.settle(whole, o.cfg.ShutdownTimeout)
	if !whole && ctx.Err() != nil {
		err = errors.Join(err, fmt.Errorf("handing over what was captured took too long, some of it is lost: %w", ctx.Err()))
	}
	return err
}

// engineOptions converts a configuration to the engine's options.
func (c *Config) engineOptions(version string, out *emitter) (engine.Options, error) {
	shards := c.RingBuffer.shardsOn(runtime.NumCPU())
	options := engine.Options{
		Mode: c.Mode, Attachment: attachments[c.Attachment], ExcludeSelf: c.ExcludeSelf, ExcludeOTLP: c.ExcludeOTLP, SkipInstrumented: c.Instrumented == InstrumentedSkip,
		Rules: c.selectionRules(),
		Unix:  slices.Contains(c.Transports, TransportUnix), UDP: slices.Contains(c.Transports, TransportUDP),
		ParserMemory: int(c.Limits.Memory),
		CallLimit:    int(c.Payload.CallLimit), BurstLimit: int(c.Payload.BurstLimit),
		Shards: shards, RingBytes: c.RingBuffer.sizeOf(shards),
		CPULimit:     c.Sampling.CPULimit,
		PollInterval: c.PollInterval, UDPIdleTimeout: c.UDPIdleTimeout,
		Sockets: c.Limits.Sockets, Processes: c.Limits.Processes,
		Waiting: fdtrack.Limits{
			Timeout: c.Completion.Timeout, LookupAfter: c.Completion.LookupAfter, SocketItems: c.Completion.SocketEvents,
			SocketBytes: int(c.Completion.SocketBytes), Items: c.Completion.Events, Bytes: int(c.Completion.Bytes),
		},
		Telemetry: otlp.Options{
			Records: c.recordKinds(out.to.logs != nil), Traces: out.to.traces != nil,
			Addresses: addressAttributes[c.AddressAttributes], ConnectionSpans: connectionSpans[c.ConnectionSpans],
			Omitted: omittedOf(&c.ResourceAttributes), AttributeLength: int(c.Limits.AttributeLength),
			ScopeName: metadata.ScopeName, ScopeVersion: version,
			Sampling: c.Sampling.policy(), Phases: c.Trace.Phases,
			Bounds: otlp.Bounds{Items: c.Batch.Size, Bytes: int(c.Batch.Bytes)},
		},
		CommandArgs:  c.ResourceAttributes.ProcessCommandArgs.Enabled,
		BatchTimeout: c.Batch.Timeout, Sink: out,
	}
	if out.to.metrics != nil {
		var err error
		options.MetricsSink = out
		if options.Metrics, err = c.metricsOptions(); err != nil {
			return engine.Options{}, err
		}
	}
	if out.to.traces != nil {
		var err error
		options.Parents = parents[c.Trace.Parents]
		if options.ObservedNetworks, err = c.Trace.networks(); err != nil {
			return engine.Options{}, err
		}
	}
	if out.to.traces != nil || out.to.metrics != nil { // exchanges are of interest
		var err error
		options.TLS = c.TLS.libraries()
		options.Protocols, err = registry.Configured(c.Protocols, protocol.Limits{HeadBytes: int(c.Limits.HeadSize), Outstanding: c.Limits.Requests})
		if err != nil {
			return engine.Options{}, err
		}
		rules := redact.New(c.Redaction.SecretNames, c.Redaction.SafeNames)
		for i := range options.Protocols {
			options.Protocols[i].Settings.Redaction = rules
		}
	}
	return options, nil
}

var (
	attachments = map[Attachment]kernel.Attachment{
		AttachmentAuto: kernel.AttachAny, AttachmentTracepoint: kernel.AttachTracepoint, AttachmentFunction: kernel.AttachFunction,
	}
	addressAttributes = map[AddressAttributes]otlp.AddressAttributes{
		AddressAttributesBoth:   otlp.AddressBoth,
		AddressAttributesStable: otlp.AddressStable,
		AddressAttributesV120:   otlp.AddressV120,
		AddressAttributesV112:   otlp.AddressV112,
	}
	connectionRecords = map[ConnectionRecord]otlp.RecordKinds{
		ConnectionRecordOpen: otlp.RecordOpen, ConnectionRecordClose: otlp.RecordClose, ConnectionRecordFail: otlp.RecordFail,
	}
	parents         = map[Parents]trace.Sources{ParentsCertain: trace.Certain, ParentsLikely: trace.Likely, ParentsOff: trace.Off}
	connectionSpans = map[ConnectionSpans]otlp.SpanPolicy{
		ConnectionSpansAuto:   otlp.SpansAuto,
		ConnectionSpansAlways: otlp.SpansAlways,
		ConnectionSpansNever:  otlp.SpansNever,
	}
)

func (c *SamplingConfig) policy() sampling.Policy {
	return sampling.Policy{
		Threshold: sampling.ThresholdOf(c.Ratio), HonourParent: c.HonourParent, KeepErrors: c.Keep.Errors, KeepSlowerThan: c.Keep.SlowerThan,
	}
}

// recordKinds are the log records that are built, none if no pipeline takes them.
func (c *Config) recordKinds(wanted bool) (kinds otlp.RecordKinds) {
	if wanted {
		for _, record := range c.ConnectionRecords {
			kinds |= connectionRecords[record]
		}
	}
	return kinds
}

// selectionRules converts the selectors of both lists to rules. The position of a rule is that of its bit.
func (c *Config) selectionRules() []selection.Rule {
	var rules []selection.Rule
	for _, part := range []struct {
		selectors []Selector
		exclude   bool
	}{{c.Include, false}, {c.Exclude, true}} {
		for _, s := range part.selectors {
			rules = append(rules, selection.Rule{
				Exclude: part.exclude, Executable: s.Executable, PID: uint32(s.PID), ContainerID: s.ContainerID,
				CgroupPath: s.CgroupPath, LocalPort: s.LocalPort.bounds, RemotePort: s.RemotePort.bounds,
			})
		}
	}
	return rules
}
