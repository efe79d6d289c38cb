package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
)

// totals are how many measurements are in series of their own, and in those that take the place of others.
func totals(all map[string]emitted) (own, overflow uint64) {
	for name, x := range all {
		if strings.HasSuffix(name, " overflow") {
			overflow += x.count
		} else {
			own += x.count
		}
	}
	return own, overflow
}

// remembered is how many tallies a shard has, and routes there are of all processes.
func remembered(r *Recorder) (tallies, routes int) {
	for _, o := range r.owners {
		tallies += len(o.tallies) + len(o.overflow)
	}
	for _, resource := range r.store.resources {
		if resource.routes != nil {
			routes += resource.routes.nodes
		}
	}
	return tallies, routes
}

// TestPathsAreBounded: a hundred thousand of them, from which a server learns routes. All of it is counted.
func TestPathsAreBounded(t *testing.T) {
	const requests = 100_000
	s := NewStore(optionsFor(func(o *Options) { o.Series, o.LearnRoutes = 64, true }), 0)
	r, attacked := s.Recorder(nobody), serving(shop(7))
	x, path := get(200), []byte(nil)
	for i := range requests {
		path = fmt.Appendf(path[:0], "/%s/%s/%s", word(i), word(i/7), word(i/11))
		x.SetText(1, path)
		r.Exchanged(attacked, x, time.Millisecond, second)
	}
	r.HandOver(second, nil)
	assert.LessOrEqual(t, s.Used(), 64)
	tallies, routes := remembered(r)
	assert.LessOrEqual(t, tallies, 64)
	assert.LessOrEqual(t, routes, maxNodes+maxSegments)
	own, overflow := totals(collect(s, second))
	assert.EqualValues(t, requests, own+overflow)
	assert.Equal(t, overflow, r.Overflowed())
	assert.Positive(t, overflow)
}

// TestCardinalityIsBounded: a million hosts, and as many ports. All of it is counted.
func TestCardinalityIsBounded(t *testing.T) {
	const attempts = 1_000_000
	s := NewStore(optionsFor(func(o *Options) { o.Series = 2000 }), 0)
	r, hostile := s.Recorder(nobody), calling(shop(7))
	x := get(200)
	for i := range attempts {
		x.Server, x.ServerPort = fmt.Sprintf("host-%d.test", i), uint16(i)
		r.Exchanged(hostile, x, time.Millisecond, second)
	}
	r.HandOver(second, nil)
	assert.LessOrEqual(t, s.Used(), 2000)
	tallies, _ := remembered(r)
	assert.LessOrEqual(t, tallies, 2000)
	own, overflow := totals(collect(s, second))
	assert.EqualValues(t, attempts, own+overflow)
	assert.Equal(t, overflow, r.Overflowed())

	measure(t, r, serving(shop(8)), get(200), second)
	r.HandOver(2*second, nil)
	assert.Contains(t, names(collect(s, 2*second)), "8 http.server.request.duration http.request.method=GET http.response.status_code=200 network.protocol.version=1.1",
		"others have room")
}

// TestProcessesAreBounded: each has a few series.
func TestProcessesAreBounded(t *testing.T) {
	const processes, each = 10_000, 3
	s := NewStore(optionsFor(func(o *Options) { o.Series = 256 }), 0)
	r := s.Recorder(nobody)
	for pid := range uint32(processes) {
		c := serving(shop(pid))
		for status := range int64(each) {
			measure(t, r, c, get(200+status), second)
		}
	}
	r.HandOver(second, nil)
	assert.LessOrEqual(t, s.Used(), 256+1, "with that of the host")
	assert.LessOrEqual(t, len(r.owners), 256+1)
	own, overflow := totals(collect(s, second))
	assert.EqualValues(t, processes*each, own+overflow)
}

// TestASeriesThatExistsNeverOverflows: another shard has begun it before the room was taken.
func TestASeriesThatExistsNeverOverflows(t *testing.T) {
	s := NewStore(optionsFor(func(o *Options) { o.Series = 64 }), 0)
	first, second := s.Recorder(nobody), s.Recorder(nobody)
	measure(t, first, serving(shop(7)), call("known/Method"), 1)
	for i := range 200 {
		measure(t, first, serving(shop(uint32(i+100))), call(fmt.Sprintf("m/%d", i)), 1)
	}
	require.NotZero(t, first.Overflowed())
	measure(t, second, serving(shop(7)), call("known/Method"), 1)
	assert.Zero(t, second.Overflowed())
}

// TestSeriesOfProcessesThatHaveEndedEnd: they are emitted for a while, then once more without a value, and then no more.
func TestSeriesOfProcessesThatHaveEndedEnd(t *testing.T) {
	alive := map[uint32]bool{7: true}
	s := NewStore(optionsFor(func(o *Options) { o.Alive = func(id process.ID) bool { return alive[id.PID] } }), 0)
	r := s.Recorder(nobody)
	measure(t, r, serving(shop(7)), call("a/b"), second)
	measure(t, r, serving(shop(8)), call("a/b"), second)
	r.HandOver(second, nil)
	of := func(pid int) string {
		return fmt.Sprintf("%d rpc.server.call.duration rpc.system.name=grpc rpc.method=a/b", pid)
	}
	all := collect(s, 2*second)
	require.Len(t, all, 2)
	assert.False(t, all[of(8)].ended, "it has measured something lately")

	all = collect(s, 61*second)
	assert.False(t, all[of(7)].ended, "it lives")
	assert.True(t, all[of(8)].ended)
	assert.Equal(t, []string{of(7)}, names(collect(s, 62*second)))
	assert.Equal(t, 1, s.Used())

	measure(t, r, serving(shop(8)), call("a/b"), 63*second)
	r.HandOver(64*second, nil)
	x := collect(s, 64*second)[of(8)]
	assert.EqualValues(t, 1, x.count, "a series that comes back begins anew")
	assert.Equal(t, 62*second, x.start)
}

// TestSeriesThatAreNotUsedGiveWay: when room is scarce, also those of processes that live.
func TestSeriesThatAreNotUsedGiveWay(t *testing.T) {
	s := NewStore(optionsFor(func(o *Options) { o.Series = 64 }), 0)
	r := s.Recorder(nobody)
	for i := range 200 {
		measure(t, r, serving(shop(uint32(i))), call("a/b"), second)
	}
	r.HandOver(second, nil)
	before := r.Overflowed()
	require.NotZero(t, before)
	collect(s, 2*second)
	collect(s, 62*second)
	r.HandOver(62*second, nil)
	measure(t, r, serving(shop(1000)), call("a/b"), 63*second)
	assert.Equal(t, before, r.Overflowed())
}

// TestWhatComesAfterTheEndOfASeriesIsKept: a shard has measured something of it, and handed over later.
func TestWhatComesAfterTheEndOfASeriesIsKept(t *testing.T) {
	for name, xs := range map[string][]*protocol.Exchange{"of its own": {call("a/b")}, "overflow": {call("a/b"), call("c/d")}} {
		t.Run(name, func(t *testing.T) {
			s := NewStore(optionsFor(func(o *Options) {
				o.Alive = processGone
				if len(xs) > 1 {
					o.Series = 8
				}
			}), 0)
			r := s.Recorder(nobody)
			if len(xs) > 1 {
				for pid := range uint32(6) {
					measure(t, r, serving(shop(100+pid)), call("x/y"), second)
				}
			}
			for _, x := range xs {
				measure(t, r, serving(shop(7)), x, second)
			}
			r.HandOver(second, nil)
			for _, x := range xs {
				measure(t, r, serving(shop(7)), x, 2*second)
			}
			collect(s, 100*second)
			r.HandOver(100*second, nil)
			own, overflow := totals(collect(s, 101*second))
			assert.EqualValues(t, len(xs), own+overflow)
		})
	}
}

// TestSeriesOfServices: many short processes of one service have the series of one.
func TestSeriesOfServices(t *testing.T) {
	s := NewStore(optionsFor(func(o *Options) { o.ByService, o.Alive = true, processGone }), 0)
	shards := []*Recorder{s.Recorder(nobody), s.Recorder(nobody)}
	const processes = 5000
	for pid := range uint32(processes) {
		measure(t, shards[pid%2], serving(shop(pid)), call("a/b"), second)
	}
	for _, r := range shards {
		assert.Len(t, r.owners, 1)
		r.HandOver(second, nil)
	}
	all := collect(s, 2*second)
	assert.Equal(t, []string{"0 rpc.server.call.duration rpc.system.name=grpc rpc.method=a/b"}, names(all))
	assert.EqualValues(t, processes, all["0 rpc.server.call.duration rpc.system.name=grpc rpc.method=a/b"].count)
	collect(s, 100*second)
	assert.Zero(t, s.Used())
	for _, r := range shards {
		r.HandOver(101*second, nil)
		assert.Empty(t, r.owners)
	}
}
