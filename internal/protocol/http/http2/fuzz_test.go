package http2

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// script reads decisions from fuzz data; after its end they are all 0.
type script struct{ rest []byte }

func (s *script) next() int {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return int(b)
}

func (s *script) bytes(n int) []byte {
	n = min(n, len(s.rest))
	b := s.rest[:n]
	s.rest = s.rest[n:]
	return b
}

// These are the fields of fuzzed conversations: some are in the static table, the sizes of some are beyond bounds.
var (
	fuzzNames  = []string{"a", "b", "accept", "server", "x-long", "secret", strings.Repeat("n", 1700)}
	fuzzValues = []string{"", "1", "2", "gzip, deflate", strings.Repeat("v", 60), strings.Repeat("w", 300), strings.Repeat("é", 900)}
	fuzzPaths  = []string{"/", "/index.html", "/a", "/b/" + strings.Repeat("p", 100)}
)

func (s *script) fields() (fields []string) {
	for range s.next() % 6 {
		fields = append(fields, fuzzNames[s.next()%len(fuzzNames)], fuzzValues[s.next()%len(fuzzValues)])
	}
	return fields
}

// conv lets both ends send, so that every byte of the data is a decision. orderly: both ends kept to the protocol, and
// nothing was lost.
func (s *script) conv(w *wire) (orderly bool) {
	orderly = true
	next := uint32(1)
	for len(s.rest) > 0 {
		id := next - 2*uint32(s.next()%8)
		if id > next {
			id = 1
		}
		e := w.client
		op := s.next()
		if op&0x80 != 0 {
			e = w.server
		}
		end := op&0x40 != 0
		switch op & 0x0f {
		case 0, 1, 2:
			path := fuzzPaths[s.next()%len(fuzzPaths)]
			w.client.request(next, end, "GET", path, s.fields()...)
			next += 2
		case 3:
			w.client.inPieces(next, end, 1+s.next()%64, requestFields("POST", "/pieces", s.fields()...)...)
			next += 2
		case 4, 5:
			w.server.response(id, end, fmt.Sprint(100+100*(s.next()%5)), s.fields()...)
		case 6:
			e.data(id, s.next()*8, end)
		case 7:
			e.headers(id, true, s.fields()...)
		case 8:
			e.reset(id, http2.ErrCode(s.next()%16))
		case 9:
			w.server.goAway(id)
		case 10:
			w.server.must(w.server.framer.WritePushPromise(http2.PushPromiseParam{
				StreamID: id, PromiseID: 2, BlockFragment: w.server.encode(s.fields()...), EndHeaders: true,
			}))
		case 11:
			e.encoder.SetMaxDynamicTableSize(uint32(s.next() * 16))
		case 12:
			e.settings(http2.Setting{ID: http2.SettingID(s.next() % 8), Val: uint32(s.next()) << 8})
		case 13:
			e.ping()
		case 14:
			e.raw(s.bytes(s.next())...)
			if n := len(w.steps) - 1; len(w.steps[n].bytes) == 0 {
				w.steps = w.steps[:n]
			}
			orderly = false
		default:
			if n := len(w.steps); n > 0 && !w.steps[n-1].missing {
				size := len(w.steps[n-1].bytes)
				from := s.next() % size
				w.lose(protocol.Loss(s.next()%3), from, min(size, from+1+s.next()))
				w.steps[len(w.steps)-1].over = 0
				orderly = false
			}
		}
	}
	return orderly
}

// bounded checks the bounds of a parser's memory.
func bounded(t *testing.T, p *parser) {
	t.Helper()
	if p.given {
		return
	}
	listed := 0
	for _, l := range []intrusive.List[stream]{p.open, p.early} {
		for s := l.First(); s != nil; s = s.links.Next() {
			listed++
			if p.byID[s.id] != s {
				t.Fatalf("stream %d is not in its place", s.id)
			}
		}
	}
	if listed != len(p.byID) || listed > p.shared.settings.Outstanding {
		t.Fatalf("%d streams, %d of them in order", len(p.byID), listed)
	}
	for i := range p.directions {
		d := &p.directions[i]
		if n := len(d.block.pending); n > 2*p.shared.settings.HeadBytes+3*integerBytes {
			t.Fatalf("%d bytes of a field are kept", n)
		}
		if d.table.held > 2*maximumTableSize || d.table.limit > maximumTableSize {
			t.Fatalf("a table of %d bytes", d.table.held)
		}
		if d.left < d.padding && d.state != lost || d.left < 0 {
			t.Fatalf("%d bytes are left of a frame, with padding of %d", d.left, d.padding)
		}
	}
}

func fuzzConversation(joined bool) (conversation, *observer) {
	o := &observer{}
	c := observed(o)
	c.Joined = joined
	c.limits = protocol.Limits{HeadBytes: 1000, Outstanding: 5}
	c.config.Headers.Request, c.config.Headers.Unredacted = fuzzNames, fuzzNames
	return c, o
}

// No input makes a parser panic or exceed its bounds. Without losses the result does not depend on how calls cut up the
// bytes.
func FuzzParser(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 1, 0x84, 2, 0, 1, 0xc6, 5}, []byte{1, 2, 3})
	f.Add([]byte{0, 3, 9, 3, 1, 1, 2, 2, 4, 6, 1, 0x44, 2, 5, 1, 2, 3, 4, 5, 6, 0, 7}, []byte{0})
	f.Add([]byte{0, 0x40, 0, 0, 1, 0xc4, 2, 0, 0, 15, 3, 1, 20, 0, 0x40, 1, 1, 2, 3, 1, 0xc4, 2}, []byte{200, 1})
	f.Add([]byte{0, 14, 12, 0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 1, 9, 1, 8, 8, 1, 10, 3, 1, 1, 1, 1}, []byte{5})
	f.Add([]byte{0, 11, 2, 0, 0x40, 2, 2, 1, 1, 2, 4, 0, 11, 255, 0, 0x40, 3, 5, 0, 5, 1, 6, 2, 4, 3, 3, 4, 4}, []byte{9, 4})
	f.Fuzz(func(t *testing.T, conv, cuts []byte) {
		if len(conv) > 1<<12 {
			return
		}
		w := newWire()
		w.begin()
		orderly := (&script{conv}).conv(w)
		var observers [2]*observer
		for i, pieces := range []func(int) int{whole, func(rest int) int { return rest }} {
			if i == 1 {
				s := &script{cuts}
				pieces = func(rest int) int { return min(rest, 1+s.next()) }
			}
			c, o := fuzzConversation(false)
			p := c.parser()
			y := player{parser: p}
			for _, step := range w.steps {
				y.play(step, pieces)
				bounded(t, p)
			}
			p.Close(closed)
			observers[i] = o
		}
		if !orderly {
			return
		}
		if !slices.Equal(observers[0].emitted, observers[1].emitted) ||
			!slices.EqualFunc(observers[0].full, observers[1].full, sameExchange) || observers[0].parseErrors != observers[1].parseErrors {
			t.Errorf("as sent\n  %s\n  %s\nin pieces\n  %s\n  %s", strings.Join(observers[0].emitted, "\n  "), observers[0].troubled(),
				strings.Join(observers[1].emitted, "\n  "), observers[1].troubled())
		}
	})
}

func sameExchange(a, b protocol.Exchange) bool {
	return a.Start == b.Start && a.End == b.End && a.Name == b.Name && a.Server == b.Server
}

// truth is what was sent of a request.
type truth struct {
	method, path, server string
	fields               []string
}

func (q truth) values(name string) (values []string) {
	for i := 0; i < len(q.fields); i += 2 {
		if q.fields[i] == name {
			values = append(values, q.fields[i+1])
		}
	}
	return values
}

// checker compares the emitted exchanges with the sent ones.
type checker struct {
	observer
	t    *testing.T
	sent map[uint64]truth // by the position of the request
}

func (j *checker) End(id protocol.ID, x *protocol.Exchange) {
	j.observer.End(id, x)
	q, ok := j.sent[x.Start.Position]
	if !ok {
		j.t.Fatalf("there was no request at %d", x.Start.Position)
	}
	all := x.Capture == protocol.CaptureComplete
	single := map[string]string{} // attributes with one value
	lists := map[string][]string{}
	for name, value := range protocoltest.Attributes(x) {
		switch value := value.(type) {
		case string:
			single[name] = value
		case []string:
			lists[name] = value
		}
	}
	for _, text := range []struct{ got, want, unknown string }{
		{single["http.request.method"], q.method, "_OTHER"},
		{single["http.request.method_original"], "", ""},
		{single["url.path"], q.path, ""},
		{x.Server, q.server, ""},
	} {
		if text.got != text.want && (all || text.got != text.unknown) {
			j.t.Fatalf("emitted %q, sent %q", text.got, text.want)
		}
	}
	for _, name := range fuzzNames {
		got, want := lists["http.request.header."+name], q.values(name)
		if all && !slices.Equal(got, want) {
			j.t.Fatalf("emitted all of %s: %q, sent %q", name, got, want)
		}
		for _, value := range got { // values may be missing, but the order of the rest is kept
			at := slices.Index(want, value)
			if at < 0 {
				j.t.Fatalf("emitted %s: %q, sent %q", name, got, q.values(name))
			}
			want = want[at+1:]
		}
	}
}

// An observer that joined in the middle, or that lost something, never takes a field for another.
func FuzzUnknownTable(f *testing.F) {
	f.Add([]byte{2, 0, 3, 0, 1, 1, 2, 4, 1, 0, 3, 0, 1, 1, 2, 4, 1, 0, 3, 0, 1, 1, 2, 4, 1, 0, 2, 1, 1, 3, 3})
	f.Add([]byte{0, 1, 3, 0, 4, 1, 4, 0, 5, 2, 3, 5, 4, 5, 0, 5, 6, 7, 1, 5, 0, 1, 0, 1, 2, 2, 2, 4, 9, 3, 9, 1, 2, 0, 4, 0, 4})
	f.Add([]byte{1, 0, 2, 4, 6, 0, 1, 2, 6, 0, 0, 6, 200, 1, 2, 4, 6, 0, 1, 3, 3, 3, 0, 3, 1, 2, 2, 9, 40, 5, 1, 4, 4, 5, 0, 0, 6})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<12 {
			return
		}
		s := &script{data}
		joined := s.next() % 8 // after so many requests
		c, _ := fuzzConversation(joined > 0)
		j := &checker{t: t, sent: map[uint64]truth{}}
		c.Sink, c.limits.Outstanding = j, 1<<12
		w := newWire()
		w.client.encoder.SetMaxDynamicTableSizeLimit(1 << 14)
		if joined == 0 {
			w.begin()
			w.server.settings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1 << 14})
		}
		seen := 0 // the first step that is seen
		for id := uint32(1); len(s.rest) > 0; id += 2 {
			if id == 2*uint32(joined)+1 {
				seen = len(w.steps)
			}
			op := s.next()
			q := truth{"GET", fuzzPaths[s.next()%len(fuzzPaths)], fmt.Sprintf("host-%d", s.next()%3), s.fields()}
			j.sent[sent(w.steps, protocol.FromClient)] = q
			if op%8 == 6 {
				w.client.encoder.SetMaxDynamicTableSize(uint32(s.next()) << 6)
			}
			fields := append([]string{":method", q.method, ":scheme", "http", ":authority", q.server, ":path", q.path}, q.fields...)
			if op&0x40 != 0 {
				w.client.inPieces(id, last, 1+s.next(), fields...)
			} else {
				w.client.headers(id, last, fields...)
			}
			if op%8 == 7 {
				size := len(w.steps[len(w.steps)-1].bytes)
				from := s.next() % size
				w.lose(protocol.Lost, from, min(size, from+1+s.next()))
			}
		}
		p := c.parser()
		y := player{parser: p}
		y.position[protocol.FromClient] = sent(w.steps[:seen], protocol.FromClient)
		for _, step := range w.steps[seen:] {
			y.play(step, whole)
			bounded(t, p)
		}
		p.Close(closed)
	})
}

// sent is how many bytes were sent in a direction.
func sent(steps []step, from protocol.Direction) (n uint64) {
	for _, s := range steps {
		if s.from == from {
			n += uint64(len(s.bytes))
		}
	}
	return n
}
