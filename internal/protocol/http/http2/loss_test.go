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

const head = headerLength // of a frame

func TestLosses(t *testing.T) {
	for name, test := range map[string]struct {
		talk     func(w *wire)
		ending   protocol.Ending
		want     []string
		troubles string
	}{
		"within a body": {
			talk: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.client.data(1, 100, last)
				w.lose(protocol.Lost, head+10, head+50)
				w.server.response(1, more, "200")
				w.server.data(1, 100, last)
				w.lose(protocol.Skipped, head, -1)
				w.client.get(3, "/a")
				w.server.response(3, last, "200")
			},
			want: []string{"POST /a 200", "GET /a 200"},
		},
		"from a body into what follows": {
			talk: func(w *wire) {
				w.client.get(1, "/a")
				w.client.get(3, "/b")
				w.server.response(1, more, "200")
				w.server.data(1, 100, last)
				w.server.ping()
				w.join()
				w.lose(protocol.Lost, head+50, -1)
				w.server.response(3, last, "200")
				w.client.get(5, "/c")
				w.server.response(5, last, "200")
			},
			want: []string{"GET /a 200", "GET /b 200 gap", "GET /c 200"},
		},
		"of the end of a response": {
			talk: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, more, "200")
				w.server.data(1, 100, last)
				w.lose(protocol.Lost, 0, -1)
			},
			want: []string{"GET /a 200 gap"},
		},
		"of the end of a response, on a connection that is reset": {
			talk: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, more, "200")
				w.server.data(1, 100, last)
				w.lose(protocol.Truncated, 5, -1)
			},
			ending: protocol.Ending{Error: "ECONNRESET"},
			want:   []string{"GET /a 200 truncated"},
		},
		"of the end of a response, before the stream is reset": {
			talk: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.server.response(1, last, "400")
				w.lose(protocol.Lost, 0, -1)
				w.server.reset(1, http2.ErrCodeNo)
			},
			want: []string{"POST /a gap"},
		},
		"of a whole request": {
			talk: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.lose(protocol.Lost, 0, -1)
				w.client.data(1, 10, last)
				w.server.response(1, last, "200")
				w.client.get(3, "/b")
				w.server.response(3, last, "200")
			},
			want:     []string{"GET /b 200 gap"}, // to whom is not known
			troubles: "unpaired 1, undecodable 1",
		},
		"in a request's head": {
			talk: func(w *wire) {
				w.client.request(1, last, "GET", "/a", "x", "y")
				w.lose(protocol.Lost, head+2, head+4) // :method and :scheme are a byte each
				w.server.response(1, last, "200")
				w.client.request(3, last, "GET", "/b", "x", "y")
				w.server.response(3, last, "200")
			},
			want:     []string{"GET 200 gap", "GET /b 200 gap"},
			troubles: "undecodable 1",
		},
		"in a response's head, and by a bound": {
			talk: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, last, "299", "server", "test")
				w.lose(protocol.Truncated, head+1, -1)
				w.client.get(3, "/b")
				w.server.response(3, last, "299", "server", "test")
				w.client.get(5, "/c")
				w.server.response(5, last, "418", "server", "more")
				w.client.get(7, "/d")
				w.server.response(7, last, "418", "server", "more")
			},
			want:     []string{"GET /a truncated", "GET /b truncated", "GET /c 418", "GET /d 418"},
			troubles: "undecodable 1",
		},
		"in the middle of a head in many frames": {
			talk: func(w *wire) {
				from := len(w.steps)
				w.client.inPieces(1, last, 10, requestFields("GET", "/a", "x", "y")...)
				rest := slices.Clone(w.steps[from+2:])
				w.steps = w.steps[:from+2]
				w.lose(protocol.Lost, head, -1)
				w.steps = append(w.steps, rest...)
				w.server.response(1, last, "200")
			},
			want: []string{"GET 200 gap"},
		},
		"of padding and of what says how much there is": {
			talk: func(w *wire) {
				for id := uint32(1); id <= 3; id += 2 {
					w.client.must(w.client.framer.WriteHeaders(http2.HeadersFrameParam{
						StreamID: id, BlockFragment: w.client.encode(requestFields("GET", "/")...),
						EndHeaders: true, EndStream: true, PadLength: 20,
					}))
					if id == 1 {
						w.lose(protocol.Lost, len(w.steps[len(w.steps)-1].bytes)-15, -1)
					} else {
						w.lose(protocol.Lost, head, head+1)
					}
					w.server.response(id, last, "200")
				}
			},
			want: []string{"GET / 200", "_OTHER 200 gap"},
		},
		"within frames that say nothing of requests": {
			talk: func(w *wire) {
				w.client.get(1, "/a")
				w.server.ping()
				w.lose(protocol.Lost, head+2, head+5)
				w.server.settings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
				w.lose(protocol.Lost, head+1, -1)
				w.client.ping()
				w.client.request(3, more, "POST", "/b")
				w.client.data(3, 1<<16, last)
				w.server.response(1, last, "200")
				w.server.response(3, last, "200")
			},
			want: []string{"GET /a 200", "POST /b 200"},
		},
		"of an error code": {
			talk: func(w *wire) {
				w.client.get(1, "/a")
				w.server.reset(1, http2.ErrCodeCancel)
				w.lose(protocol.Lost, head, -1)
				w.client.get(3, "/b")
				w.server.goAway(0)
				w.lose(protocol.Lost, head, -1)
				w.server.response(3, last, "200")
			},
			want: []string{"GET /a gap", "GET /b 200"},
		},
		"of the preface": {
			talk: func(w *wire) {
				w.steps = w.steps[:0]
				w.client.raw([]byte(preface)...)
				w.lose(protocol.Lost, 0, -1)
				w.client.settings()
				w.client.get(1, "/a")
				w.server.response(1, last, "200")
			},
			want: []string{"GET /a 200"},
		},
		"of the preface and more": {
			talk: func(w *wire) {
				w.steps = w.steps[:0]
				w.client.raw([]byte(preface)...)
				w.client.settings()
				w.join()
				w.lose(protocol.Lost, 3, -1)
				w.client.get(1, "/a")
				w.server.response(1, last, "200")
			},
			want: []string{"GET /a 200"},
		},
		"while nothing looks like a frame": {
			talk: func(w *wire) {
				w.client.get(1, "/a")
				w.server.ping()
				w.lose(protocol.Lost, 0, -1)
				w.client.get(3, "/b")
				w.server.raw([]byte("something else")...)
				w.server.response(1, last, "200")
				w.server.response(3, last, "200")
			},
			want: []string{"GET /a 200 gap", "GET /b 200 gap"},
		},
		"of requests, but not of responses": {
			talk: func(w *wire) {
				w.client.get(1, "/a")
				w.lose(protocol.Lost, 0, -1)
				w.client.raw([]byte("something else")...)
				w.server.response(1, more, "103")
				w.server.response(1, more, "200")
				w.server.headers(1, last, "grpc-status", "0")
			},
			troubles: "unpaired 1",
		},
		"of the beginning of a request with trailers": {
			talk: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.lose(protocol.Lost, 0, -1)
				w.client.headers(1, last, "checksum", "1")
				w.server.response(1, last, "200")
				w.client.request(3, last, "GET", "/", "checksum", "1")
				w.server.response(3, last, "200")
			},
			want:     []string{"GET / 200 gap"},
			troubles: "unpaired 1, undecodable 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			w.begin()
			test.talk(w)
			check(t, observe(conversation(&observer{}), w, test.ending, whole), test.want, test.troubles)
		})
	}
}

func TestJoins(t *testing.T) {
	for name, test := range map[string]struct {
		before   func(w *wire) // is not seen
		talk     func(w *wire)
		want     []string
		troubles string
	}{
		"between requests": {
			before: func(w *wire) {
				w.client.get(1, "/before")
				w.server.response(1, last, "200")
			},
			talk: func(w *wire) {
				w.client.get(3, "/a")
				w.server.response(3, last, "200")
			},
			want:     []string{"GET /a 200 joined"}, // shop.test is not known
			troubles: "undecodable 1",
		},
		"and learns what is sent from then on": {
			before: func(w *wire) {
				w.client.request(1, last, "BREW", "/before")
				w.server.response(1, last, "299")
			},
			talk: func(w *wire) {
				for _, id := range []uint32{3, 5} {
					w.client.headers(id, last, ":method", "BREW", ":path", "/new", ":authority", "new.test", ":scheme", "http")
					w.server.response(id, last, "298")
				}
				w.client.headers(7, last, ":method", "GET", ":path", "/new", ":authority", "new.test", ":scheme", "http")
				w.server.response(7, last, "299")
			},
			want:     []string{"_OTHER /new 298 joined", "_OTHER /new 298 joined", "GET /new joined"},
			troubles: "undecodable 3",
		},
		"while a request is under way": {
			before: func(w *wire) {
				w.client.call(1, "/shop.Cart/Add")
			},
			talk: func(w *wire) {
				w.client.data(1, 50, last)
				w.server.response(1, more, "200", "content-type", "application/grpc")
				w.server.data(1, 50, more)
				w.server.headers(1, last, "grpc-status", "0")
				w.client.get(3, "/")
				w.server.response(3, last, "204")
			},
			want:     []string{"GET / 204 joined"},
			troubles: "undecodable 1",
		},
		"in the middle of a body": {
			before: func(w *wire) { w.client.request(1, more, "POST", "/before") },
			talk: func(w *wire) {
				w.client.data(1, 5000, last)
				s := &w.steps[len(w.steps)-1]
				s.bytes = s.bytes[1000:]
				w.client.headers(3, last, ":method", "GET", ":path", "/", ":scheme", "http")
				w.server.response(1, last, "200")
				w.server.response(3, last, "204")
			},
			want: []string{"GET / 204"},
		},
		"with a program that reads headers of frames alone": {
			before: func(w *wire) { w.client.request(1, more, "POST", "/before") },
			talk: func(w *wire) {
				w.client.data(1, 50, last)
				for id := uint32(3); id <= 5; id += 2 {
					w.client.headers(id, last, ":method", "GET", ":path", "/", ":scheme", "http")
				}
				var steps []step
				for _, s := range w.steps {
					steps = append(steps, step{from: s.from, bytes: s.bytes[:head]}, step{from: s.from, bytes: s.bytes[head:]})
				}
				w.steps = steps[1:] // the first header was before
				w.server.response(3, last, "200")
				w.server.response(5, last, "200")
			},
			want: []string{"GET / 200", "GET / 200"},
		},
		"before anything was said": {
			before: func(*wire) {},
			talk: func(w *wire) {
				w.begin()
				w.client.get(1, "/a")
				w.client.get(3, "/a")
				w.server.response(1, last, "299")
				w.server.response(3, last, "299")
			},
			want: []string{"GET /a 299", "GET /a 299"},
		},
		"with an encoder whose table was made larger": {
			before: func(w *wire) {
				w.client.encoder.SetMaxDynamicTableSizeLimit(1 << 16)
				w.client.encoder.SetMaxDynamicTableSize(1 << 16)
				w.client.get(1, "/before")
			},
			talk: func(w *wire) {
				fields := []string{":method", "GET", ":scheme", "http", ":path", "/new"}
				w.client.headers(3, last, fields...)
				for id := uint32(5); id < 51; id += 2 {
					w.client.headers(id, last, ":method", "GET", ":scheme", "http", ":path", "/", "x", fmt.Sprintf("%0500d", id))
				}
				w.client.headers(51, last, fields...) // too old for a table of the usual size
				w.client.headers(53, last, ":method", "GET", ":scheme", "http", ":path", "/last")
				for id := uint32(55); id < 101; id += 2 {
					w.client.headers(id, last, ":method", "GET", ":scheme", "http", ":path", "/", "x", fmt.Sprintf("%0500d", id))
				}
				w.client.headers(101, last, ":method", "GET", ":scheme", "http", ":path", "/last")
				for id := uint32(3); id <= 101; id += 2 {
					w.server.response(id, last, "204")
				}
			},
			want: slices.Concat([]string{"GET /new 204"}, slices.Repeat([]string{"GET / 204"}, 23),
				[]string{"GET 204 joined", "GET /last 204"}, slices.Repeat([]string{"GET / 204"}, 23), []string{"GET /last 204"}),
			troubles: "undecodable 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			test.before(w)
			w.steps = nil
			test.talk(w)
			c := conversation(&observer{})
			c.Joined = true
			check(t, observe(c, w, closed, whole), test.want, test.troubles)
		})
	}
}

// What no receiver could go on after, whatever was before it.
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
			o := observe(conversation(&observer{}), w, protocol.Ending{Unknown: true}, whole)
			if o.troubles[protocol.Malformed] != 1 {
				t.Errorf("malformed %d times", o.troubles[protocol.Malformed])
			}
			if !slices.Contains(o.told, "GET / 200") {
				t.Errorf("after it, told %q", o.told)
			}
		})
	}
}

func TestNonsenseIsGivenUp(t *testing.T) {
	o := &observer{}
	w := newWire()
	w.begin()
	w.client.get(1, "/a")
	for range garbageChunks + 10 {
		w.client.raw([]byte("nonsense, and quite a lot of it")...)
	}
	w.server.response(1, last, "200")
	p := newParser(conversation(o))
	replay(p, w.steps, whole)
	for d := range protocol.Directions {
		if p.Skip(d) != protocol.Forever {
			t.Error("it is not given up in direction", d)
		}
	}
	p.Gap(protocol.FromClient, 1, protocol.Mark{}, protocol.Skipped)
	p.Close(closed)
	check(t, o, []string{"GET /a gap"}, "malformed 2")
}

// A direction that cannot be read is no reason to give up if the other can.
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
	c := conversation(o)
	c.Joined = true
	p := newParser(c)
	replay(p, w.steps, whole)
	p.Close(closed)
	check(t, o, []string{"GET /a 200"}, "")
}

func TestOldestStreamsAreDropped(t *testing.T) {
	for name, test := range map[string]struct {
		talk     func(w *wire)
		want     []string
		troubles string
	}{
		"requests": {
			talk: func(w *wire) {
				for id := uint32(1); id <= 9; id += 2 {
					w.client.get(id, fmt.Sprint("/", id))
				}
				for id := uint32(1); id <= 9; id += 2 {
					w.server.response(id, last, "200")
				}
			},
			want:     []string{"GET /5 200", "GET /7 200", "GET /9 200"},
			troubles: "too_many 2",
		},
		"responses without requests before requests": {
			talk: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(101, last, "200")
				w.server.response(103, last, "200")
				w.client.get(3, "/b")
				w.client.get(5, "/c")
				w.server.response(1, last, "200")
			},
			want:     []string{"GET /a 200", "GET /b !connection_closed", "GET /c !connection_closed"},
			troubles: "unpaired 2",
		},
		"those whose end may have been lost": {
			talk: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, last, "200")
				w.lose(protocol.Lost, 0, -1)
				for id := uint32(3); id <= 7; id += 2 {
					w.client.get(id, "/b")
				}
				w.server.response(3, last, "200")
			},
			want:     []string{"GET /b 200", "GET /b !connection_closed", "GET /b !connection_closed"},
			troubles: "unpaired 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			w.begin()
			test.talk(w)
			c := conversation(&observer{})
			c.Settings.Outstanding = 3
			check(t, observe(c, w, closed, whole), test.want, test.troubles)
		})
	}
}

// A stream that is dropped while its head is read takes nothing with it.
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
	o := observe(conversation(&observer{}), w, closed, whole)
	if n := len(o.told); n != 2 || o.told[1] != "GET /b 200" || !strings.HasSuffix(o.told[0], "!PROTOCOL_ERROR") {
		t.Errorf("told %q", o.told)
	}
}

func TestSkip(t *testing.T) {
	w := newWire()
	w.begin()
	w.client.request(1, more, "POST", "/a")
	p := newParser(conversation(&observer{}))
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
		{"behind what was skipped", func() { p.Gap(protocol.FromClient, 50, protocol.Mark{}, protocol.Skipped) }, 20},
		{"at its end", func() { p.Gap(protocol.FromClient, 20, protocol.Mark{}, protocol.Lost) }, 0},
		{"in a head", func() { sent(0, 0, 100, 1, 4, 0, 0, 0, 3, 0x82) }, 0},
		{"in a head that was hit", func() { p.Gap(protocol.FromClient, 9, protocol.Mark{}, protocol.Lost) }, 90},
		{"where frames are looked for", func() { p.Gap(protocol.FromClient, 91, protocol.Mark{}, protocol.Lost) }, 0},
	} {
		test.do()
		if got := p.Skip(protocol.FromClient); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
