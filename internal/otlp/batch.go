package otlp

import (
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/process"
)

// Bounds of a batch. 0 stands for no bound.
type Bounds struct {
	Items int // log records, and spans, at the most
	// Bytes is how large the log records, and the spans, are in OTLP's encoding at the most. An item that alone is larger has a batch of its
	// own.
	Bytes int
}

// content is what a batch has, and the questions that are answered when it is taken.
type content struct {
	logs           plog.Logs
	traces         ptrace.Traces
	unnamed        []unnamed
	unjoined       []unjoined
	traceless      []tracelessRecord
	latestQuestion uint64 // of those
	room           int    // bytes: by so many may the spans grow
	closed         time.Time
}

// Close ends the batch at a time and begins another.
func (b *Builder) Close(at time.Time) {
	b.room, b.content.closed = b.spans.room(&b.options.Bounds), at
	b.closed = append(b.closed, b.content)
	b.content = b.emptyContent()
	b.records, b.spans = load{}, load{}
	clear(b.groups)
}

// emptyContent is that of a new batch. It uses the memory of one that was taken.
func (b *Builder) emptyContent() (c content) {
	if last := len(b.spare) - 1; last >= 0 {
		c = b.spare[last]
		b.spare[last] = content{}
		b.spare = b.spare[:last]
	}
	c.logs, c.traces = plog.NewLogs(), ptrace.NewTraces()
	return c
}

// ClosedBatches is how many closed batches have not been taken.
func (b *Builder) ClosedBatches() int { return len(b.closed) }

// LatestQuestion is when the latest thing happened that the oldest closed batch has a question about (CLOCK_MONOTONIC, ns): what a peer is called, and
// where in a trace its spans are. 0: there is none. As soon as all events from before have been handled, the questions can be
// answered.
func (b *Builder) LatestQuestion() uint64 { return b.closed[0].latestQuestion }

// ClosedAt is when the oldest closed batch was closed.
func (b *Builder) ClosedAt() time.Time { return b.closed[0].closed }

// Take returns the oldest closed batch. If there is none, it closes the open one. The Builder keeps no reference to what it returns.
func (b *Builder) Take() (plog.Logs, ptrace.Traces) {
	if len(b.closed) == 0 {
		b.Close(time.Time{})
	}
	c := &b.closed[0]
	b.namePeers(c)
	b.joinSpans(c)
	logs, traces := c.logs, c.traces
	b.spare = append(b.spare, content{unnamed: c.unnamed, unjoined: c.unjoined, traceless: c.traceless})
	b.closed = slices.Delete(b.closed, 0, 1)
	return logs, traces
}

// load is how full one signal's half of a batch is.
type load struct{ items, bytes int }

// admits reports whether an item of this size has room. The first one always has.
func (l *load) admits(size int, b *Bounds) bool {
	return l.items == 0 || b.Bytes == 0 || l.bytes+size <= b.Bytes
}

func (l *load) add(size int) {
	l.items++
	l.bytes += size
}

// room is how many bytes the batch may have more.
func (l *load) room(b *Bounds) int {
	if b.Bytes == 0 {
		return math.MaxInt
	}
	return max(0, b.Bytes-l.bytes)
}

// group collects the records and spans of one process in a batch.
type group struct {
	subject string // names the process in a sentence
	records plog.LogRecordSlice
	spans   ptrace.SpanSlice
	// A resource is made for the first record or span, and is in the batch once the size is 0.
	recordsResource plog.ResourceLogs
	spansResource   ptrace.ResourceSpans
	recordsSize     int
	spansSize       int
	hasRecords      bool // recordsResource has been made
	hasSpans        bool
}

// Encoded sizes. The marshalers have no state.
var (
	spanSizer ptrace.ProtoMarshaler
	logSizer  plog.ProtoMarshaler
)

func (b *Builder) groupOf(p *process.Info) *group {
	g := b.groups[p]
	if g == nil {
		g = &group{subject: sound(subject(p))}
		b.groups[p] = g
	}
	return g
}

// appendRecord moves b.record into the batch, or into the next one if this one is full.
func (b *Builder) appendRecord(r *report) {
	p := r.connection.Process
	size := prefixed(logSizer.LogRecordSize(b.record)) + b.roomForName(r)
	g := b.recordsOf(p)
	if !b.records.admits(size+g.recordsSize, &b.options.Bounds) {
		b.options.Full()
		g = b.recordsOf(p)
	}
	if g.recordsSize > 0 {
		resource := b.logs.ResourceLogs().AppendEmpty()
		g.recordsResource.MoveTo(resource)
		g.records = resource.ScopeLogs().At(0).LogRecords()
	}
	b.records.add(size + g.recordsSize)
	g.recordsSize = 0
	record := g.records.AppendEmpty()
	b.record.MoveTo(record)
	b.awaitName(r, record.Attributes())
	b.awaitTrace(r.connection, record)
	b.checkItems(&b.records)
}

// appendSpan moves b.span into the batch, or into the next one.
func (b *Builder) appendSpan(r *report) {
	g := b.admitSpan(r, spanSizer.SpanSize(b.span))
	span := g.spans.AppendEmpty()
	b.span.MoveTo(span)
	b.awaitName(r, span.Attributes())
	b.checkItems(&b.spans)
}

// appendExchange does the same with the span of an exchange, which has at most so many bytes, and whose place in a trace may have to be found first.
func (b *Builder) appendExchange(r *report, span ptrace.Span, layout *attrLayout, size int) {
	g := b.admitSpan(r, size)
	if b.awaitsJoin(r) {
		b.awaitJoin(r, unjoined{span: span, layout: layout, to: g.spans})
	} else {
		span = b.attrLayouts.emit(span, g.spans)
	}
	b.awaitName(r, span.Attributes())
	b.checkItems(&b.spans)
}

// admitSpan counts a span in that has at most so many bytes, and returns its group: in the batch, or if that is full without it, in the next one.
func (b *Builder) admitSpan(r *report, size int) *group {
	size = prefixed(size) + b.roomForName(r) + b.roomForPlace(r)
	g := b.spansOf(r.connection.Process)
	if !b.spans.admits(size+g.spansSize, &b.options.Bounds) {
		b.options.Full()
		g = b.spansOf(r.connection.Process)
	}
	if g.spansSize > 0 {
		resource := b.traces.ResourceSpans().AppendEmpty()
		g.spansResource.MoveTo(resource)
		g.spans = resource.ScopeSpans().At(0).Spans()
	}
	b.spans.add(size + g.spansSize)
	g.spansSize = 0
	return g
}

// checkItems has a batch taken that can hold no further item.
func (b *Builder) checkItems(l *load) {
	if most := b.options.Bounds.Items; most != 0 && l.items >= most {
		b.options.Full()
	}
}

// recordsOf returns the group of a process, ready for a record.
func (b *Builder) recordsOf(p *process.Info) *group {
	g := b.groupOf(p)
	if g.hasRecords {
		return g
	}
	g.hasRecords, g.recordsResource = true, plog.NewResourceLogs()
	g.recordsResource.SetSchemaUrl(schemaURLs[b.options.Addresses])
	b.describe(p, g.recordsResource.Resource().Attributes())
	scope := g.recordsResource.ScopeLogs().AppendEmpty()
	scope.SetSchemaUrl(schemaURLs[b.options.Addresses])
	b.nameScope(scope.Scope())
	g.recordsSize = growing(logSizer.ResourceLogsSize(g.recordsResource)) + maxPrefix
	return g
}

// spansOf returns the group of a process, ready for a span.
func (b *Builder) spansOf(p *process.Info) *group {
	g := b.groupOf(p)
	if g.hasSpans {
		return g
	}
	g.hasSpans, g.spansResource = true, ptrace.NewResourceSpans()
	g.spansResource.SetSchemaUrl(schemaURLs[b.options.Addresses])
	b.describe(p, g.spansResource.Resource().Attributes())
	scope := g.spansResource.ScopeSpans().AppendEmpty()
	scope.SetSchemaUrl(schemaURLs[b.options.Addresses])
	b.nameScope(scope.Scope())
	g.spans = scope.Spans()
	g.spansSize = growing(spanSizer.ResourceSpansSize(g.spansResource)) + maxPrefix
	return g
}

func (b *Builder) nameScope(scope pcommon.InstrumentationScope) {
	scope.SetName(sound(b.options.ScopeName))
	scope.SetVersion(sound(b.options.ScopeVersion))
}
