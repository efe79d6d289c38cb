package otlp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/trace"
)

func TestChildHasTheTracestateOfItsTrace(t *testing.T) {
	threshold := sampling.Threshold(3 << 54).State()
	child := trace.Parent{Trace: lowTrace, Span: [8]byte{8}, Flags: 1, Source: trace.SourceThread, Wire: true, State: threshold}
	for name, test := range map[string]struct {
		change func(*trace.Parent)
		of     string // of the trace
		own    string
		want   string
	}{
		"as it is":                     {func(*trace.Parent) {}, "a=1,ot=th:c;x:y,b=2", "", "a=1,ot=th:c;x:y,b=2"},
		"none":                         {func(p *trace.Parent) { p.State = sampling.State{} }, "", "", ""},
		"it has one":                   {func(*trace.Parent) {}, "a=1,ot=th:c", "b=2", "ot=th:c,b=2"},
		"it is forgotten":              {func(*trace.Parent) {}, "", "", "ot=th:c"},
		"its own context has none":     {func(p *trace.Parent) { p.Source, p.State = trace.SourceWire, sampling.State{} }, "a=1", "", ""},
		"the trace begins here":        {func(p *trace.Parent) { p.Wire, p.State = false, sampling.State{} }, "a=1", "", ""},
		"it cannot be one":             {func(p *trace.Parent) { p.State = sampling.State{} }, "a=\n", "", ""},
		"the batch has no room for it": {func(*trace.Parent) {}, "a=" + strings.Repeat("1", 16<<10), "", "ot=th:c"},
	} {
		place := child
		test.change(&place)
		b := newBuilder(Options{
			Bounds:     Bounds{Bytes: 8 << 10},
			Resolve:    func(trace.ExchangeKey) (trace.Parent, bool) { return place, true },
			Tracestate: func(*trace.Parent) string { return test.of },
		})
		x := get(protocol.Client, "200")
		x.Parent = protocol.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Flags: 1, State: test.own}
		exchanged(x, asking)(b)
		_, traces := b.Take()
		assert.Equal(t, test.want, spansOf(traces)[0].TraceState().AsRaw(), name)
		assert.LessOrEqual(t, spanSizer.TracesSize(traces), 8<<10)
	}
}
