package http2

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/net/http2"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/http"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// Exchanges begin with the first byte of the request's head and end with the last byte of the response. The time of a step
// is its number.
func TestStamps(t *testing.T) {
	for name, test := range map[string]struct {
		conv       func(w *wire)
		start, end int // steps after the first ones; end 0: the last
		last       int // how many bytes of the last step belong to the exchange; 0: all
	}{
		"a response with a body": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.client.data(1, 10, last)
				w.server.response(1, more, "200")
				w.server.data(1, 10, last)
			},
			start: 1, end: 4,
		},
		"a response with trailers in many frames": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, more, "200")
				w.server.inPieces(1, last, 5, "checksum", "0123456789")
			},
			start: 1,
		},
		"frames that share their transfers with others": {
			conv: func(w *wire) {
				w.client.ping()
				w.client.get(1, "/a")
				w.server.response(1, last, "204")
				w.server.ping()
				w.join()
			},
			start: 2, end: 3, last: head + 1,
		},
		"a response whose body is not looked at": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, more, "200")
				w.server.data(1, 100, last)
				w.server.ping()
				w.join()
				w.lose(protocol.Skipped, head, head+100)
			},
			start: 1, end: 4,
		},
		"a loss behind the end": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, more, "200")
				w.server.data(1, 100, last)
				w.lose(protocol.Lost, head, -1)
				w.steps[len(w.steps)-1].over = 50
			},
			start: 1, end: 4,
		},
		"a response before the end of its request": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.server.response(1, last, "200")
				w.client.data(1, 10, last)
			},
			start: 1, end: 2,
		},
		"a stream that is reset": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.client.ping()
				w.server.reset(1, http2.ErrCodeCancel)
			},
			start: 1, end: 3,
		},
		"a response that was seen before its request": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, last, "200")
				w.swap()
			},
			start: 2, end: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			w.begin()
			before := len(w.steps)
			test.conv(w)
			at := func(number int) (m protocol.Stamp, size uint64) { // of a step
				from := w.steps[before+number-1].from
				for _, s := range w.steps[:before+number-1] {
					if s.from == from {
						m.Position += uint64(len(s.bytes))
					}
				}
				m.Time, m.PID = uint64(before+number)*millisecond, 7
				return m, uint64(len(w.steps[before+number-1].bytes))
			}
			start, _ := at(test.start)
			if test.end == 0 {
				test.end = len(w.steps) - before
			}
			end, size := at(test.end)
			if test.last > 0 {
				size = uint64(test.last)
			}
			end.Position += size - 1
			o := observe(observed(&observer{}), w, closed, whole)
			if len(o.full) != 1 {
				t.Fatalf("emitted %q", o.emitted)
			}
			if x := o.full[0]; x.Start != start || x.End != end {
				t.Errorf("from %+v to %+v\nwant %+v to %+v", x.Start, x.End, start, end)
			}
		})
	}
}

func TestEndOfARequestAmongOthersIsItsLastByte(t *testing.T) {
	for name, test := range map[string]struct {
		conv func(w *wire)
		want map[protocol.ID]int // number of the client's step after the first ones that has the last byte
	}{
		"a head alone": {func(w *wire) { w.client.get(1, "/a") }, map[protocol.ID]int{1: 1}},
		"bodies of two at a time": {func(w *wire) {
			w.client.request(1, more, "POST", "/a")
			w.client.request(3, more, "POST", "/b")
			w.client.data(1, 10, more)
			w.client.data(3, 10, last)
			w.client.data(1, 10, last)
		}, map[protocol.ID]int{1: 5, 2: 4}},
		"an empty last frame": {func(w *wire) {
			w.client.request(1, more, "POST", "/a")
			w.client.data(1, 10, more)
			w.client.data(1, 0, last)
		}, map[protocol.ID]int{1: 3}},
		"trailers": {func(w *wire) {
			w.client.request(1, more, "POST", "/a")
			w.client.inPieces(1, last, 5, "checksum", "0123456789")
		}, map[protocol.ID]int{1: 5}},
		"a body that goes on": {func(w *wire) { w.client.request(1, more, "POST", "/a") }, nil},
		"an end twice": {func(w *wire) {
			w.client.request(1, more, "POST", "/a")
			w.client.data(1, 10, last)
			w.client.data(1, 10, last)
		}, map[protocol.ID]int{1: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			w.begin()
			before := len(w.steps)
			test.conv(w)
			p, r := protocoltest.New(Protocol(), protocol.Session{}, observed(nil).limits, nil)
			replay(p, w.steps, whole)
			end := func(number int) (position uint64) { // of the client's bytes up to that step
				for _, s := range w.steps[:before+number] {
					if s.from == protocol.FromClient {
						position += uint64(len(s.bytes))
					}
				}
				return position
			}
			if len(r.Requests) != len(test.want) {
				t.Errorf("%d requests have ended, want %d", len(r.Requests), len(test.want))
			}
			for id, number := range test.want {
				if got := r.Requests[id]; got.Position != end(number)-1 || got.Time != uint64(before+number)*millisecond {
					t.Errorf("exchange %d ends with %+v, want position %d, step %d", id, got, end(number)-1, before+number)
				}
			}
			p.Close(closed)
		})
	}
}

func TestEndOfStreamsWithoutEndStream(t *testing.T) {
	w := newWire()
	w.begin()
	w.client.get(1, "/a")
	for _, e := range []protocol.Ending{{}, {Errno: connectionReset}, {Unknown: true}} {
		o := observe(observed(&observer{}), w, e, whole)
		if len(o.full) != 1 || o.full[0].End.Time != endingTime {
			t.Errorf("%+v: emitted %q, %+v", e, o.emitted, o.full)
		}
	}
}

func TestVersionAndTrace(t *testing.T) {
	w := newWire()
	w.begin()
	w.client.request(1, last, "GET", "/a", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	w.server.response(1, last, "200")
	o := observe(observed(&observer{}), w, closed, single)
	if len(o.full) != 1 {
		t.Fatalf("emitted %q", o.emitted)
	}
	x := o.full[0]
	if got := fmt.Sprintf("%s %s %s %x", x.Protocol, x.Version, x.Server, x.Parent.SpanID); got != "http 2 shop.test 00f067aa0ba902b7" {
		t.Error(got)
	}
}

// RFC 7540, 3.2: the server's frames begin after its 101, the client's with the preface; the request is stream 1.
func TestUpgraded(t *testing.T) {
	for name, test := range map[string]struct {
		conv func(w *wire)
		want []string
	}{
		"and answered": {
			func(w *wire) {
				w.server.settings()
				w.server.response(1, more, "200")
				w.client.raw([]byte(preface)...)
				w.client.settings()
				w.client.get(3, "/b")
				w.server.data(1, 10, last)
				w.server.response(3, last, "200")
			},
			[]string{"GET /upgrade 200", "GET /b 200"},
		},
		"with a table that the request allowed": {
			func(w *wire) {
				w.server.encoder.SetMaxDynamicTableSizeLimit(1 << 14)
				w.server.encoder.SetMaxDynamicTableSize(1 << 14)
				w.server.settings()
				w.server.response(1, last, "299", "server", "test")
				w.client.raw([]byte(preface)...)
				for id := uint32(3); id < 11; id += 2 {
					w.client.get(id, "/b")
					w.server.response(id, more, "103", "x", fmt.Sprintf("%01500d", id))
				}
				for id := uint32(3); id < 11; id += 2 {
					w.server.response(id, last, "299", "server", "test")
				}
			},
			[]string{"GET /upgrade 299", "GET /b 299", "GET /b 299", "GET /b 299", "GET /b 299"},
		},
		"and not answered": {
			func(w *wire) {
				w.server.settings()
				w.server.reset(1, http2.ErrCodeInternal)
			},
			[]string{"GET /upgrade !INTERNAL_ERROR"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			test.conv(w)
			o := &observer{}
			c := observed(o)
			shared := NewShared(protocoltest.Settings(Protocol(), nil, c.limits))
			account := &http.Account{}
			m := shared.pool.Get(&c.Session, account)
			m.Start = protocol.Stamp{Time: 5, Position: 6}
			m.SetVersion("1.1")
			m.SetMethod([]byte("GET"))
			m.SetTarget([]byte("/upgrade"))
			p := shared.Continue(&c.Session, m, o.Begin(nil), account)
			replay(p, w.steps, whole)
			p.Close(closed)
			check(t, o, test.want, "")
			if x := o.full[0]; x.Start != (protocol.Stamp{Time: 5, Position: 6}) || x.Version != "1.1" {
				t.Errorf("the upgraded request: %+v", x)
			}
		})
	}
}

func TestThousandStreamsAtOnce(t *testing.T) {
	const streams = 1500
	w := newWire()
	w.begin()
	var want []string
	for i := range uint32(streams) {
		w.client.request(2*i+1, more, "PUT", fmt.Sprint("/", i))
	}
	for i := range uint32(streams) {
		w.server.response(2*((i*7)%streams)+1, more, fmt.Sprint(200+(i*7)%streams%100))
		w.client.data(2*i+1, 1, last)
	}
	for i := range uint32(streams) {
		n := (i * 11) % streams
		w.server.data(2*n+1, 1, last)
		line := fmt.Sprintf("PUT /%d %d", n, 200+n%100)
		want = append(want, line)
	}
	for name, pieces := range map[string]func(int) int{"as sent": whole, "byte by byte": single} {
		t.Run(name, func(t *testing.T) {
			c := observed(&observer{})
			c.limits.Outstanding = streams
			p := c.parser()
			replay(p, w.steps, pieces)
			if len(p.byID) != 0 || p.open.First() != nil || p.early.First() != nil {
				t.Errorf("%d streams are left", len(p.byID))
			}
			if o := c.Sink.(*observer); !slices.Equal(o.emitted, want) || o.troubled() != "" {
				t.Errorf("emitted %d exchanges, %q first; %s", len(o.emitted), o.emitted[0], o.troubled())
			}
		})
	}
}
