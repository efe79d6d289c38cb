package socket

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/instrumented"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/trace"
)

// newInstrumented is a table whose connections speak the transcript's protocol, which is as the test says.
func newInstrumented(t *testing.T, of protocol.Protocol, keys ...protocol.Key) (*heard, *instrumented.Processes) {
	t.Helper()
	h := &heard{parser: &transcript{}, wants: map[uint64]event.Want{}}
	processes := instrumented.New(64)
	of.Name, of.Transports, of.Detect = "transcript", protocol.Streams, detectTranscript
	of.Keys = func(any) []protocol.Key { return keys }
	of.Start = func(*protocol.Settings) func(*protocol.Session) protocol.Parser {
		return func(c *protocol.Session) protocol.Parser {
			h.parser.sink = c.Sink
			return h.parser
		}
	}
	configured, err := protocol.Configure(of, nil, protocol.Limits{})
	require.NoError(t, err)
	exchanges, err := trace.NewExchanges(1024, trace.NewEnds(1024), trace.Certain, func(uint64) bool { return true })
	require.NoError(t, err)
	h.table, h.sink = newTestTable(t, func(o *Options) {
		o.Instrumented, o.Exchanges = processes, exchanges
		o.Conversations = conversation.Options{
			Protocols: []protocol.Configured{configured}, Memory: 1 << 20, Want: func(cookie uint64, w event.Want) { h.wants[cookie] = w },
		}
	})
	return h, processes
}

var aContext = protocol.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Flags: 1}

func TestWhatAProcessMakesSpansOfHasNoneHere(t *testing.T) {
	database := protocol.Key{Name: databaseKey}
	for name, c := range map[string]struct {
		of      protocol.Protocol
		keys    []protocol.Key
		serves  bool
		parent  protocol.TraceContext
		is      bool // the process is known to make spans
		without bool // a span
	}{
		"it makes none":                  {parent: aContext},
		"it sends, and has named a span": {is: true, parent: aContext, without: true},
		"it sends, and has named none":   {is: true},
		"it serves":                      {is: true, serves: true, without: true},
		"it asks a database":             {is: true, keys: []protocol.Key{database}, without: true},
		"it asks a name service":         {is: true, of: protocol.Protocol{Resolves: true}, parent: aContext},
		"it is a name service":           {is: true, serves: true, of: protocol.Protocol{Resolves: true}},
	} {
		h, processes := newInstrumented(t, c.of, c.keys...)
		if c.is {
			processes.Add(owner(1))
		}
		var without []bool
		var closed Connection
		h.table.sink = exchanged{sinkFuncs{func(*Connection) {}, func(c *Connection) { closed = *c }}, func(o *Connection) { without = append(without, o.Unspanned) }}
		h.parser.parent = c.parent
		events := []*event.Event{clientOpen(1, 10), sent(0, "ask>a"), received(0, ">ans"), clientClose(1, 10, 20)}
		if c.serves {
			events = []*event.Event{serverOpen(1, 10), serverAccept(1, 11), received(0, "ask>a"), sent(0, ">ans"), serverClose(1, 10, 20)}
		}
		for _, e := range events {
			h.table.Handle(e)
		}
		h.table.Flush(99)
		assert.Equal(t, []bool{c.without}, without, name)
		assert.Equal(t, c.without, h.table.Stats().Unspanned.Load() == 1, name)
		assert.EqualValues(t, 1, closed.Exchanges, name)
		if c.without {
			assert.Equal(t, LastExchange{TraceID: c.parent.TraceID, SpanID: c.parent.SpanID}, closed.Last, "%s: the record has no span that is not emitted", name)
		}
	}
}

// exchanged is a Sink that also receives exchanges.
type exchanged struct {
	sinkFuncs
	of func(*Connection)
}

func (e exchanged) Exchanged(c *Connection, _ *protocol.Exchange, _, _ int64) { e.of(c) }

func TestAProcessIsKnownToMakeSpansOnceItHasExportedSome(t *testing.T) {
	export := protocol.Exchange{Telemetry: true, CarriesSpans: true, ResponseStart: protocol.Stamp{Time: 1}}
	for name, c := range map[string]struct {
		change func(*protocol.Exchange)
		omits  bool
		server bool
		want   bool
	}{
		"it is emitted":             {change: func(*protocol.Exchange) {}, want: true},
		"it is left out":            {change: func(*protocol.Exchange) {}, omits: true, want: true},
		"the end that was asked":    {change: func(*protocol.Exchange) {}, server: true},
		"of metrics or logs":        {change: func(x *protocol.Exchange) { x.CarriesSpans = false }, omits: true},
		"it was refused":            {change: func(x *protocol.Exchange) { x.Error = "503" }, omits: true},
		"the connection has broken": {change: func(x *protocol.Exchange) { x.Errno = 104 }, omits: true},
		"it was not answered":       {change: func(x *protocol.Exchange) { x.ResponseStart.Time = 0 }, omits: true},
	} {
		h, processes := newInstrumented(t, protocol.Protocol{})
		if c.server {
			h.table.Handle(serverOpen(1, 10))
			h.table.Handle(serverAccept(1, 11))
			h.table.Handle(received(0, "ask>a"))
		} else {
			h.table.Handle(clientOpen(1, 10))
			h.table.Handle(sent(0, "ask>a"))
		}
		x := export
		c.change(&x)
		if l := &h.table.connections[1].layers[plain]; c.omits {
			l.Omit(&x)
		} else {
			l.Emit(1, &x)
		}
		assert.Equal(t, c.want, processes.Has(owner(1)), name)
		h.table.Handle(&event.Event{Kind: event.KindExit, Owner: owner(1)})
		assert.Zero(t, processes.Count(), name)
	}
}

// Most programs export to a collector on their host, which may be this one: its other ends are left out, but for that.
func TestExportsToTheCollectorItselfAreSeen(t *testing.T) {
	h, processes := newInstrumented(t, protocol.Protocol{})
	h.table.opts.OtherEndIsOwn = func(*event.Flow, uint64) (yes, sure bool) { return true, true }
	h.parser.export, h.parser.held = true, 100
	h.table.Handle(clientOpen(1, 10))
	h.table.Handle(sent(0, "ask>a"))
	assert.NotEqual(t, uint64(event.Never), h.wants[1].Until[event.Sent])
	h.table.Handle(received(0, ">ans"))
	assert.True(t, processes.Has(owner(1)))
	held := func() int64 {
		h.table.Tick(Reading{Before: 200, Wall: time.Unix(1000, 0), After: 200})
		return h.table.Stats().Held.Load()
	}
	assert.Positive(t, held())
	h.table.Handle(sent(5, "ask>b"))
	assert.Equal(t, uint64(event.Never), h.wants[1].Until[event.Sent], "nothing more is of interest")
	h.table.Handle(clientClose(1, 10, 20))
	h.table.Flush(99)
	assert.Empty(t, h.sink.emitted())
	assert.Zero(t, held(), "its parser's memory is given back")
}
