// Package otlp turns connections and their exchanges into OTLP log records and spans.
package otlp

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/peername"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// SpanPolicy selects which connections have a span of their own.
type SpanPolicy uint8

// The policies.
const (
	SpansAuto   SpanPolicy = iota // failed attempts, and connections without an emitted exchange
	SpansAlways                   // every failed attempt and every connection
	SpansNever                    // none
)

// RecordKinds is a set of kinds of log records.
type RecordKinds uint8

// The kinds.
const (
	RecordOpen  RecordKinds = 1 << iota // socketflow.connection.open
	RecordClose                         // socketflow.connection.close
	RecordFail                          // socketflow.connection.fail

	RecordAll = RecordOpen | RecordClose | RecordFail
)

func (s RecordKinds) has(kind RecordKinds) bool { return s&kind != 0 }

// Options of a Builder. The zero value has good defaults, but builds neither signal.
type Options struct {
	Records         RecordKinds // the log records to build
	Traces          bool        // build spans
	Addresses       AddressAttributes
	ConnectionSpans SpanPolicy
	Phases          bool // spans of exchanges say how long their parts took
	// AttributeLength is how many bytes an attribute's value has at most. 0: 2048.
	AttributeLength int
	Host            process.Host // of all processes
	Omitted         []string     // keys of the resource attributes that are not emitted
	// ScopeName and ScopeVersion are those of the instrumentation scope.
	ScopeName, ScopeVersion string
	// HostID is a number that is unique to this host and this boot. Connection ids are derived from it.
	HostID uint64
	// PeerName answers the questions of connections; nil: none have any. See peername.Table.
	PeerName func(peername.Question) (a peername.Answer, settled bool)
	// Resolve finds the trace and the parent of an exchange's span; nil: those of its trace context. See trace.Exchanges.
	Resolve func(trace.ExchangeKey) (trace.Parent, bool)
	// Candidates finds what may be the parent of a request's span that has none; nil: nothing. See trace.Exchanges.
	Candidates func(trace.ExchangeKey, *trace.Candidates)
	// Tracestate is that of the trace context which names the trace of a parent that Resolve has found; nil: there is none. See trace.Exchanges.
	Tracestate func(*trace.Parent) string
	// Endpoint is where an end of a connection was accepted, if that is known; nil: it is not. See trace.Endpoints.
	Endpoint func(trace.End) (at netip.AddrPort, known bool)
	// Sampling says which spans are kept; of exchanges, if there is Resolve. The log records of connections are not sampled.
	Sampling sampling.Policy
	// Bounds of a batch. At a bound, Full is called, which has to call Close or Take; it may be nil without bounds.
	Bounds Bounds
	Full   func()
	// Seed is random, and another for every Builder that ever is. Trace ids and span ids are derived from it.
	Seed trace.Seed
	// Now is the time of observation; nil is time.Now.
	Now func() time.Time
}

// Builder collects reports of connections into one batch of logs and one of traces. It is for one goroutine.
//
// A batch grows within the bounds until Close or Take. While it is closed and waits for what other shards know, others grow.
type Builder struct {
	options     Options
	identity    identity
	traceIDs    trace.Identity
	omitted     map[string]bool // resource attributes
	attrLayouts attrLayouts
	texts       addressTexts
	ids         connectionIDs
	interned    interned
	bound       bound
	parents     [trace.SourcesCount]atomic.Uint64
	sampler     sampler
	leftOut     [sampling.Decisions]atomic.Uint64

	content // of the open batch
	records load
	spans   load
	// groups are those of this batch, by pointer: an Info is immutable, and a changed process has another one.
	groups map[*process.Info]*group
	closed []content // the oldest one first
	spare  []content // of batches that were taken: the memory of what awaited an answer

	// These are reused, so that emitting does not allocate them.
	report   report
	sentence []byte
	record   plog.LogRecord
	span     ptrace.Span

	candidates trace.Candidates
}

var _ socket.Sink = (*Builder)(nil)

// NewBuilder returns a Builder with an empty batch.
func NewBuilder(options Options) *Builder {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.AttributeLength == 0 {
		options.AttributeLength = defaultLength
	}
	b := &Builder{
		options:     options,
		omitted:     omittedKeys(options.Omitted),
		identity:    newIdentity(options.HostID),
		traceIDs:    trace.NewIdentity(options.Seed),
		attrLayouts: newAttrLayouts(options.Addresses),
		interned:    interned{seed: maphash.MakeSeed()},
		bound:       bound{length: options.AttributeLength},
		content:     content{logs: plog.NewLogs(), traces: ptrace.NewTraces()},
		record:      plog.NewLogRecord(),
		span:        ptrace.NewSpan(),
		groups:      make(map[*process.Info]*group),
	}
	b.sampler.begin(options.Sampling)
	return b
}

// Opened adds the log record of a connection that was opened.
func (b *Builder) Opened(c *socket.Connection) { b.emit(c, &opening) }

// Closed adds the log record and the span of a connection that ended.
func (b *Builder) Closed(c *socket.Connection) { b.emit(c, &closing) }

// Failed adds the log record and the span of an attempt that did not become a connection.
func (b *Builder) Failed(c *socket.Connection) { b.emit(c, &failure) }

// LogRecords is the number of log records in the open batch.
func (b *Builder) LogRecords() int { return b.records.items }

// Spans is the number of spans in the open batch.
func (b *Builder) Spans() int { return b.spans.items }

// Parents is how many spans of requests had a parent of a source since NewBuilder. It may be called from any goroutine.
func (b *Builder) Parents(source trace.Source) uint64 { return b.parents[source].Load() }

// Truncated is how many values of attributes were cut since NewBuilder. It may be called from any goroutine.
func (b *Builder) Truncated() uint64 { return b.bound.total.Load() }

func (b *Builder) emit(c *socket.Connection, h *recordDef) {
	spanned := b.hasSpan(c, h)
	needsSpan := spanned && h.span != nil
	wantsRecord := b.options.Records.has(h.kind)
	if !wantsRecord && !needsSpan {
		return
	}
	r := &b.report
	r.read(c, h, &b.texts)
	if needsSpan && !b.beginSpan(r) {
		if needsSpan = false; !wantsRecord {
			r.connection = nil
			return
		}
	}
	r.subject = b.groupOf(c.Process).subject
	r.id = b.ids.of(c.ID, b.identity)
	r.bound = &b.bound
	if needsSpan {
		b.writeSpan(r, h)
		b.attrLayouts.of(r.conditions).write(b.span.Attributes(), r)
	}
	if wantsRecord {
		b.writeRecord(r, h, spanned)
		attributes := b.record.Attributes()
		if needsSpan {
			attributes.EnsureCapacity(b.span.Attributes().Len() + 1) // see attrLayout.write
			b.span.Attributes().CopyTo(attributes)                   // takes two thirds of the time of writing them again
		} else {
			b.attrLayouts.of(r.conditions).write(attributes, r)
		}
		if h.conditions&hasEnded != 0 && !r.unmeasured() { // a span has its times
			attributes.PutDouble(duration, time.Duration(r.duration()).Seconds())
		}
		b.appendRecord(r)
	}
	if needsSpan {
		b.appendSpan(r)
	}
	r.connection = nil // keep no reference
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

// writeRecord writes b.record without its attributes.
func (b *Builder) writeRecord(r *report, h *recordDef, spanned bool) {
	c, record := r.connection, b.record
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
	switch {
	case spanned:
		traceID, spanID := b.traceIDs.Of(c.Serial, trace.Whole)
		record.SetTraceID(traceID)
		record.SetSpanID(spanID)
	case b.options.Traces && h == &closing && c.Last.SpanID != [8]byte{}:
		record.SetTraceID(c.Last.TraceID)
		record.SetSpanID(c.Last.SpanID)
	}
	b.sentence = h.sentence(b.sentence[:0], r)
	record.Body().SetStr(string(b.sentence))
}

// beginSpan writes the ids of b.span. It returns false if sampling leaves the span out.
func (b *Builder) beginSpan(r *report) bool {
	traceID, spanID := b.traceIDs.Of(r.connection.Serial, trace.Whole)
	decision := b.sampler.ofConnection(traceID, r)
	if decision.IsOut() {
		b.leftOut[decision].Add(1)
		return false
	}
	b.span.SetTraceID(traceID)
	b.span.SetSpanID(spanID)
	b.sampler.mark(b.span, decision, sampling.State{})
	return true
}

// writeSpan writes b.span without its ids and attributes.
func (b *Builder) writeSpan(r *report, h *recordDef) {
	c, span := r.connection, b.span
	span.SetName(h.span(r.transportDef))
	span.SetKind(entry(kinds[:], c.Role))
	span.SetFlags(rootFlags)
	span.SetStartTimestamp(pcommon.Timestamp(c.StartedAt))
	span.SetEndTimestamp(pcommon.Timestamp(r.endedAt()))
	if r.err.name != "" {
		span.Status().SetCode(ptrace.StatusCodeError) // without a message, which would repeat error.type
	}
}
