package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/conversation"
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/metrics"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/registry"
	"github.com/socketflow/socketflow/internal/sampling"
	"github.com/socketflow/socketflow/internal/selection"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// path is the way of an event through a shard, from the socket table to what the pipeline is given, without a kernel. It belongs to one host that has
// both ends of each connection.
type path struct {
	table    *socket.Table
	builder  *otlp.Builder     // nil: there is neither a pipeline of traces nor one of logs
	recorder *metrics.Recorder // nil: there is none of metrics
	now      uint64
	next     uint64 // cookie
	spans    int    // delivered
	records  int
	asked    uint64 // requests
}

var _ socket.Sink = (*path)(nil)

func (p *path) Opened(c *socket.Connection) {
	if p.builder != nil {
		p.builder.Opened(c)
	}
}

func (p *path) Closed(c *socket.Connection) {
	if p.recorder != nil {
		p.recorder.Closed(c)
	}
	if p.builder != nil {
		p.builder.Closed(c)
	}
}

func (p *path) Failed(*socket.Connection) {}

func (p *path) Exchanged(c *socket.Connection, x *protocol.Exchange, start, end int64) {
	var tally *metrics.Tally
	if p.recorder != nil {
		tally = p.recorder.Exchanged(c, x, time.Duration(end-start), end)
	}
	if p.builder != nil {
		p.builder.Measured(tally, c, x, start, end)
	}
}

// signals are those that the pipelines of a test take.
type signals struct {
	traces, metrics bool
	sampling        sampling.Policy
}

// newPath leads to the signals, with the receiver's defaults otherwise.
func newPath(tb testing.TB, to signals) *path {
	tb.Helper()
	protocols, err := registry.Configured(registry.Configs(), protocol.Limits{HeadBytes: 64 << 10, Outstanding: 4096})
	require.NoError(tb, err)
	reader, err := process.NewReader(process.Options{ProcRoot: tb.TempDir()}) // without processes
	require.NoError(tb, err)
	p := &path{now: uint64(time.Hour)}
	options := socket.Options{
		Sockets: 1024, Processes: 64, Selection: &selection.Selection{}, KernelCookies: true, Unidentified: !to.traces,
		Conversations: conversation.Options{
			Protocols: protocols, Memory: 64 << 20, Want: func(uint64, event.Want) {}, PayloadLimit: 256 << 10, PayloadBurst: 4 << 20,
		},
	}
	if to.traces {
		ends := trace.NewEnds(2048)
		exchanges, err := trace.NewExchanges(4096, ends, trace.Certain, func(uint64) bool { return true })
		require.NoError(tb, err)
		options.Exchanges, options.Meetings, options.SharedSeed = exchanges, trace.NewMeetings(1), 1
		options.Paired = func(end trace.End, _ *process.Info) { ends.Add(end) }
		p.builder = otlp.NewBuilder(otlp.Options{
			Records: otlp.RecordClose | otlp.RecordFail, Traces: true, Addresses: otlp.AddressStable, ScopeName: "test", Resolve: exchanges.Resolve, Candidates: exchanges.Candidates,
			Tracestate: exchanges.Tracestate, Sampling: to.sampling,
		})
	}
	if to.metrics {
		store := metrics.NewStore(metrics.Options{
			Series: 1000, StaleAfter: time.Minute, Alive: func(process.ID) bool { return true },
			Text: func(s string) string { return s }, Errno: func(uint32) string { return "E" },
		}, 0)
		p.recorder = store.Recorder(metrics.Peers{Settled: func(uint64) bool { return true }, Now: func() uint64 { return p.now }})
	}
	p.table, err = socket.NewTable(options, reader, p)
	require.NoError(tb, err)
	p.tick()
	return p
}

func (p *path) tick() {
	p.table.Tick(socket.Reading{Before: p.now, Wall: time.Unix(1_800_000_000, int64(p.now)), After: p.now})
}

// deliver takes what the builder holds, as a pipeline does.
func (p *path) deliver() {
	if p.recorder != nil {
		p.recorder.Settle(0)
	}
	if p.builder != nil {
		logs, traces := p.builder.Take()
		p.records += logs.LogRecordCount()
		p.spans += traces.SpanCount()
	}
}

// exchanged is how many exchanges were seen at both ends.
func (p *path) exchanged() (pairs uint64) {
	for i := range p.table.Stats().Exchanges {
		pairs += p.table.Stats().Exchanges[i].Load()
	}
	return pairs / 2
}

// connection is one whose both ends are observed. Its events are reused.
type connection struct {
	path    *path
	port    uint16
	cookies [2]uint64 // of the client's end, and the server's
	carried [2]uint64 // bytes, from the client and from the server
	opened  uint64
	event   event.Event
}

var (
	owners = [2]process.ID{{PID: 100, Start: 7}, {PID: 200, Start: 7}}
	roles  = [2]event.Role{event.RoleClient, event.RoleServer}
	known  = [2]event.RoleSource{event.RoleSourceConnect, event.RoleSourceAccept}
)

func (p *path) open() *connection {
	p.next += 2
	c := &connection{path: p, port: uint16(20000 + p.next%20000), cookies: [2]uint64{p.next, p.next + 1}}
	p.reopen(c)
	return c
}

// reopen opens another connection with the memory of one that has been closed.
func (p *path) reopen(c *connection) {
	p.next += 2
	c.cookies, c.carried, c.opened = [2]uint64{p.next, p.next + 1}, [2]uint64{}, p.now
	for end := range c.cookies {
		e := c.begin(event.KindOpen, end)
		e.Started, e.Established = p.now, p.now
		p.table.Handle(e)
	}
	p.table.Handle(c.begin(event.KindAccept, 1))
}

// begin begins an event of an end.
func (c *connection) begin(kind event.Kind, end int) *event.Event {
	c.path.now += uint64(time.Microsecond)
	flow := event.Flow{
		Cookie: c.cookies[end], Role: roles[end], RoleSource: known[end], NetNS: 4026531840,
		Local: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), c.port), Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 2}), 8080),
	}
	first := [event.Directions]uint32{uint32(c.cookies[0]), uint32(c.cookies[0]) ^ 0x5a5a5a5a}
	if end == 1 {
		flow.Local, flow.Remote = flow.Remote, flow.Local
		first[event.Sent], first[event.Received] = first[event.Received], first[event.Sent]
	}
	flow.Initial = first
	if end == 0 {
		flow.Initial[event.Sent]-- // its SYN
	}
	c.event = event.Event{Kind: kind, Time: c.path.now, Owner: owners[end], Flow: flow, Sequence: first}
	return &c.event
}

// send is a message from an end to the other one.
func (c *connection) send(from int, message []byte) {
	for _, end := range [2]int{from, 1 - from} {
		e := c.begin(event.KindData, end)
		e.Data = event.Data{Position: c.carried[from], Length: uint32(len(message)), Payload: message, TID: owners[end].PID, Began: e.Time}
		if end != from {
			e.Data.Direction = event.Received
		}
		c.path.table.Handle(e)
	}
	c.carried[from] += uint64(len(message))
}

func (c *connection) close() {
	for end := range c.cookies {
		e := c.begin(event.KindClose, end)
		e.Started, e.Established = c.opened, c.opened
		e.Ending = event.Ending{
			LastState: event.StateLastAck, FINReceived: true, BytesSent: c.carried[end], BytesReceived: c.carried[1-end], SegmentsSent: 3, SegmentsReceived: 3,
			RTT: 30, Position: [event.Directions]uint64{c.carried[end], c.carried[1-end]},
		}
		if end == 0 {
			e.Ending.LastState = event.StateFinWait2
		}
		c.path.table.Handle(e)
	}
}

// wireDialogue is a request and its response in a protocol.
type wireDialogue struct{ request, response []byte }

const rest = "Host: shop.test:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n\r\n"

var (
	response   = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	overHTTP   = wireDialogue{[]byte("GET /api/v1/items/42?page=2 HTTP/1.1\r\n" + rest), response}
	notSampled = wireDialogue{
		[]byte("GET /api/v1/items/42?page=2 HTTP/1.1\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\n" + rest), response,
	}
	overRedis = wireDialogue{[]byte("*2\r\n$3\r\nGET\r\n$7\r\nuser:42\r\n"), []byte("$5\r\nhello\r\n")}
)

func (c *connection) ask(d wireDialogue) {
	c.path.asked++
	c.send(0, d.request)
	c.send(1, d.response)
}

// perBatch is how many requests, or connections, come between two deliveries.
const perBatch = 64

// allocations is how many allocations one step takes on average, deliveries included, once tables and buffers have grown.
func (p *path) allocations(step func()) float64 {
	batch := func() {
		for range perBatch {
			step()
		}
		p.tick()
		p.deliver()
	}
	for range 50 {
		batch()
	}
	return testing.AllocsPerRun(10, batch) / perBatch // the race detector makes each take long
}

func (p *path) requests(d wireDialogue) float64 {
	c := p.open()
	return p.allocations(func() { c.ask(d) })
}

func (p *path) connections(d wireDialogue) float64 {
	c := p.open()
	c.ask(d) // without a request it would have a span of its own
	c.close()
	return p.allocations(func() {
		p.reopen(c)
		c.ask(d)
		c.close()
	})
}

// A pipeline of metrics alone allocates nothing for a request or a connection, and a span that sampling leaves out hardly more. What is emitted takes one
// allocation for each value of an attribute, which is how pdata keeps them.
func TestAllocationsAreBounded(t *testing.T) {
	all, none := sampling.Policy{HonourParent: true}, sampling.Policy{Threshold: sampling.KeepNone}
	for name, c := range map[string]struct {
		to       signals
		dialogue wireDialogue
		emitted  bool // spans of the requests
		// request and connection are how many allocations a request takes, and a connection that carries one, both ends together.
		request, connection float64
	}{
		"HTTP":                     {signals{traces: true, sampling: all}, overHTTP, true, 54, 119},
		"Redis":                    {signals{traces: true, sampling: all}, overRedis, true, 51, 119},
		"HTTP, left out by ratio":  {signals{traces: true, sampling: none}, overHTTP, false, 4, 71},
		"HTTP, left out by parent": {signals{traces: true, sampling: all}, notSampled, false, 4, 71},
		"Redis, left out by ratio": {signals{traces: true, sampling: none}, overRedis, false, 4, 71},
		"HTTP, metrics alone":      {signals{metrics: true}, overHTTP, false, 1, 1},
		"Redis, metrics alone":     {signals{metrics: true}, overRedis, false, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			requests, connections := newPath(t, c.to), newPath(t, c.to)
			request, connection := requests.requests(c.dialogue), connections.connections(c.dialogue)
			t.Logf("a request takes %.2f allocations, a connection %.2f", request, connection)
			assert.LessOrEqual(t, request, c.request, "of a request")
			assert.LessOrEqual(t, connection, c.connection, "of a connection")
			assert.Equal(t, c.to.traces, connections.records > 0, "records")
			for _, p := range []*path{requests, connections} {
				assert.Equal(t, c.emitted, p.spans > 0, "spans")
				assert.Equal(t, p.asked, p.exchanged(), "both ends of all requests were seen")
			}
		})
	}
}
