package http1

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// fragments are the building blocks of the fuzzed bytes: random bytes alone seldom form a message.
var fragments = []string{
	get, getB, post, postChunks, ok, notFound, large, chunked, forever, "HEAD /h HTTP/1.1\r\n\r\n", "5\r\nhello\r\n", "0\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 101 X\r\nUpgrade: h2c\r\n\r\n",
	"CONNECT h:1 HTTP/1.1\r\n\r\n", "GET /u HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", "\r\n", "\r", "\n", " folded\r\n", "G", "HTTP/1.",
	"POST /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n",
	"GET /half HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n", strings.Repeat("x", 700), "X: " + strings.Repeat("y", 900) + "\r\n",
	"GET /" + strings.Repeat("t", 1500), "HTTP/1.1 204 No Content\r\n\r\n",
}

// FuzzParser gives the parser arbitrary operations: the first byte selects the operation, the second its size.
func FuzzParser(f *testing.F) {
	f.Add([]byte{0, 0, 1, 4, 0, 1, 1, 5}, false)
	f.Add([]byte{0, 3, 4, 50, 1, 4, 5, 100, 0, 0, 1, 4, 8, 0}, false)
	f.Add([]byte{1, 4, 0, 0, 1, 7, 1, 10, 5, 3, 0, 1, 9, 0}, true)
	f.Add([]byte{0, 16, 0, 12, 1, 14, 1, 14, 0, 0}, false)
	f.Add([]byte{0, 15, 2, 4, 22, 3, 1, 2, 1, 8, 3, 2, 1, 2}, false)
	f.Add(bytes.Repeat([]byte{0, 0}, 12), false)
	f.Add(bytes.Repeat([]byte{1, 29}, 20), true)
	f.Add(bytes.Repeat([]byte{0, 25, 0, 28}, 10), false)
	f.Fuzz(chaos)
}

func chaos(t *testing.T, script []byte, joined bool) {
	s := newScene(joined)
	total := uint64(0)
	for at := uint64(1); len(script) >= 2; at++ {
		do, n := script[0], script[1]
		script = script[2:]
		p := step{direction: protocol.Direction(do & 1)}
		switch do >> 1 % 5 {
		case 0:
			p.bytes = fragments[int(n)%len(fragments)]
		case 1:
			p.bytes = string(script[:min(int(n), len(script))])
			script = script[len(p.bytes):]
		case 2, 3:
			p.missing, p.why = uint64(n)+1, protocol.Loss(do>>4%3)
		case 4:
			half := fragments[int(n)%len(fragments)]
			p.bytes = half[:len(half)/2]
		}
		total += uint64(len(p.bytes))
		s.play(at, p, 1+int(do>>2)*4)
		s.checkBounds(t)
		for _, d := range []protocol.Direction{protocol.FromClient, protocol.FromServer} {
			if n := s.parser.Demand(d).Skip; n != 0 && n != protocol.Forever && do&0x80 != 0 {
				s.play(at, step{direction: d, missing: n, why: protocol.Skipped}, 0)
			}
		}
	}
	s.play(1<<20, closes("ECONNRESET"), 0)
	// The shortest line that a server may answer, with 400, is "G x\n".
	if uint64(s.exchanges) > total/4 {
		t.Errorf("%d exchanges in %d bytes", s.exchanges, total)
	}
	for i, m := range s.stamps {
		if m[0].Time == 0 || m[1].Time == 0 || m[0].Position >= s.positions[protocol.FromClient] {
			t.Errorf("%s: %v", s.emitted[i], m)
		}
	}
	if p := s.parser; p.queue.Len() > 0 || p.streams[0].held != nil || p.streams[1].held != nil || p.streams[0].Held() != 0 || p.streams[1].Held() != 0 {
		t.Errorf("memory is not given back")
	}
}

// checkBounds checks the bounds of the parser's memory.
func (s *scene) checkBounds(t *testing.T) {
	t.Helper()
	p := s.parser
	if p.next != nil {
		return
	}
	requests, waiting := 0, 0
	for x := p.queue.First(); x != nil; x = x.links.Next() {
		requests++
		if !x.responded {
			waiting++
		}
	}
	if waiting != p.waiting || waiting > testLimits.Outstanding || requests > waiting+1 {
		t.Errorf("%d requests, %d waiting of %d", requests, waiting, p.waiting)
	}
	for d := range p.streams {
		q := &p.streams[d]
		if len(q.Bytes()) > testLimits.HeadBytes {
			t.Errorf("a line of %d bytes", len(q.Bytes()))
		}
		if h := q.held; h != nil && (len(h.bytes) > testLimits.HeadBytes || len(h.parts) > 2*framing.MaxParts+1) {
			t.Errorf("%d bytes, %d parts", len(h.bytes), len(h.parts))
		}
		if q.held != nil && p.ready(q) {
			t.Errorf("what is ready is held")
		}
	}
}

// catalogue holds valid exchanges; each ~ is a byte of a body of known length.
var catalogue = []struct{ request, response, want string }{
	{get, ok, "GET /a 200"},
	{"POST /p HTTP/1.1\r\nContent-Length: 9\r\n\r\n~~~~~~~~~", "HTTP/1.1 201 Made\r\nContent-Length: 4\r\n\r\n~~~~", "POST /p 201"},
	{"HEAD /h HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n", "HEAD /h 200"},
	{"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\na;x=y\r\n~~~~~~~~~~\r\n0\r\nT: v\r\n\r\n", chunked + "3\r\n~~~\r\n4\r\n~~~~\r\n0\r\n\r\n", "PUT /c 200"},
	{"\r\nGET /f?q=1 HTTP/1.1\nX: a\n b\nContent-Length:\n 2\n\n~~", "HTTP/1.1 404 N F\nContent-Length: 3\n\n~~~", "GET /f?q=1 404"},
	{"GET /n HTTP/1.1\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET /n 304"},
	{"DELETE /d HTTP/1.1\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 H\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "DELETE /d 204"},
	{"GET /u HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "GET /u 500 !500"},
	{"POST /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n~~~", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "POST /e 200"},
	{"CONNECT h:1 HTTP/1.1\r\n\r\n", "HTTP/1.1 407 Who\r\nContent-Length: 2\r\n\r\n~~", "CONNECT 407"},
}

var wide = protocol.Limits{HeadBytes: 16 << 10, Outstanding: 64}

func newWideScene() *scene {
	return newSceneWith(start(wide), false)
}

// FuzzSegmentation spreads valid exchanges over system calls in all ways, of both directions in any order. The parser has
// to emit the same exchanges each time.
func FuzzSegmentation(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []byte{255})
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []byte{2, 3})
	f.Add([]byte{4, 3, 3, 8, 7, 9, 0}, []byte{3, 2, 9, 40, 1})
	f.Add([]byte{7, 7, 1, 9, 9, 2}, []byte{255, 255, 255, 254})
	f.Add([]byte{6, 8, 1}, []byte{8, 16, 5, 6, 7, 12, 11, 200, 13})
	f.Fuzz(func(t *testing.T, chosen, sizes []byte) {
		var streams [protocol.Directions][]byte
		var want []string
		for _, c := range chosen[:min(len(chosen), wide.Outstanding)] {
			x := &catalogue[int(c)%len(catalogue)]
			streams[0] = append(streams[0], x.request...)
			streams[1] = append(streams[1], x.response...)
			want = append(want, x.want)
		}
		s := newWideScene()
		for i := 0; len(streams[0])+len(streams[1]) > 0; i++ {
			d, size := i&1, 1<<20
			if len(sizes) > 0 {
				size = int(sizes[i%len(sizes)])
				d, size = size&1, size>>1+1
			}
			if len(streams[d]) == 0 || i > 1<<16 {
				d ^= 1
			}
			piece := streams[d][:min(size, len(streams[d]))]
			streams[d] = streams[d][len(piece):]
			p := step{direction: protocol.Direction(d), bytes: string(piece)}
			if i%3 == 0 && i < framing.MaxParts && bytes.Count(piece, []byte("~")) == len(piece) {
				p.bytes, p.missing, p.why = "", uint64(len(piece)), protocol.Loss(i%int(protocol.Lost+1))
			}
			s.play(uint64(i+1), p, whole)
		}
		s.play(1<<20, closes(""), 0)
		got := slices.Clone(s.emitted)
		for i := range got {
			_, got[i], _ = strings.Cut(got[i], " ")
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q\nwant %q", got, want)
		}
	})
}
