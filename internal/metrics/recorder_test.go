package metrics

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// TestSeriesHaveTheAttributesOfTheConventions: of each kind and side, and never a path.
func TestSeriesHaveTheAttributesOfTheConventions(t *testing.T) {
	p := shop(7)
	for name, tc := range map[string]struct {
		on   *socket.Connection
		x    *protocol.Exchange
		want string
	}{
		"HTTP server": {
			serving(p), get(200, func(x *protocol.Exchange) { x.Server, x.ServerPort = "chosen.by.the.client", 80 }),
			"7 http.server.request.duration http.request.method=GET http.response.status_code=200 network.protocol.version=1.1",
		},
		"HTTP server, error": {
			serving(p), get(503),
			"7 http.server.request.duration http.request.method=GET http.response.status_code=503 error.type=503 network.protocol.version=1.1",
		},
		"HTTP client": {
			calling(p), get(200, func(x *protocol.Exchange) { x.Server, x.ServerPort = "shop.test", 8443 }),
			"7 http.client.request.duration http.request.method=GET http.response.status_code=200 network.protocol.version=1.1 server.address=shop.test server.port=8443",
		},
		"HTTP client, broken connection": {
			calling(p), get(200, func(x *protocol.Exchange) { x.Errno = 104 }),
			"7 http.client.request.duration http.request.method=GET http.response.status_code=200 error.type=E104 network.protocol.version=1.1 server.address=10.0.0.1 server.port=8080",
		},
		"HTTP that is carried by another protocol": {
			serving(p), get(200, func(x *protocol.Exchange) { x.Protocol, x.Version = "fastcgi", "" }),
			"7 http.server.request.duration http.request.method=GET http.response.status_code=200 network.protocol.name=fastcgi",
		},
		"gRPC server": {serving(p), call("shop.Cart/Add"), "7 rpc.server.call.duration rpc.system.name=grpc rpc.method=shop.Cart/Add"},
		"gRPC client": {
			calling(p), call("shop.Cart/Add"),
			"7 rpc.client.call.duration rpc.system.name=grpc rpc.method=shop.Cart/Add server.address=10.0.0.1 server.port=8080",
		},
		"database client, by the name that DNS was asked for": {
			func() *socket.Connection { c := calling(p); c.PeerName = "redis.test"; return c }(), query(),
			"7 db.client.operation.duration db.system.name=redis server.address=redis.test server.port=8080",
		},
		"database server": {serving(p), query(), "7 socketflow.db.server.operation.duration db.system.name=redis"},
		"who has connected serves": {
			calling(p), get(200, func(x *protocol.Exchange) { x.Initiator = protocol.FromServer }),
			"7 http.server.request.duration http.request.method=GET http.response.status_code=200 network.protocol.version=1.1",
		},
		"over a Unix socket": {
			&socket.Connection{Process: p, Role: event.RoleClient, Transport: event.UnixStream, Unix: &event.Unix{Remote: "/run/docker.sock"}}, get(200),
			"7 http.client.request.duration http.request.method=GET http.response.status_code=200 network.protocol.version=1.1 server.address=/run/docker.sock",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewStore(optionsFor(), 0)
			r := s.Recorder(nobody)
			measure(t, r, tc.on, tc.x, second)
			r.HandOver(second, nil)
			got := slices.DeleteFunc(names(collect(s, second)), func(name string) bool { return strings.HasPrefix(name, "0 ") }) // the service graph
			assert.Equal(t, []string{tc.want}, got)
		})
	}
}

// query is an exchange with a database.
func query() *protocol.Exchange {
	x := &protocol.Exchange{}
	x.Reset(keys)
	x.SetText(5, []byte("redis"))
	return x
}

func TestWhatIsNotMeasured(t *testing.T) {
	r := NewStore(optionsFor(), 0).Recorder(nobody)
	for name, tc := range map[string]struct {
		change func(*socket.Connection, *protocol.Exchange)
	}{
		"a message that nobody asked for": {func(_ *socket.Connection, x *protocol.Exchange) { x.Kind = protocol.Message }},
		"under way when observation ends": {func(_ *socket.Connection, x *protocol.Exchange) { x.Capture = protocol.CaptureCut }},
		"the role is not known":           {func(c *socket.Connection, _ *protocol.Exchange) { c.Role = event.RoleUnknown }},
		"the protocol has no metrics":     {func(_ *socket.Connection, x *protocol.Exchange) { x.Mask = protocol.Mask{} }},
	} {
		t.Run(name, func(t *testing.T) {
			c, x := serving(shop(7)), get(200)
			tc.change(c, x)
			assert.Nil(t, r.Exchanged(c, x, time.Millisecond, second))
		})
	}
}

// TestShardsAreMerged: both measure the same process, which each has described for itself.
func TestShardsAreMerged(t *testing.T) {
	s := NewStore(optionsFor(), 0)
	shards := []*Recorder{s.Recorder(nobody), s.Recorder(nobody)}
	var sum float64
	for i := range 1000 {
		took := time.Duration(i+1) * 100 * time.Microsecond
		x := get(200 + int64(i%3))
		x.RequestBody, x.ResponseBody = protocol.Size{Bytes: 10, Known: true}, protocol.Size{Bytes: uint64(i), Known: i%2 == 0}
		shards[i%2].Exchanged(serving(shop(7)), x, took, second)
		if i%3 == 0 {
			sum += took.Seconds()
		}
		if i%100 == 0 {
			shards[i%2].HandOver(second, nil)
		}
	}
	for _, r := range shards {
		r.HandOver(second, nil)
	}
	all := collect(s, 2*second)
	require.Len(t, all, 3)
	x := all["7 http.server.request.duration http.request.method=GET http.response.status_code=200 network.protocol.version=1.1"]
	assert.EqualValues(t, 334, x.count)
	assert.InEpsilon(t, sum, x.sum, 1e-9)
	assert.Equal(t, 0.0001, x.points[0].Min)
	assert.Equal(t, 0.1, x.points[0].Max)
	assert.Equal(t, []uint64{17, 17, 50, 83, 83, 84, 0, 0, 0, 0, 0, 0, 0, 0, 0}, x.points[0].Buckets)
	assert.EqualValues(t, 334, x.points[1].Count)
	assert.Equal(t, 3340.0, x.points[1].Sum)
	assert.EqualValues(t, 167, x.points[2].Count, "a size that is not known is not measured")
}

func TestCumulativePointsCountSinceTheSeriesBegan(t *testing.T) {
	s := NewStore(optionsFor(), 10*second)
	r := s.Recorder(nobody)
	name := "7 rpc.server.call.duration rpc.system.name=grpc rpc.method=a/b"
	for i := range int64(3) {
		measure(t, r, serving(shop(7)), call("a/b"), (11+i)*second)
		r.HandOver((12+i)*second, nil)
		x := collect(s, (12+i)*second)[name]
		assert.EqualValues(t, i+1, x.count)
		assert.Equal(t, 10*second, x.start)
	}
	assert.EqualValues(t, 3, collect(s, 20*second)[name].count, "also without further measurements")

	late := serving(shop(8))
	measure(t, r, late, call("a/b"), 19*second)
	r.HandOver(21*second, nil)
	assert.Equal(t, 19*second, collect(s, 21*second)["8 rpc.server.call.duration rpc.system.name=grpc rpc.method=a/b"].start,
		"no point is from before its series has begun")
}

func TestDeltaPointsCountSinceTheLastEmission(t *testing.T) {
	s := NewStore(optionsFor(func(o *Options) { o.Delta = true }), 10*second)
	r := s.Recorder(nobody)
	name := "7 rpc.server.call.duration rpc.system.name=grpc rpc.method=a/b"
	for i := range int64(3) {
		measure(t, r, serving(shop(7)), call("a/b"), (11+i)*second)
		r.HandOver((12+i)*second, nil)
		x := collect(s, (12+i)*second)[name]
		assert.EqualValues(t, 1, x.count)
		assert.Equal(t, []int64{10, 12, 13}[i]*second, x.start)
	}
	assert.Empty(t, collect(s, 20*second), "nothing was measured")
}

func TestExemplarsAreTheSlowestAndTheLast(t *testing.T) {
	s := NewStore(optionsFor(), 0)
	r := s.Recorder(nobody)
	c := serving(shop(7))
	tally := measure(t, r, c, call("a/b"), second)
	for i, value := range []float64{0.2, 0.9, 0.1, 0.3} {
		tally.Exemplify(&Exemplar{Value: value, Trace: [16]byte{byte(i)}})
	}
	r.HandOver(second, nil)
	name := "7 rpc.server.call.duration rpc.system.name=grpc rpc.method=a/b"
	x := collect(s, second)[name]
	assert.Equal(t, []Exemplar{{Value: 0.9, Trace: [16]byte{1}}, {Value: 0.3, Trace: [16]byte{3}}}, x.exemplar)
	assert.Empty(t, collect(s, 2*second)[name].exemplar, "they are emitted once")
}

func TestTextIsMadeFit(t *testing.T) {
	s := NewStore(optionsFor(func(o *Options) { o.Text = func(s string) string { return "<" + s + ">" } }), 0)
	r := s.Recorder(nobody)
	measure(t, r, serving(shop(7)), call("a/b"), second)
	r.HandOver(second, nil)
	assert.Equal(t, []string{"7 rpc.server.call.duration rpc.system.name=<grpc> rpc.method=<a/b>"}, names(collect(s, second)))
}

func processGone(process.ID) bool { return false }
