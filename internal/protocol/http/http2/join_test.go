package http2

import (
	"fmt"
	"slices"
	"testing"
)

func TestJoins(t *testing.T) {
	for name, test := range map[string]struct {
		before      func(w *wire) // what was sent before observation
		conv        func(w *wire)
		want        []string
		parseErrors string
	}{
		"between requests": {
			before: func(w *wire) {
				w.client.get(1, "/before")
				w.server.response(1, last, "200")
			},
			conv: func(w *wire) {
				w.client.get(3, "/a")
				w.server.response(3, last, "200")
			},
			want:        []string{"GET /a 200 joined"}, // shop.test is not known
			parseErrors: "undecodable 1",
		},
		"and learns what is sent from then on": {
			before: func(w *wire) {
				w.client.request(1, last, "BREW", "/before")
				w.server.response(1, last, "299")
			},
			conv: func(w *wire) {
				for _, id := range []uint32{3, 5} {
					w.client.headers(id, last, ":method", "BREW", ":path", "/new", ":authority", "new.test", ":scheme", "http")
					w.server.response(id, last, "298")
				}
				w.client.headers(7, last, ":method", "GET", ":path", "/new", ":authority", "new.test", ":scheme", "http")
				w.server.response(7, last, "299")
			},
			want:        []string{"_OTHER /new 298 joined", "_OTHER /new 298 joined", "GET /new joined"},
			parseErrors: "undecodable 3",
		},
		"while a request is under way": {
			before: func(w *wire) {
				w.client.call(1, "/shop.Cart/Add")
			},
			conv: func(w *wire) {
				w.client.data(1, 50, last)
				w.server.response(1, more, "200", "content-type", "application/grpc")
				w.server.data(1, 50, more)
				w.server.headers(1, last, "grpc-status", "0")
				w.client.get(3, "/")
				w.server.response(3, last, "204")
			},
			want:        []string{"GET / 204 joined"},
			parseErrors: "undecodable 1",
		},
		"in the middle of a body": {
			before: func(w *wire) { w.client.request(1, more, "POST", "/before") },
			conv: func(w *wire) {
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
			conv: func(w *wire) {
				w.client.data(1, 50, last)
				for id := uint32(3); id <= 5; id += 2 {
					w.client.headers(id, last, ":method", "GET", ":path", "/", ":scheme", "http")
				}
				var steps []step
				for _, s := range w.steps {
					steps = append(steps, step{from: s.from, bytes: s.bytes[:head]}, step{from: s.from, bytes: s.bytes[head:]})
				}
				w.steps = steps[1:] // the first header was sent before observation
				w.server.response(3, last, "200")
				w.server.response(5, last, "200")
			},
			want: []string{"GET / 200", "GET / 200"},
		},
		"with what looked like a header alone": {
			before: func(*wire) {},
			conv: func(w *wire) {
				w.client.raw(0, 0, 8, 6, 0, 0, 0, 0, 0)
				w.client.headers(1, last, ":method", "GET", ":path", "/", ":scheme", "http")
				w.server.response(1, last, "200")
			},
			want: []string{"GET / 200"},
		},
		"before anything was said": {
			before: func(*wire) {},
			conv: func(w *wire) {
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
			conv: func(w *wire) {
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
			parseErrors: "undecodable 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			test.before(w)
			w.steps = nil
			test.conv(w)
			c := observed(&observer{})
			c.Joined = true
			check(t, observe(c, w, closed, whole), test.want, test.parseErrors)
		})
	}
}
