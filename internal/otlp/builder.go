// Package otlp turns connections and their exchanges into OTLP log records and spans.
package otlp

import (
	"hash/maphash"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/socket"
)

// AddressAttributes selects the attribute names of addresses.
type AddressAttributes uint8

// The choices of names.
const (
	AddressBoth   AddressAttributes = iota
	AddressStable                   // network.*, server.*, client.*
	AddressNet                      // net.*
)

// SpanPolicy selects which connections have a span of their own.
type SpanPolicy uint8

// The policies.
const (
	SpansAuto   SpanPolicy = iota // failed attempts, and connections without an emitted exchange
	SpansAlways                   // every failed attempt and every connection
	SpansNever                    // none
)

// Options of a Builder. The zero value has good defaults, but builds neither signal.
type Options struct {
	Logs, Traces    bool // the signals to build
	Addresses       AddressAttributes
	ConnectionSpans SpanPolicy
	Host            process.Host // of all processes
	Omitted         []string     // keys of the resource attributes that are not emitted
	// ScopeName and ScopeVersion are those of the instrumentation scope.
	ScopeName, ScopeVersion string
	// HostID is a number that is unique to this host and this boot. Connection ids are derived from it.
	HostID uint64
	// Seed is random, and another for every Builder that ever is. Trace ids and span ids are derived from it.
	Seed Seed
	// Now is the time of observation; nil is time.Now.
	Now func() time.Time
}

// Builder collects reports of connections into one batch of logs and one of traces. It is for one goroutine.
//
// A batch grows until Take. The caller bounds it by means of LogRecords, Spans and LongTexts.
type Builder struct {
	options     Options
	identity    identity
	omitted     map[string]bool // resource attributes
	attrLayouts attrLayouts
	texts       addressTexts
	ids         connectionIDs
	interned    interned

	logs    plog.Logs
	traces  ptrace.Traces
	records int
	spans   int
	// groups are those of this batch, by pointer: an Info is immutable, and a changed process has another one.
	groups map[*process.Info]*group

	// These are reused, so that emitting does not allocate them.
	report   report
	sentence []byte
}

var _ socket.Sink = (*Builder)(nil)

// NewBuilder returns a Builder with an empty batch.
func NewBuilder(options Options) *Builder {
	if options.Now == nil {
		options.Now = time.Now
	}
	omitted := make(map[string]bool, len(options.Omitted))
	for _, key := range options.Omitted {
		omitted[key] = true
	}
	return &Builder{
		options:     options,
		omitted:     omitted,
		identity:    newIdentity(options.HostID, options.Seed),
		attrLayouts: newAttrLayouts(options.Addresses),
		interned:    interned{seed: maphash.MakeSeed()},
		logs:        plog.NewLogs(),
		traces:      ptrace.NewTraces(),
		groups:      make(map[*process.Info]*group),
	}
}

// Opened adds the log record of a connection that was opened.
func (b *Builder) Opened(c *socket.Connection) { b.emit(c, &opening) }

// Closed adds the log record and the span of a connection that ended.
func (b *Builder) Closed(c *socket.Connection) { b.emit(c, &closing) }

// Failed adds the log record and the span of an attempt that did not become a connection.
func (b *Builder) Failed(c *socket.Connection) { b.emit(c, &failure) }

// LogRecords is the number of log records in the batch.
func (b *Builder) LogRecords() int { return b.records }

// Spans is the number of spans in the batch.
func (b *Builder) Spans() int { return b.spans }

// LongTexts is how many bytes the texts of the batch have that are long, such as URLs: a span may have more than one of 8 kB.
func (b *Builder) LongTexts() int { return b.interned.long }

// Take returns the batch and begins another. The Builder keeps no reference to what it returns.
func (b *Builder) Take() (plog.Logs, ptrace.Traces) {
	logs, traces := b.logs, b.traces
	b.logs, b.traces = plog.NewLogs(), ptrace.NewTraces()
	b.records, b.spans, b.interned.long = 0, 0, 0
	clear(b.groups)
	return logs, traces
}

func (b *Builder) emit(c *socket.Connection, h *recordDef) {
	spanned := b.hasSpan(c, h)
	needsSpan := spanned && h.span != nil
	if !b.options.Logs && !needsSpan {
		return
	}
	r := &b.report
	r.read(c, h, &b.texts)
	r.group = b.groupOf(c.Process)
	r.id = b.ids.of(c.ID, &b.identity)
	switch attributes := b.attrLayouts.of(r.conditions); {
	case b.options.Logs && needsSpan:
		written := b.addRecord(r, h, spanned).Attributes()
		attributes.write(written, r)
		written.CopyTo(b.addSpan(r, h).Attributes()) // takes two thirds of the time of writing them again
	case b.options.Logs:
		attributes.write(b.addRecord(r, h, spanned).Attributes(), r)
	default:
		attributes.write(b.addSpan(r, h).Attributes(), r)
	}
	r.connection, r.group = nil, nil // keep no reference
}

// hasSpan says whether it is known that a connection has or will have a span of its own. With SpansAuto this is known only
// when it closes.
func (b *Builder) hasSpan(c *socket.Connection, h *recordDef) bool {
	switch {
	case !b.options.Traces || b.options.ConnectionSpans == SpansNever:
		return false
	case b.options.ConnectionSpans == SpansAlways || h == &failure:
		return true
	default:
		return h == &closing && c.Exchanges == 0
	}
}

// addRecord adds a log record without its attributes.
func (b *Builder) addRecord(r *report, h *recordDef, spanned bool) plog.LogRecord {
	c := r.connection
	record := b.recordsOf(r.group, c.Process).AppendEmpty()
	b.records++
	at := c.OpenedAt
	if h.conditions&hasEnded != 0 {
		at = r.endedAt()
	}
	record.SetEventName(h.event)
	record.SetTimestamp(pcommon.Timestamp(at))
	record.SetObservedTimestamp(pcommon.NewTimestampFromTime(b.options.Now()))
	severity, severityText := r.severity()
	record.SetSeverityNumber(severity)
	record.SetSeverityText(severityText)
	if spanned {
		traceID, spanID := b.identity.ids(c.Serial, whole)
		record.SetTraceID(traceID)
		record.SetSpanID(spanID)
	}
	b.sentence = h.sentence(b.sentence[:0], r)
	record.Body().SetStr(string(b.sentence))
	return record
}

// addSpan adds a span without its attributes.
func (b *Builder) addSpan(r *report, h *recordDef) ptrace.Span {
	c := r.connection
	span := b.spansOf(r.group, c.Process).AppendEmpty()
	b.spans++
	traceID, spanID := b.identity.ids(c.Serial, whole)
	span.SetTraceID(traceID)
	span.SetSpanID(spanID)
	span.SetName(h.span(r.transportDef))
	span.SetKind(entry(kinds[:], c.Role))
	span.SetStartTimestamp(pcommon.Timestamp(c.StartedAt))
	span.SetEndTimestamp(pcommon.Timestamp(r.endedAt()))
	if r.err.name != "" {
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage(r.err.text)
	}
	return span
}

func (b *Builder) groupOf(p *process.Info) *group {
	g := b.groups[p]
	if g == nil {
		g = &group{subject: subject(p)}
		b.groups[p] = g
	}
	return g
}

func (b *Builder) recordsOf(g *group, p *process.Info) plog.LogRecordSlice {
	if !g.hasRecords {
		resource := b.logs.ResourceLogs().AppendEmpty()
		resource.SetSchemaUrl(semconv.SchemaURL)
		b.describe(p, resource.Resource().Attributes())
		scope := resource.ScopeLogs().AppendEmpty()
		scope.SetSchemaUrl(semconv.SchemaURL)
		b.nameScope(scope.Scope())
		g.records, g.hasRecords = scope.LogRecords(), true
	}
	return g.records
}

func (b *Builder) spansOf(g *group, p *process.Info) ptrace.SpanSlice {
	if !g.hasSpans {
		resource := b.traces.ResourceSpans().AppendEmpty()
		resource.SetSchemaUrl(semconv.SchemaURL)
		b.describe(p, resource.Resource().Attributes())
		scope := resource.ScopeSpans().AppendEmpty()
		scope.SetSchemaUrl(semconv.SchemaURL)
		b.nameScope(scope.Scope())
		g.spans, g.hasSpans = scope.Spans(), true
	}
	return g.spans
}

func (b *Builder) nameScope(scope pcommon.InstrumentationScope) {
	scope.SetName(b.options.ScopeName)
	scope.SetVersion(b.options.ScopeVersion)
}
