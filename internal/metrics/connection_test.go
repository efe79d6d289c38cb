package metrics

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/peername"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
	"github.com/socketflow/socketflow/internal/trace"
)

// ended is a connection that a client has made, with the service cart.
func ended(change ...func(*socket.Connection)) *socket.Connection {
	c := calling(shop(7))
	c.Peer = &process.Info{ServiceName: "cart"}
	c.StartedAt, c.OpenedAt, c.EndedAt = second, second+2e6, 3*second
	c.Carried = [event.Directions]uint64{100, 2000}
	c.Segments = socket.Segments{Sent: 5, Received: 6, Retransmits: 1, RTT: 1500, MinRTT: 900}
	for _, do := range change {
		do(c)
	}
	return c
}

const ofCart = "7 socketflow.connection.opened network.transport=tcp socketflow.role.name=client server.port=8080 service.peer.name=cart"

func TestConnectionsThatHaveEnded(t *testing.T) {
	s := NewStore(optionsFor(), 0)
	r := s.Recorder(nobody)
	r.Closed(ended())
	r.Closed(ended(func(c *socket.Connection) { c.End = socket.End{Way: socket.WayRST, By: socket.SideRemote} }))
	r.Closed(ended(func(c *socket.Connection) { c.Capture, c.PeerLookup = socket.CaptureJoinedMidstream, time.Second }))
	r.Closed(ended(func(c *socket.Connection) { c.PeerLookup, c.Handshake = 30*time.Millisecond, 5*time.Millisecond }))
	r.HandOver(second, nil)
	x := collect(s, second)[ofCart]
	for instrument, want := range map[int]float64{
		opened: 3, lasted: 6, connecting: 0.006, bytesSent: 400, bytesReceived: 8000, segmentsSent: 20, segmentsReceived: 24, retransmits: 4,
		roundTrip: 0.006, minRoundTrip: 0.0036, resetsReceived: 1, resetsSent: 0, resolving: 0.03, handshake: 0.005,
	} {
		assert.InDelta(t, want, x.points[instrument].Sum, 1e-9, connections.Instruments[instrument].Name)
	}
	assert.EqualValues(t, 3, x.points[lasted].Count, "how long one that is older lasted is not known")
	assert.EqualValues(t, 1, x.points[resolving].Count, "the others have not waited for DNS")
	assert.EqualValues(t, 1, x.points[handshake].Count, "the others have no TLS")
}

func TestAttemptsThatFailed(t *testing.T) {
	s := NewStore(optionsFor(), 0)
	r := s.Recorder(nobody)
	for _, errno := range []uint32{111, 111, 110} {
		r.Failed(ended(func(c *socket.Connection) { c.Peer, c.Errno = nil, errno }))
	}
	r.Failed(ended(func(c *socket.Connection) {
		c.Peer, c.End = nil, socket.End{Way: socket.WayCanceled, By: socket.SideLocal}
	}))
	r.HandOver(second, nil)
	all := collect(s, second)
	const of = "7 socketflow.connection.failed network.transport=tcp socketflow.role.name=client server.port=8080 error.type="
	for name, want := range map[string]float64{"E111": 2, "E110": 1, "canceled": 1} {
		assert.Equal(t, want, all[of+name].sum, name)
	}
	assert.Len(t, all, 3)
}

// TestOpenConnectionsAreCountedOnce: what is open is a level, and what was opened a sum.
func TestOpenConnectionsAreCountedOnce(t *testing.T) {
	s := NewStore(optionsFor(), 0)
	shards := []*Recorder{s.Recorder(nobody), s.Recorder(nobody)}
	counted := map[*socket.Connection]bool{}
	handOver := func(r *Recorder, open ...*socket.Connection) {
		r.HandOver(second, func(report func(*socket.Connection) bool) {
			for _, c := range open {
				c.Counted = counted[c]
				counted[c] = report(c) || counted[c]
			}
		})
	}
	check := func(wantOpened, wantOpen float64) {
		t.Helper()
		x := collect(s, second)[ofCart]
		assert.Equal(t, wantOpened, x.points[opened].Sum)
		assert.Equal(t, wantOpen, x.points[present].Sum)
	}
	a, b, c := ended(), ended(), ended()
	older := ended(func(c *socket.Connection) { c.Capture = socket.CaptureJoinedMidstream })
	handOver(shards[0], a, b)
	handOver(shards[1], c, older)
	check(3, 4)
	assert.Equal(t, 20.0, collect(s, second)[ofCart].points[segmentsSent].Sum)
	assert.EqualValues(t, 4, collect(s, second)[ofCart].points[roundTrip].Count)
	bytes := func() float64 { return collect(s, second)[ofCart].points[bytesSent].Sum }
	assert.Equal(t, 400.0, bytes(), "what they have carried by then")
	handOver(shards[0], a)
	handOver(shards[1], c, older)
	check(3, 3)
	a.Counted = true
	shards[0].Closed(a)
	shards[0].Closed(ended()) // between two emissions
	handOver(shards[0])
	handOver(shards[1], older)
	check(4, 1)
	handOver(shards[1])
	check(4, 0)
}

// TestOperationsInProgress are a level: a query that runs for long is seen while it does, at both ends.
func TestOperationsInProgress(t *testing.T) {
	database, err := protocol.NewKeys([]protocol.Key{{Name: "db.system.name", Metric: true}})
	require.NoError(t, err)
	s := NewStore(optionsFor(), 0)
	r := s.Recorder(nobody)
	client, server, web := calling(shop(1)), serving(shop(2)), calling(shop(3))
	for _, c := range []*socket.Connection{client, server} {
		c.System, c.Speaks = "postgresql", database
	}
	web.System, web.Speaks, web.InProgress = "http", keysOfHTTP(t), 1
	check := func(of string, want int) {
		t.Helper()
		client.InProgress, server.InProgress = want, want
		r.HandOver(second, func(report func(*socket.Connection) bool) {
			for _, c := range []*socket.Connection{client, server, web} {
				report(c)
			}
		})
		got := map[string]float64{}
		s.Collect(second, func(e *Emission) {
			if f := e.Series.Family; f == &askingInProgress || f == &askedInProgress {
				got[f.Instruments[0].Name+fmt.Sprint(e.Series.Attributes)] = e.Series.Points[0].Sum
			}
		})
		assert.Equal(t, map[string]float64{
			"db.client.operations_in_progress[{db.system.name postgresql 0 false} {server.port  8080 true}]":          float64(want),
			"socketflow.db.server.operations_in_progress[{db.system.name postgresql 0 false} {server.port  80 true}]": float64(want),
		}, got, of)
	}
	check("three of a pipeline", 3)
	check("the same, later", 3)
	check("one", 1)
	check("none", 0)
}

func keysOfHTTP(t *testing.T) *protocol.Keys {
	k, err := protocol.NewKeys([]protocol.Key{{Name: "http.request.method", Metric: true}})
	require.NoError(t, err)
	return k
}

// TestLevelsStayCumulative, and go on with a series that has ended.
func TestLevelsStayCumulative(t *testing.T) {
	s := NewStore(optionsFor(func(o *Options) { o.Delta, o.Alive = true, processGone }), 0)
	r := s.Recorder(nobody)
	c := ended()
	open := func(report func(*socket.Connection) bool) { report(c) }
	r.HandOver(second, open)
	assert.Equal(t, 1.0, collect(s, second)[ofCart].points[present].Sum)
	r.HandOver(2*second, open)
	assert.Equal(t, 1.0, collect(s, 2*second)[ofCart].points[present].Sum)
	collect(s, 100*second)
	r.HandOver(100*second, open)
	assert.Equal(t, 1.0, collect(s, 100*second)[ofCart].points[present].Sum)
}

func TestPeersAreNamed(t *testing.T) {
	networks := networksOf("billing", "10.0.0.0/24", 8080, "office", "10.0.0.0/16", 0)
	for name, tc := range map[string]struct {
		change func(*socket.Connection)
		want   string
	}{
		"a service of this host": {func(*socket.Connection) {}, "cart"},
		"what DNS was asked for": {func(c *socket.Connection) { c.Peer, c.PeerName = nil, "db.test" }, "db.test"},
		"its network":            {func(c *socket.Connection) { c.Peer = nil }, "billing"},
		"another network":        {func(c *socket.Connection) { c.Peer, c.Remote = nil, addressOf("10.0.7.1:8080") }, "office"},
		"another port":           {func(c *socket.Connection) { c.Peer, c.Remote = nil, addressOf("10.0.0.1:80") }, "office"},
		"no name":                {func(c *socket.Connection) { c.Peer, c.Remote = nil, addressOf("192.0.2.1:80") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewStore(optionsFor(func(o *Options) { o.Peers = networks }), 0).Recorder(nobody)
			assert.Equal(t, tc.want, r.peerName(ended(tc.change)))
		})
	}
}

// TestWhatIsMeasuredByPeerWaits until the other end is known.
func TestWhatIsMeasuredByPeerWaits(t *testing.T) {
	settled, known := false, map[trace.End]*process.Info{}
	s := NewStore(optionsFor(), 0)
	r := s.Recorder(Peers{
		Of: func(end trace.End) *process.Info { return known[end] },
		Name: func(peername.Question) (peername.Answer, bool) {
			return peername.Answer{Name: "redis.test", Lookup: 20 * time.Millisecond}, true
		},
		Settled: func(uint64) bool { return settled }, Now: standing,
	})
	r.Closed(ended(func(c *socket.Connection) { c.Peer, c.PeerSettled, c.OtherEnd = nil, false, 5 }))
	r.Exchanged(ended(func(c *socket.Connection) { c.Peer, c.PeerQuestion.At = nil, 1 }), query(), time.Millisecond, second)
	r.Settle(time.Hour)
	r.HandOver(second, nil)
	assert.Empty(t, collect(s, second))

	known[5], settled = &process.Info{ServiceName: "cart"}, true
	r.Settle(time.Hour)
	r.HandOver(second, nil)
	assert.ElementsMatch(t, []string{
		ofCart, "7 db.client.operation.duration db.system.name=redis server.address=redis.test server.port=8080",
		"0 traces_service_graph_request_total client=shop server=redis.test connection_type=database",
	}, names(collect(s, second)))
}

func TestFewWait(t *testing.T) {
	s := NewStore(optionsFor(), 0)
	r := s.Recorder(Peers{Settled: func(uint64) bool { return false }, Now: standing})
	for range maxWaiting + 100 {
		r.Closed(ended(func(c *socket.Connection) { c.Peer, c.PeerSettled = nil, false }))
	}
	assert.EqualValues(t, 100, r.Unsettled())
	assert.Equal(t, maxWaiting, r.waiting.len())
	r.Settle(0)
	assert.Zero(t, r.waiting.len())
	r.HandOver(second, nil)
	for _, x := range collect(s, second) {
		assert.EqualValues(t, maxWaiting+100, x.points[lasted].Count)
	}
}

// TestServiceGraph: each request between two processes of this host is counted once.
func TestServiceGraph(t *testing.T) {
	s := NewStore(optionsFor(), 0)
	r := s.Recorder(nobody)
	client, server := ended(), serving(&process.Info{ID: process.ID{PID: 8}, ServiceName: "cart"})
	server.Peer = client.Process
	for i := range 10 {
		x := get(200)
		if i == 0 {
			x = get(500)
		}
		x.Server = "cart.test"
		r.Exchanged(client, x, 5*time.Millisecond, second)
		r.Exchanged(server, x, 3*time.Millisecond, second)
	}
	asked, asking := r.Ends()
	assert.EqualValues(t, 10, asked)
	assert.EqualValues(t, 10, asking)
	r.Exchanged(ended(func(c *socket.Connection) { c.Peer, c.PeerName = nil, "far.test" }), get(200), time.Second, second)
	r.HandOver(second, nil)
	all := collect(s, second)
	x := all["0 traces_service_graph_request_total client=shop server=cart"]
	assert.Equal(t, 10.0, x.points[requests].Sum)
	assert.Equal(t, 1.0, x.points[failures].Sum)
	assert.InDelta(t, 0.03, x.points[serverSeconds].Sum, 1e-9)
	assert.InDelta(t, 0.05, x.points[clientSeconds].Sum, 1e-9)
	assert.Equal(t, 1.0, all["0 traces_service_graph_request_total client=shop server=far.test connection_type=virtual_node"].points[requests].Sum)
}

// TestObservedRatio is of what was seen since the last emission.
func TestObservedRatio(t *testing.T) {
	s := NewStore(optionsFor(), 0)
	r := s.Recorder(nobody)
	const of = "7 socketflow.observed.ratio"
	r.Closed(ended(func(c *socket.Connection) { c.Followed, c.Lost = 1000, 100 }))
	r.Closed(ended(func(c *socket.Connection) { c.Followed, c.Lost = 3000, 300 }))
	r.HandOver(second, nil)
	p := collect(s, second)[of].points[0]
	assert.InDelta(t, 0.9, p.Sum/p.Max, 1e-9)
	r.Closed(ended(func(c *socket.Connection) { c.Followed = 10 }))
	r.HandOver(second, nil)
	p = collect(s, second)[of].points[0]
	assert.InDelta(t, 1, p.Sum/p.Max, 1e-9)
}
