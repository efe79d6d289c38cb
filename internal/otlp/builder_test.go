package otlp

import (
	"slices"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// recordsOf and spansOf list the records and spans of all resources of a batch.
func recordsOf(logs plog.Logs) []plog.LogRecord {
	var all []plog.LogRecord
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, r := range scope.LogRecords().All() {
				all = append(all, r)
			}
		}
	}
	return all
}

func spansOf(traces ptrace.Traces) []ptrace.Span {
	var all []ptrace.Span
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, s := range scope.Spans().All() {
				all = append(all, s)
			}
		}
	}
	return all
}

func idOf(t *testing.T, attributes pcommon.Map) string {
	t.Helper()
	id, found := attributes.Get(connectionID)
	if !found {
		t.Fatal("no " + connectionID)
	}
	return id.Str()
}

func TestOpenCloseAndSpanOfAConnectionAgreeAcrossBatches(t *testing.T) {
	b := newBuilder(Options{ConnectionSpans: SpansAlways})
	c := connect()
	b.Opened(c)
	opened, _ := b.Take()
	finByPeer(c)
	b.Closed(c)
	closed, traces := b.Take()

	open, done, span := recordsOf(opened)[0], recordsOf(closed)[0], spansOf(traces)[0]
	if open.TraceID() != span.TraceID() || done.TraceID() != span.TraceID() || span.TraceID().IsEmpty() {
		t.Errorf("trace ids: open %v, close %v, span %v", open.TraceID(), done.TraceID(), span.TraceID())
	}
	if open.SpanID() != span.SpanID() || done.SpanID() != span.SpanID() || span.SpanID().IsEmpty() {
		t.Errorf("span ids: open %v, close %v, span %v", open.SpanID(), done.SpanID(), span.SpanID())
	}
	a, z, s := idOf(t, open.Attributes()), idOf(t, done.Attributes()), idOf(t, span.Attributes())
	if a != s || z != s {
		t.Errorf("connection ids: open %s, close %s, span %s", a, z, s)
	}
	if _, found := span.Attributes().Get(duration); found || !done.Attributes().Remove(duration) {
		t.Error("the record has its duration, and the span its times")
	}
	if !done.Attributes().Equal(span.Attributes()) {
		t.Error("the attributes of log record and span differ")
	}
}

func TestConnectionsOfAProcessShareAResource(t *testing.T) {
	b := newBuilder(Options{})
	client, server := curl(), nginx()
	for range 3 {
		b.Closed(connect(finByPeer, of(client)))
		b.Closed(connect(finByPeer, accepted, of(server)))
	}
	// The same process after exec: another description, another resource.
	b.Closed(connect(finByPeer, of(curl())))
	logs, traces := b.Take()
	if got := logs.ResourceLogs().Len(); got != 3 {
		t.Errorf("%d resources of logs, want 3", got)
	}
	if got := traces.ResourceSpans().Len(); got != 3 {
		t.Errorf("%d resources of spans, want 3", got)
	}
	if got := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().Len(); got != 3 {
		t.Errorf("%d log records of the first process, want 3", got)
	}
}

func TestTakeBeginsANewBatch(t *testing.T) {
	b := newBuilder(Options{})
	p := curl()
	b.Opened(connect(of(p)))
	b.Closed(connect(finByPeer, of(p)))
	b.Failed(connect(finByPeer, of(p)))
	if b.LogRecords() != 3 || b.Spans() != 2 {
		t.Fatalf("%d log records and %d spans, want 3 and 2", b.LogRecords(), b.Spans())
	}
	first, firstTraces := b.Take()
	if b.LogRecords() != 0 || b.Spans() != 0 {
		t.Errorf("%d log records and %d spans after Take", b.LogRecords(), b.Spans())
	}
	b.Closed(connect(finByPeer, of(p)))
	second, secondTraces := b.Take()
	if first.LogRecordCount() != 3 || firstTraces.SpanCount() != 2 {
		t.Error("what was handed over has changed")
	}
	if second.LogRecordCount() != 1 || secondTraces.SpanCount() != 1 || second.ResourceLogs().Len() != 1 {
		t.Error("the second batch is not the second batch")
	}
	third, thirdTraces := b.Take()
	if third.LogRecordCount() != 0 || thirdTraces.SpanCount() != 0 {
		t.Error("an empty batch is not empty")
	}
}

// The caller may reuse a connection after the call.
func TestBuilderKeepsNothingOfAConnection(t *testing.T) {
	b := newBuilder(Options{})
	c := connect(finByPeer)
	b.Closed(c)
	want := plog.NewLogs()
	b.logs.CopyTo(want)
	*c = socket.Connection{Process: c.Process}
	got, _ := b.Take()
	must(t, plogtest.CompareLogs(want, got))
	if b.report.connection != nil {
		t.Error("the connection is still referred to")
	}
}

func TestOnlyTheSignalsThatAreWantedAreBuilt(t *testing.T) {
	const open, closed, failed = eventOpen, eventClose, eventFail
	for _, c := range []struct {
		name           string
		options        Options
		records, spans int
		linked         []string // the log records that point to a span
	}{
		// Whether a connection gets a span of its own is not known when it is opened.
		{"both", Options{Records: RecordAll, Traces: true}, 5, 3, []string{closed, closed, failed}},
		// A record must not point to a span that was not emitted.
		{"logs", Options{Records: RecordAll}, 5, 0, nil},
		{"traces", Options{Traces: true}, 0, 3, nil},
		{"neither", Options{}, 0, 0, nil},
		{"some logs", Options{Records: RecordOpen | RecordFail, Traces: true}, 3, 3, []string{failed}},
		{
			"always", Options{Records: RecordAll, Traces: true, ConnectionSpans: SpansAlways}, 5, 4,
			[]string{open, closed, open, closed, failed},
		},
		{"never", Options{Records: RecordAll, Traces: true, ConnectionSpans: SpansNever}, 5, 1, []string{closed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBuilder(c.options)
			p := curl()
			b.Opened(connect(of(p)))
			b.Closed(connect(finByPeer, of(p)))
			spoke := connect(finByPeer, of(p))
			b.Opened(spoke)
			spoke.Exchanges++
			b.Exchanged(spoke, get(protocol.Client, "200"), 1, 2)
			spoke.Last = socket.LastExchange{TraceID: [16]byte{1}, SpanID: [8]byte{1}}
			b.Closed(spoke)
			b.Failed(connect(finByPeer, of(p)))
			if b.LogRecords() != c.records || b.Spans() != c.spans {
				t.Errorf("%d log records and %d spans", b.LogRecords(), b.Spans())
			}
			logs, traces := b.Take()
			if logs.LogRecordCount() != c.records || traces.SpanCount() != c.spans {
				t.Errorf("%d log records and %d spans handed over", logs.LogRecordCount(), traces.SpanCount())
			}
			var linked []string
			for _, r := range recordsOf(logs) {
				if r.TraceID().IsEmpty() != r.SpanID().IsEmpty() {
					t.Errorf("%s has trace id %v and span id %v", r.EventName(), r.TraceID(), r.SpanID())
				}
				if !r.SpanID().IsEmpty() {
					linked = append(linked, r.EventName())
				}
			}
			if !slices.Equal(linked, c.linked) {
				t.Errorf("%v have spans, want %v", linked, c.linked)
			}
		})
	}
}

func TestARecordPointsToTheLastRequestOfAConnectionWithoutASpan(t *testing.T) {
	for _, traceparent := range []string{"", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"} {
		b := newBuilder(Options{})
		c := connect(finByPeer)
		for range 3 {
			x := get(protocol.Client, "200", traceparent)
			emitExchange(b, c, x)
		}
		b.Closed(c)
		logs, traces := b.Take()
		record, span := recordsOf(logs)[0], spansOf(traces)[2]
		if record.TraceID() != span.TraceID() || record.SpanID() != span.SpanID() {
			t.Errorf("%q: trace id %v, want %v; span id %v, want %v", traceparent, record.TraceID(), span.TraceID(), record.SpanID(), span.SpanID())
		}
	}
}

// Requests that were left out have no spans.
func TestARecordPointsToNoRequestThatWasLeftOut(t *testing.T) {
	b := newBuilder(Options{})
	c := connect(finByPeer)
	c.Exchanges = 3
	b.Closed(c)
	logs, traces := b.Take()
	if record := recordsOf(logs)[0]; !record.TraceID().IsEmpty() || !record.SpanID().IsEmpty() || len(spansOf(traces)) != 0 {
		t.Errorf("trace id %v, span id %v", record.TraceID(), record.SpanID())
	}
}

func TestRequestsAreLinkedToTheSpanOfTheirConnection(t *testing.T) {
	b := newBuilder(Options{ConnectionSpans: SpansAlways})
	conversation(b)
	_, traces := b.Take()
	spans := spansOf(traces)
	connection := spans[len(spans)-1]
	for _, s := range spans[:2] {
		if s.Links().Len() != 1 || s.Links().At(0).TraceID() != connection.TraceID() || s.Links().At(0).SpanID() != connection.SpanID() {
			t.Errorf("%s is not linked", s.Name())
		}
	}
}

func TestRecordsAreObservedNowByDefault(t *testing.T) {
	before := time.Now()
	b := NewBuilder(Options{Records: RecordAll})
	b.Opened(connect())
	logs, _ := b.Take()
	observed := recordsOf(logs)[0].ObservedTimestamp().AsTime()
	if observed.Before(before) || observed.After(time.Now()) {
		t.Errorf("observed at %v", observed)
	}
}

// The wall clock can be set back while a connection is open.
func TestNothingEndsBeforeItStarts(t *testing.T) {
	b := newBuilder(Options{})
	c := connect(finByPeer)
	c.EndedAt = c.StartedAt - 1
	b.Closed(c)
	logs, traces := b.Take()
	span, r := spansOf(traces)[0], recordsOf(logs)[0]
	if span.EndTimestamp() != span.StartTimestamp() || r.Timestamp() != span.EndTimestamp() {
		t.Errorf("span from %v to %v, record at %v", span.StartTimestamp(), span.EndTimestamp(), r.Timestamp())
	}
	if took, _ := r.Attributes().Get(duration); took.Double() != 0 {
		t.Errorf("took %v s", took.Double())
	}
}
