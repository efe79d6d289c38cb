package metrics

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// TestMeasuringAllocatesNothing: of a series that exists.
func TestMeasuringAllocatesNothing(t *testing.T) {
	for name, exponential := range map[string]bool{"explicit": false, "exponential": true} {
		t.Run(name, func(t *testing.T) {
			s := NewStore(optionsFor(func(o *Options) { o.Exponential = exponential }), 0)
			r, c, x := s.Recorder(nobody), calling(shop(7)), get(200)
			took := time.Duration(0)
			record := func() {
				took = (took + 137*time.Microsecond) % time.Second
				r.Exchanged(c, x, took, second)
			}
			for range 10_000 {
				record()
			}
			r.HandOver(second, nil)
			for range 10_000 {
				record()
			}
			assert.Zero(t, testing.AllocsPerRun(10_000, record))
		})
	}
}

// One operation is one exchange.
func BenchmarkExchanged(b *testing.B) {
	for _, c := range [...]struct {
		name        string
		series      int
		exponential bool
	}{{"one series", 1, false}, {"1,000 series", 1000, false}, {"one series, exponential", 1, true}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			s := NewStore(optionsFor(func(o *Options) { o.Exponential = c.exponential; o.Series = 10_000 }), 0)
			r := s.Recorder(nobody)
			connections := make([]*socket.Connection, 10)
			for i := range connections {
				connections[i] = calling(shop(uint32(i)))
			}
			exchanges := make([]*protocol.Exchange, max(1, c.series/len(connections)))
			for i := range exchanges {
				exchanges[i] = get(200, func(x *protocol.Exchange) { x.Server, x.ServerPort = fmt.Sprintf("host-%d.test", i), 80 })
				exchanges[i].RequestBody, exchanges[i].ResponseBody = protocol.Size{Known: true}, protocol.Size{Bytes: 1234, Known: true}
			}
			for i := 0; b.Loop(); i++ {
				r.Exchanged(connections[i/64%len(connections)], exchanges[i%len(exchanges)], time.Duration(i%1000)*time.Microsecond, second)
			}
		})
	}
}

// One operation is one exchange for whose series there is no room.
func BenchmarkOverflow(b *testing.B) {
	b.ReportAllocs()
	s := NewStore(optionsFor(), 0)
	r, c, x := s.Recorder(nobody), calling(shop(7)), get(200)
	host := []byte("host-00000000.test")
	for i := 0; b.Loop(); i++ {
		for digit, n := 12, i; n > 0 && digit > 4; digit, n = digit-1, n/10 {
			host[digit] = byte('0' + n%10)
		}
		x.Server = string(host)
		r.Exchanged(c, x, time.Millisecond, second)
	}
}

// One operation is one hand-over of 10,000 series.
func BenchmarkHandOver(b *testing.B) {
	b.ReportAllocs()
	s := NewStore(optionsFor(func(o *Options) { o.Series = 100_000; o.Alive = func(process.ID) bool { return true } }), 0)
	r := s.Recorder(nobody)
	connections := make([]*socket.Connection, 100)
	for i := range connections {
		connections[i] = serving(shop(uint32(i)))
	}
	exchanges := make([]*protocol.Exchange, 100)
	for i := range exchanges {
		exchanges[i] = get(int64(200 + i))
	}
	for b.Loop() {
		for i := range 10_000 {
			r.Exchanged(connections[i%100], exchanges[i/100], time.Millisecond, second)
		}
		r.HandOver(second, nil)
	}
}
