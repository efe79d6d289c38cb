package metrics

import (
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// keys of a protocol with the attributes of HTTP and gRPC.
var keys = func() *protocol.Keys {
	k, err := protocol.NewKeys([]protocol.Key{
		{Name: "http.request.method", Metric: true}, {Name: "url.path"},
		{Name: "http.response.status_code", Type: protocol.Int, Metric: true},
		{Name: "rpc.system.name", Metric: true}, {Name: "rpc.method", Metric: true}, {Name: "db.system.name", Metric: true},
	})
	if err != nil {
		panic(err)
	}
	return k
}()

func optionsFor(change ...func(*Options)) Options {
	o := Options{
		Series: 1000, StaleAfter: time.Minute, Alive: func(process.ID) bool { return true },
		Text: func(s string) string { return s }, Errno: func(n uint32) string { return "E" + strconv.Itoa(int(n)) },
	}
	for _, c := range change {
		c(&o)
	}
	return o
}

// shop is a process.
func shop(pid uint32) *process.Info {
	return &process.Info{ID: process.ID{PID: pid, Start: 1}, ServiceName: "shop", InstanceID: strconv.Itoa(int(pid))}
}

// serving is a connection that a process has accepted, and calling one that it has made.
func serving(p *process.Info) *socket.Connection {
	return &socket.Connection{Process: p, PeerSettled: true, Role: event.RoleServer, Local: netip.MustParseAddrPort("10.0.0.1:80"), Remote: netip.MustParseAddrPort("10.0.0.2:40000")}
}

func calling(p *process.Info) *socket.Connection {
	return &socket.Connection{Process: p, PeerSettled: true, Role: event.RoleClient, Local: netip.MustParseAddrPort("10.0.0.2:40000"), Remote: netip.MustParseAddrPort("10.0.0.1:8080")}
}

// get is an exchange of HTTP.
func get(status int64, change ...func(*protocol.Exchange)) *protocol.Exchange {
	x := &protocol.Exchange{}
	x.Reset(keys)
	x.Protocol, x.Version = "http", "1.1"
	x.SetText(0, []byte("GET"))
	x.SetText(1, []byte("/items/42"))
	x.SetInt(2, status)
	if status >= 500 {
		x.Error = strconv.Itoa(int(status))
	}
	for _, c := range change {
		c(x)
	}
	return x
}

// call is an exchange of gRPC.
func call(method string) *protocol.Exchange {
	x := &protocol.Exchange{}
	x.Reset(keys)
	x.SetText(3, []byte("grpc"))
	x.SetText(4, []byte(method))
	return x
}

// emitted is what a store emits of a series.
type emitted struct {
	pid      uint32
	metric   string // of the first instrument
	series   string
	start    int64
	ended    bool
	count    uint64
	sum      float64
	points   []Point
	exemplar []Exemplar
}

func collect(s *Store, now int64) map[string]emitted {
	all := map[string]emitted{}
	s.Collect(now, func(e *Emission) {
		x := emitted{
			pid: e.Resource.Info.PID, metric: e.Series.Family.Instruments[0].Name, start: e.Start, ended: e.Ended,
			count: e.Series.Points[0].Count, sum: e.Series.Points[0].Sum,
		}
		for _, a := range e.Series.Attributes {
			if a.IsInt {
				x.series += fmt.Sprintf(" %s=%d", a.Key, a.Int)
			} else {
				x.series += fmt.Sprintf(" %s=%s", a.Key, a.Text)
			}
		}
		if e.Series.Overflow {
			x.series = " overflow"
		}
		for i := range e.Series.Points {
			p := e.Series.Points[i]
			p.Buckets = append([]uint64(nil), p.Buckets...)
			x.points = append(x.points, p)
		}
		x.exemplar = append(x.exemplar, e.Series.Exemplars()...)
		name := fmt.Sprintf("%d %s%s", x.pid, x.metric, x.series)
		if _, twice := all[name]; twice {
			panic("emitted twice: " + name)
		}
		all[name] = x
	})
	return all
}

func names(all map[string]emitted) (names []string) {
	for name := range all {
		names = append(names, name)
	}
	return names
}

const second = int64(time.Second)

// measure records an exchange that took a millisecond, and ended at a time.
func measure(t *testing.T, r *Recorder, c *socket.Connection, x *protocol.Exchange, at int64) *Tally {
	t.Helper()
	tally := r.Exchanged(c, x, time.Millisecond, at)
	require.NotNil(t, tally)
	return tally
}

// nobody is known.
var nobody = Peers{Settled: func(uint64) bool { return true }, Now: standing}

// standing is a clock.
func standing() uint64 { return 0 }

func addressOf(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

// networksOf are two networks.
func networksOf(name1, prefix1 string, port1 uint16, name2, prefix2 string, port2 uint16) []Network {
	return []Network{{name1, netip.MustParsePrefix(prefix1), port1}, {name2, netip.MustParsePrefix(prefix2), port2}}
}
