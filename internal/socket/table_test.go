package socket

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/selection"
)

const second = uint64(time.Second)

// report is one call of a sink, reduced to what the tests compare.
type report struct {
	what    string
	id      uint64
	serial  uint64
	pid     uint32
	capture Capture
	end     End
}

type recorder struct{ reports []report }

func (r *recorder) add(what string, c *Connection) {
	r.reports = append(r.reports, report{what, c.ID, c.Serial, c.Process.PID, c.Capture, c.End})
}
func (r *recorder) Opened(c *Connection) { r.add("opened", c) }
func (r *recorder) Closed(c *Connection) { r.add("closed", c) }
func (r *recorder) Failed(c *Connection) { r.add("failed", c) }
func (r *recorder) Exchanged(c *Connection, _ *protocol.Exchange, _, _ int64) {
	r.add("exchanged", c)
}

// emitted returns the reports without their ids, as text.
func (r *recorder) emitted() []string {
	var out []string
	for _, t := range r.reports {
		out = append(out, fmt.Sprintf("%s by %d capture %d end %v", t.what, t.pid, t.capture, t.end))
	}
	return out
}

func newTestTable(t *testing.T, change func(*Options)) (*Table, *recorder) {
	t.Helper()
	reader, err := process.NewReader(process.Options{ProcRoot: t.TempDir()}) // without processes
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{
		Sockets: 16, Processes: 16, Selection: &selection.Selection{},
		SetRuleMatch: func(process.ID, uint32, uint64) {},
	}
	if change != nil {
		change(&opts)
	}
	sink := &recorder{}
	table, err := NewTable(opts, reader, sink)
	if err != nil {
		t.Fatal(err)
	}
	table.Tick(Reading{Before: 1, Wall: time.Unix(1000, 0), After: 1})
	return table, sink
}

func owner(pid uint32) process.ID { return process.ID{PID: pid, Start: 7} }

func flowOf(cookie uint64, role event.Role, source event.RoleSource) event.Flow {
	return event.Flow{
		Cookie: cookie, Role: role, RoleSource: source,
		Local: netip.MustParseAddrPort("127.0.0.1:258"), Remote: netip.MustParseAddrPort("127.0.0.2:515"),
	}
}

// The events of one connection, on each side.
func clientOpen(cookie, at uint64) *event.Event {
	return &event.Event{Kind: event.KindOpen, Time: at, Owner: owner(1), Started: at,
		Flow: flowOf(cookie, event.RoleClient, event.RoleSourceConnect)}
}

func clientClose(cookie, opened, at uint64) *event.Event {
	return &event.Event{Kind: event.KindClose, Time: at, Owner: owner(1), Started: opened, Established: opened,
		Flow:   flowOf(cookie, event.RoleClient, event.RoleSourceConnect),
		Ending: event.Ending{LastState: event.StateFinWait2, FINReceived: true}}
}

func unixClose(cookie, at uint64, ending event.Ending) *event.Event {
	e := clientClose(cookie, 10, at)
	e.Ending = ending
	return e
}

// The owner of the server's events is the listener's, 2; the acceptor is 3.
func serverOpen(cookie, at uint64) *event.Event {
	return &event.Event{Kind: event.KindOpen, Time: at, Owner: owner(2), Started: at,
		Flow: flowOf(cookie, event.RoleServer, event.RoleSourceAccept)}
}

func serverAccept(cookie, at uint64) *event.Event {
	return &event.Event{Kind: event.KindAccept, Time: at, Owner: owner(3),
		Flow: flowOf(cookie, event.RoleServer, event.RoleSourceAccept)}
}

func serverClose(cookie, opened, at uint64) *event.Event {
	return &event.Event{Kind: event.KindClose, Time: at, Owner: owner(2), Started: opened, Established: opened,
		Flow:   flowOf(cookie, event.RoleServer, event.RoleSourceAccept),
		Ending: event.Ending{LastState: event.StateLastAck, FINReceived: true}}
}

func fail(cookie, at uint64, errno uint32) *event.Event {
	return &event.Event{Kind: event.KindFail, Time: at, Owner: owner(1), Started: at - 1,
		Flow: flowOf(cookie, event.RoleClient, event.RoleSourceConnect), Ending: event.Ending{Errno: errno}}
}

func connectError(cookie, at uint64, errno uint32) *event.Event {
	return &event.Event{Kind: event.KindConnectError, Time: at, Owner: owner(1),
		Flow: flowOf(cookie, event.RoleClient, event.RoleSourceConnect), Ending: event.Ending{Errno: errno}}
}

// over changes the transport of an event.
func over(transport event.Transport, e *event.Event) *event.Event {
	e.Flow.Transport = transport
	if transport == event.UnixStream {
		e.Flow.Unix = &event.Unix{}
	}
	return e
}

func existing(cookie, at uint64) *event.Event {
	return &event.Event{Kind: event.KindExisting, Time: at, Owner: owner(1), Existing: true,
		Flow: flowOf(cookie, event.RoleClient, event.RoleSourceListener), Ending: event.Ending{LastState: event.StateEstablished}}
}

func existingClose(cookie, at uint64) *event.Event {
	e := clientClose(cookie, 0, at)
	e.Existing = true
	return e
}

func TestTableEmitsReports(t *testing.T) {
	const (
		finLocal  = "{1 1}"
		finRemote = "{1 2}"
		rstRemote = "{2 2}"
		none      = "{0 0}"
	)
	tick := func(at uint64) *event.Event { return &event.Event{Time: at} }
	for name, test := range map[string]struct {
		events []*event.Event // one without a kind is a tick
		want   []string
	}{
		"a client's connection": {
			[]*event.Event{clientOpen(1, 10), clientClose(1, 10, 20)},
			[]string{"opened by 1 capture 0 end " + none, "closed by 1 capture 0 end " + finLocal},
		},
		"an accepted connection, under the process that accepts it": {
			[]*event.Event{serverOpen(1, 10), serverAccept(1, 11), serverClose(1, 10, 20)},
			[]string{"opened by 3 capture 0 end " + none, "closed by 3 capture 0 end " + finRemote},
		},
		"a connection accepted after its end, as one": {
			[]*event.Event{serverOpen(1, 10), serverClose(1, 10, 20), serverAccept(1, 30)},
			[]string{"opened by 3 capture 0 end " + none, "closed by 3 capture 0 end " + finRemote},
		},
		"a connection that is not accepted, under its listener's owner after a wait": {
			[]*event.Event{serverOpen(1, 10), tick(10 + 2*second)},
			[]string{"opened by 2 capture 0 end " + none},
		},
		"nothing of a connection that still may be accepted": {
			[]*event.Event{serverOpen(1, 10), tick(10 + second/2)}, nil,
		},
		"a connection that ends in the backlog, under its listener's owner": {
			[]*event.Event{serverOpen(1, 10), serverClose(1, 10, 20), tick(20 + 2*second)},
			[]string{"opened by 2 capture 0 end " + none, "closed by 2 capture 0 end " + finRemote},
		},
		"a late accept's process from then on": {
			[]*event.Event{serverOpen(1, 10), tick(10 + 2*second), serverAccept(1, 3*second), serverClose(1, 10, 4*second)},
			[]string{"opened by 2 capture 0 end " + none, "closed by 3 capture 0 end " + finRemote},
		},
		"a close whose open was lost, as a gap": {
			[]*event.Event{clientClose(1, 10, 20)},
			[]string{"closed by 1 capture 1 end " + finLocal},
		},
		"an accept whose open was lost, as a gap": {
			[]*event.Event{serverAccept(1, 11), serverClose(1, 10, 20)},
			[]string{"opened by 3 capture 1 end " + none, "closed by 3 capture 1 end " + finRemote},
		},
		"a refused connect once, whatever connect returns": {
			[]*event.Event{fail(1, 10, errnoConnRefused), connectError(1, 11, errnoConnRefused)},
			[]string{"failed by 1 capture 0 end " + rstRemote},
		},
		"a second failure of the same socket": {
			[]*event.Event{fail(1, 10, errnoConnRefused), connectError(1, 11, errnoConnRefused), connectError(1, 12, 101)},
			[]string{"failed by 1 capture 0 end " + rstRemote, "failed by 1 capture 0 end {4 0}"},
		},
		"connects that failed before their sockets had an identity, each": {
			[]*event.Event{connectError(0, 10, 101), connectError(0, 11, 101)},
			[]string{"failed by 1 capture 0 end {4 0}", "failed by 1 capture 0 end {4 0}"},
		},
		"a connect given up": {
			[]*event.Event{fail(1, 10, 0)},
			[]string{"failed by 1 capture 0 end {5 1}"},
		},
		"an older connection, as joined midstream": {
			[]*event.Event{existing(1, 10), existingClose(1, 20)},
			[]string{"opened by 1 capture 2 end " + none, "closed by 1 capture 2 end " + finLocal},
		},
		"the close of an older connection that was not listed, as joined midstream": {
			[]*event.Event{existingClose(1, 20)},
			[]string{"closed by 1 capture 2 end " + finLocal},
		},
		"a Unix socket's connection, whose end the peer has caused": {
			[]*event.Event{over(event.UnixStream, clientOpen(1, 10)), over(event.UnixStream, unixClose(1, 20, event.Ending{}))},
			[]string{"opened by 1 capture 0 end " + none, "closed by 1 capture 0 end {1 2}"},
		},
		"a Unix socket's connection, whose end the peer has caused, by system calls": {
			[]*event.Event{
				over(event.UnixStream, clientOpen(1, 10)),
				over(event.UnixStream, unixClose(1, 20, event.Ending{LastState: event.StateLastAck, FINReceived: true})),
			},
			[]string{"opened by 1 capture 0 end " + none, "closed by 1 capture 0 end {1 2}"},
		},
		"a Unix socket's connection, whose owner has closed it, by system calls": {
			[]*event.Event{
				over(event.UnixStream, clientOpen(1, 10)),
				over(event.UnixStream, unixClose(1, 20, event.Ending{LastState: event.StateFinWait2})),
			},
			[]string{"opened by 1 capture 0 end " + none, "closed by 1 capture 0 end " + finLocal},
		},
		"a Unix socket's connection, of which an error shows that the peer is gone": {
			[]*event.Event{
				over(event.UnixStream, clientOpen(1, 10)),
				over(event.UnixStream, unixClose(1, 20, event.Ending{LastState: event.StateFinWait2, Errno: errnoPipe})),
			},
			[]string{"opened by 1 capture 0 end " + none, "closed by 1 capture 0 end {1 2}"},
		},
		"a Unix socket's connection, whose end the peer has seen": {
			[]*event.Event{
				over(event.UnixStream, serverOpen(1, 10)), // nothing waits for an accept
				over(event.UnixStream, &event.Event{Kind: event.KindPeerClose, Time: 20, Flow: event.Flow{Cookie: 1}}),
				over(event.UnixStream, &event.Event{Kind: event.KindPeerClose, Time: 20, Flow: event.Flow{Cookie: 2}}),
			},
			[]string{"opened by 2 capture 0 end " + none, "closed by 2 capture 0 end {1 1}"},
		},
		"a UDP flow": {
			[]*event.Event{over(event.UDP, serverOpen(1, 10)), over(event.UDP, serverClose(1, 10, 20))},
			[]string{"opened by 2 capture 0 end " + none, "closed by 2 capture 0 end {6 0}"},
		},
		"a socket's second connection as another": {
			[]*event.Event{clientOpen(1, 10), clientClose(1, 10, 20), clientOpen(1, 30), clientClose(1, 30, 40)},
			[]string{
				"opened by 1 capture 0 end " + none, "closed by 1 capture 0 end " + finLocal,
				"opened by 1 capture 0 end " + none, "closed by 1 capture 0 end " + finLocal,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			table, sink := newTestTable(t, nil)
			for _, e := range test.events {
				if e.Kind == event.KindNone {
					table.Tick(Reading{Before: e.Time, Wall: time.Unix(1000, int64(e.Time)), After: e.Time})
				} else {
					table.Handle(e)
				}
			}
			if got := sink.emitted(); !reflect.DeepEqual(got, test.want) {
				t.Errorf("emitted\n%q\nwant\n%q", got, test.want)
			}
		})
	}
}

func TestReportsOfAConnectionAgree(t *testing.T) {
	table, sink := newTestTable(t, nil)
	for _, e := range []*event.Event{
		clientOpen(1, 10), clientClose(1, 10, 20), clientOpen(1, 30), clientClose(1, 30, 40), clientOpen(2, 10),
	} {
		table.Handle(e)
	}
	r := sink.reports
	if r[0].id != r[1].id || r[2].id != r[3].id {
		t.Errorf("open and close differ in identity: %x", r)
	}
	if r[0].id == r[2].id || r[0].id == r[4].id {
		t.Errorf("different connections share an identity: %x", r)
	}
}

func TestFlushEmitsWaitingConnections(t *testing.T) {
	table, sink := newTestTable(t, nil)
	table.Handle(serverOpen(1, 10))
	table.Handle(serverOpen(2, 11))
	table.Handle(serverClose(2, 11, 12))
	table.Flush(99)
	want := []string{
		"opened by 2 capture 0 end {0 0}", "opened by 2 capture 0 end {0 0}", "closed by 2 capture 0 end {1 2}",
	}
	if got := sink.emitted(); !reflect.DeepEqual(got, want) {
		t.Errorf("emitted %q, want %q", got, want)
	}
	if n := table.Stats().Unaccepted.Load(); n != 2 {
		t.Errorf("%d unaccepted connections counted, want 2", n)
	}
}

func TestExcludedConnectionsAreNotEmitted(t *testing.T) {
	matched := map[uint32]uint64{}
	chosen, err := selection.New([]selection.Rule{{PID: 3}, {Exclude: true, RemotePort: ports.Range{Low: 515, High: 515}, PID: 1}})
	if err != nil {
		t.Fatal(err)
	}
	table, sink := newTestTable(t, func(o *Options) {
		o.Selection = chosen
		o.SetRuleMatch = func(id process.ID, _ uint32, rules uint64) { matched[id.PID] = rules }
	})
	for _, e := range []*event.Event{
		clientOpen(1, 10), clientClose(1, 10, 20), fail(2, 30, errnoConnRefused), // process 1: excluded
		serverOpen(3, 10), serverAccept(3, 11), serverClose(3, 10, 20), // accepted by 3: included
		serverOpen(4, 10), serverClose(4, 10, 20), // of listener 2: not included
	} {
		table.Handle(e)
	}
	table.Flush(99)
	want := []string{"opened by 3 capture 0 end {0 0}", "closed by 3 capture 0 end {1 2}"}
	if got := sink.emitted(); !reflect.DeepEqual(got, want) {
		t.Errorf("emitted %q, want %q", got, want)
	}
	if want := map[uint32]uint64{1: 2, 2: 0, 3: 1}; !reflect.DeepEqual(matched, want) {
		t.Errorf("the kernel got %v, want %v", matched, want)
	}
}

func TestTimesOfAConnectionAgree(t *testing.T) {
	var open, closed Connection
	table, _ := newTestTable(t, nil)
	table.sink = sinkFuncs{func(c *Connection) { open = *c }, func(c *Connection) { closed = *c }}
	table.Tick(Reading{Before: 5 * second, Wall: time.Unix(1000, 0), After: 5 * second})
	table.Handle(clientOpen(1, 6*second))
	table.Tick(Reading{Before: 7 * second, Wall: time.Unix(2000, 0), After: 7 * second}) // the wall clock was set
	table.Handle(clientClose(1, 6*second, 8*second))
	if open.StartedAt != time.Unix(1001, 0).UnixNano() || closed.StartedAt != open.StartedAt {
		t.Errorf("started at %d when opened, at %d when closed", open.StartedAt, closed.StartedAt)
	}
	if d := closed.EndedAt - closed.StartedAt; d != int64(2*second) {
		t.Errorf("lasted %v, want 2s", time.Duration(d))
	}
}

type sinkFuncs struct{ opened, closed func(*Connection) }

func (s sinkFuncs) Opened(c *Connection) { s.opened(c) }
func (s sinkFuncs) Closed(c *Connection) { s.closed(c) }
func (s sinkFuncs) Failed(*Connection)   {}

func (s sinkFuncs) Exchanged(*Connection, *protocol.Exchange, int64, int64) {}

func TestNoAllocationPerConnection(t *testing.T) {
	table, _ := newTestTable(t, func(o *Options) {
		o.Conversations.Protocols = []protocol.Configured{{Protocol: protocol.Protocol{
			Transports: protocol.Streams,
			Detect:     func(*protocol.Sample) protocol.Confidence { return protocol.No },
			Start:      func(*protocol.Settings) func(*protocol.Session) protocol.Parser { return nil },
		}}}
		o.Conversations.Want = func(uint64, event.Want) {}
	})
	table.sink = sinkFuncs{func(*Connection) {}, func(*Connection) {}}
	open, accept, closed := serverOpen(1, 10), serverAccept(1, 11), serverClose(1, 10, 20)
	once := func() {
		table.Handle(open)
		table.Handle(accept)
		table.Handle(closed)
		table.expire(^uint64(0))
	}
	once()
	if n := testing.AllocsPerRun(1000, once); n != 0 {
		t.Errorf("%v allocations per connection", n)
	}
}
