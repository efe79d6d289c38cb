package http2

import (
	"slices"
	"testing"

	"golang.org/x/net/http2"

	"github.com/socketflow/socketflow/internal/protocol"
)

const head = headerLength // of a frame

func TestLosses(t *testing.T) {
	for name, test := range map[string]struct {
		conv        func(w *wire)
		ending      protocol.Ending
		want        []string
		parseErrors string
	}{
		"within a body": {
			conv: func(w *wire) {
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
			conv: func(w *wire) {
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
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, more, "200")
				w.server.data(1, 100, last)
				w.lose(protocol.Lost, 0, -1)
			},
			want: []string{"GET /a 200 gap"},
		},
		"of the end of a response, on a connection that is reset": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, more, "200")
				w.server.data(1, 100, last)
				w.lose(protocol.Truncated, 5, -1)
			},
			ending: protocol.Ending{Errno: connectionReset},
			want:   []string{"GET /a 200 truncated"},
		},
		"of the end of a response, before the stream is reset": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.server.response(1, last, "400")
				w.lose(protocol.Lost, 0, -1)
				w.server.reset(1, http2.ErrCodeNo)
			},
			want: []string{"POST /a gap"},
		},
		"of a whole request": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.lose(protocol.Lost, 0, -1)
				w.client.data(1, 10, last)
				w.server.response(1, last, "200")
				w.client.get(3, "/b")
				w.server.response(3, last, "200")
			},
			want:        []string{"GET /b 200 gap"}, // the host is not known
			parseErrors: "unpaired 1, undecodable 1",
		},
		"in a request's head": {
			conv: func(w *wire) {
				w.client.request(1, last, "GET", "/a", "x", "y")
				w.lose(protocol.Lost, head+2, head+4) // :method and :scheme are a byte each
				w.server.response(1, last, "200")
				w.client.request(3, last, "GET", "/b", "x", "y")
				w.server.response(3, last, "200")
			},
			want:        []string{"GET 200 gap", "GET /b 200 gap"},
			parseErrors: "undecodable 1",
		},
		"in a response's head, and by a bound": {
			conv: func(w *wire) {
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
			want:        []string{"GET /a truncated", "GET /b truncated", "GET /c 418", "GET /d 418"},
			parseErrors: "undecodable 1",
		},
		"in the middle of a head in many frames": {
			conv: func(w *wire) {
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
			conv: func(w *wire) {
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
			conv: func(w *wire) {
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
			conv: func(w *wire) {
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
			conv: func(w *wire) {
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
			conv: func(w *wire) {
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
			conv: func(w *wire) {
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
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.lose(protocol.Lost, 0, -1)
				w.client.raw([]byte("something else")...)
				w.server.response(1, more, "103")
				w.server.response(1, more, "200")
				w.server.headers(1, last, "grpc-status", "0")
			},
			parseErrors: "unpaired 1",
		},
		"of the beginning of a request with trailers": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.lose(protocol.Lost, 0, -1)
				w.client.headers(1, last, "checksum", "1")
				w.server.response(1, last, "200")
				w.client.request(3, last, "GET", "/", "checksum", "1")
				w.server.response(3, last, "200")
			},
			want:        []string{"GET / 200 gap"},
			parseErrors: "unpaired 1, undecodable 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			w.begin()
			test.conv(w)
			check(t, observe(observed(&observer{}), w, test.ending, whole), test.want, test.parseErrors)
		})
	}
}
