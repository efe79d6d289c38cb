package http1

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/protocol"
)

// TestSizesOfBodies: those that were seen to their end.
func TestSizesOfBodies(t *testing.T) {
	known := func(n uint64) protocol.Size { return protocol.Size{Bytes: n, Known: true} }
	unknown := protocol.Size{}
	for name, test := range map[string]struct {
		steps []step
		want  [protocol.Directions]protocol.Size
	}{
		"none":                      {[]step{client(get), server("HTTP/1.1 204 No Content\r\n\r\n")}, [...]protocol.Size{known(0), known(0)}},
		"of known length":           {[]step{client(post), clientGap(100, skipped), server(ok)}, [...]protocol.Size{known(100), known(2)}},
		"with bytes that were lost": {[]step{client(get), server(large + "x"), serverGap(99, missing)}, [...]protocol.Size{known(0), known(100)}},
		"in chunks": {
			[]step{client(postChunks + "3\r\nabc\r\n0\r\n\r\n"), server(chunked + "64\r\n"), serverGap(100, truncated), server("\r\n5;a=b\r\n12345\r\n0\r\nx: y\r\n\r\n")},
			[...]protocol.Size{known(3), known(105)},
		},
		"until the end":       {[]step{client(get), server(forever + "123"), closes("")}, [...]protocol.Size{known(0), unknown}},
		"cut short":           {[]step{client(get), server(large + "x"), closes("ECONNRESET")}, [...]protocol.Size{known(0), unknown}},
		"never sent":          {[]step{client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"), server(ok), client(getB)}, [...]protocol.Size{unknown, known(2)}},
		"announced to a HEAD": {[]step{client("HEAD /a HTTP/1.1\r\n\r\n"), server(large)}, [...]protocol.Size{known(0), known(0)}},
		"after a continue": {
			[]step{client("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"), server("HTTP/1.1 100 Continue\r\n\r\n"), client("1234"), server(ok)},
			[...]protocol.Size{known(4), known(2)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{whole, 1} {
				if n == 1 && name == "never sent" { // a body may look like a request, if it comes byte by byte
					continue
				}
				s := newScene(false)
				s.playAll(test.steps, n)
				if assert.NotEmpty(t, s.bodies) {
					assert.Equal(t, test.want, s.bodies[0], "in pieces of %d bytes", n)
				}
			}
		})
	}
}
