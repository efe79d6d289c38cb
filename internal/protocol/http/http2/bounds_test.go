package http2

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/socketflow/socketflow/internal/protocol"
)

// After each of these no receiver could go on, whatever was before it.
func TestMalformedFrames(t *testing.T) {
	for name, frame := range map[string][]byte{
		"a frame that is too large":              {0, 0x40, 1, 0, 0, 0, 0, 0, 1},
		"PING of another length":                 {0, 0, 7, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7},
		"SETTINGS of another length":             {0, 0, 5, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5},
		"an acknowledgement with settings":       {0, 0, 6, 4, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0},
		"SETTINGS of a stream":                   {0, 0, 0, 4, 0, 0, 0, 0, 1},
		"DATA of no stream":                      {0, 0, 0, 0, 0, 0, 0, 0, 0},
		"HEADERS of no stream":                   {0, 0, 1, 1, 4, 0, 0, 0, 0, 0x82},
		"HEADERS without the priority they have": {0, 0, 4, 1, 0x24, 0, 0, 0, 1, 0, 0, 0, 0},
		"padding beyond the end":                 {0, 0, 2, 1, 0xc, 0, 0, 0, 1, 2, 0x82},
		"CONTINUATION of nothing":                {0, 0, 1, 9, 4, 0, 0, 0, 1, 0x82},
		"a head that is interrupted":             {0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82, 0, 0, 0, 4, 0, 0, 0, 0, 0},
		"a head that goes on for another stream": {0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82, 0, 0, 1, 9, 4, 0, 0, 0, 3, 0x84},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			w.begin()
			w.client.raw(frame...)
			w.client.headers(9, last, ":method", "GET", ":scheme", "http", ":path", "/")
			w.server.response(9, last, "200")
			o := observe(observed(&observer{}), w, protocol.Ending{Unknown: true}, whole)
			if o.parseErrors[protocol.Malformed] != 1 {
				t.Errorf("malformed %d times", o.parseErrors[protocol.Malformed])
			}
			if !slices.Contains(o.emitted, "GET / 200") {
				t.Errorf("after it, emitted %q", o.emitted)
			}
		})
	}
}

// garbageChunks is how many calls without a frame the parser bears.
const garbageChunks = 256

func TestNonsenseEndsParsing(t *testing.T) {
	o := &observer{}
	w := newWire()
	w.begin()
	w.client.get(1, "/a")
	for range garbageChunks + 10 {
		w.client.raw([]byte("nonsense, and quite a lot of it")...)
	}
	w.server.response(1, last, "200")
	c := observed(o)
	p := c.parser()
	replay(p, w.steps, whole)
	for d := range protocol.Directions {
		if p.Demand(d).Skip != protocol.Forever {
			t.Error("it is not given up in direction", d)
		}
	}
	p.Gap(protocol.FromClient, 1, protocol.Stamp{}, protocol.Skipped)
	p.Close(closed)
	check(t, o, []string{"GET /a gap"}, "malformed 2")
}

// The parser goes on while it can read one of the two directions.
func TestOneDirectionIsEnoughToGoOn(t *testing.T) {
	o := &observer{}
	w := newWire()
	for i := range 4 * garbageChunks {
		w.client.raw([]byte(strings.Repeat("part of a body", 20))...)
		if i%100 == 0 {
			w.server.must(w.server.framer.WriteWindowUpdate(1, 1000))
		}
	}
	w.client.get(3, "/a")
	w.server.response(3, last, "200")
	c := observed(o)
	c.Joined = true
	p := c.parser()
	replay(p, w.steps, whole)
	p.Close(closed)
	check(t, o, []string{"GET /a 200"}, "")
}

func TestOldestStreamsAreDropped(t *testing.T) {
	for name, test := range map[string]struct {
		conv        func(w *wire)
		want        []string
		parseErrors string
	}{
		"requests": {
			conv: func(w *wire) {
				for id := uint32(1); id <= 9; id += 2 {
					w.client.get(id, fmt.Sprint("/", id))
				}
				for id := uint32(1); id <= 9; id += 2 {
					w.server.response(id, last, "200")
				}
			},
			want:        []string{"GET /5 200", "GET /7 200", "GET /9 200"},
			parseErrors: "too_many 2",
		},
		"responses without requests before requests": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(101, last, "200")
				w.server.response(103, last, "200")
				w.client.get(3, "/b")
				w.client.get(5, "/c")
				w.server.response(1, last, "200")
			},
			want:        []string{"GET /a 200", "GET /b !connection_closed", "GET /c !connection_closed"},
			parseErrors: "unpaired 2",
		},
		"requests that were answered before their end": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/1")
				w.server.response(1, last, "413")
				for id := uint32(3); id <= 9; id += 2 {
					w.client.get(id, fmt.Sprint("/", id))
				}
				for id := uint32(3); id <= 9; id += 2 {
					w.server.response(id, last, "200")
				}
			},
			want:        []string{"POST /1 413", "GET /5 200", "GET /7 200", "GET /9 200"},
			parseErrors: "too_many 1",
		},
		"those whose end may have been lost": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, last, "200")
				w.lose(protocol.Lost, 0, -1)
				for id := uint32(3); id <= 7; id += 2 {
					w.client.get(id, "/b")
				}
				w.server.response(3, last, "200")
			},
			want:        []string{"GET /b 200", "GET /b !connection_closed", "GET /b !connection_closed"},
			parseErrors: "unpaired 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			w.begin()
			test.conv(w)
			c := observed(&observer{})
			c.limits.Outstanding = 3
			check(t, observe(c, w, closed, whole), test.want, test.parseErrors)
		})
	}
}

// Each stream has a copy of the text that all refer to with one byte.
func TestEndOfAConnectionEmitsBoundedCopies(t *testing.T) {
	const streams, path = 2000, 1500
	for name, test := range map[string]struct {
		path    string
		emitted int
	}{
		"of a long path":  {"/" + strings.Repeat("a", path-1), maximumShared / path},
		"of a short path": {"/a", streams},
	} {
		t.Run(name, func(t *testing.T) {
			o := &observer{}
			w := newWire()
			w.begin()
			for i := range streams {
				w.client.headers(uint32(2*i+1), last, ":method", "GET", ":scheme", "http", ":path", test.path)
			}
			c := observed(o)
			c.limits.Outstanding = streams
			observe(c, w, protocol.Ending{Unknown: true}, whole)
			if len(o.emitted) != test.emitted || o.parseErrors[protocol.TooMany] != streams-test.emitted {
				t.Errorf("emitted %d, counted %d", len(o.emitted), o.parseErrors[protocol.TooMany])
			}
		})
	}
}

// Dropping a stream while its head is read harms no other stream.
func TestStreamEndsWhileItsHeadIsRead(t *testing.T) {
	w := newWire()
	w.begin()
	w.client.inPieces(1, last, 10, requestFields("GET", "/a", "x", "y")...)
	rest := w.steps[len(w.steps)-1]
	w.steps = w.steps[:len(w.steps)-1]
	w.server.reset(1, http2.ErrCodeProtocol)
	w.steps = append(w.steps, rest)
	w.client.request(3, last, "GET", "/b", "x", "y")
	w.server.response(3, last, "200")
	o := observe(observed(&observer{}), w, closed, whole)
	if n := len(o.emitted); n != 2 || o.emitted[1] != "GET /b 200" || !strings.HasSuffix(o.emitted[0], "!PROTOCOL_ERROR") {
		t.Errorf("emitted %q", o.emitted)
	}
}

func TestSkip(t *testing.T) {
	w := newWire()
	w.begin()
	w.client.request(1, more, "POST", "/a")
	c := observed(&observer{})
	p := c.parser()
	replay(p, w.steps, whole)
	sent := func(b ...byte) {
		p.Data(&protocol.Chunk{Direction: protocol.FromClient, Bytes: b})
	}
	for _, test := range []struct {
		name string
		do   func()
		want uint64
	}{
		{"between frames", func() {}, 0},
		{"in a frame's header", func() { sent(0, 0, 100, 0, 0) }, 0},
		{"at the beginning of a body", func() { sent(0, 0, 0, 1) }, 100},
		{"in it", func() { sent(bytes.Repeat([]byte("x"), 30)...) }, 70},
		{"behind what was skipped", func() { p.Gap(protocol.FromClient, 50, protocol.Stamp{}, protocol.Skipped) }, 20},
		{"at its end", func() { p.Gap(protocol.FromClient, 20, protocol.Stamp{}, protocol.Lost) }, 0},
		{"in a head", func() { sent(0, 0, 100, 1, 4, 0, 0, 0, 3, 0x82) }, 0},
		{"in a head that was hit", func() { p.Gap(protocol.FromClient, 9, protocol.Stamp{}, protocol.Lost) }, 90},
		{"where frames are looked for", func() { p.Gap(protocol.FromClient, 91, protocol.Stamp{}, protocol.Lost) }, 0},
	} {
		test.do()
		if got := p.Demand(protocol.FromClient).Skip; got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
