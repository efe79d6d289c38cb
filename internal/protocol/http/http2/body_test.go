package http2

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/protocol"
)

// TestSizesOfBodies: those that were seen to their end.
func TestSizesOfBodies(t *testing.T) {
	known := func(n uint64) protocol.Size { return protocol.Size{Bytes: n, Known: true} }
	unknown := protocol.Size{}
	for name, test := range map[string]struct {
		conv func(w *wire)
		want [protocol.Directions]protocol.Size
	}{
		"none": {func(w *wire) {
			w.client.get(1, "/a")
			w.server.response(1, last, "204")
		}, [...]protocol.Size{known(0), known(0)}},
		"in several frames": {func(w *wire) {
			w.client.request(1, more, "POST", "/a")
			w.client.data(1, 10, more)
			w.client.data(1, 20, last)
			w.server.response(1, more, "200")
			w.server.data(1, 100, more)
			w.server.data(1, 0, last)
		}, [...]protocol.Size{known(30), known(100)}},
		"with trailers": {func(w *wire) {
			w.client.get(1, "/a")
			w.server.response(1, more, "200")
			w.server.data(1, 7, more)
			w.server.headers(1, last, "checksum", "1")
		}, [...]protocol.Size{known(0), known(7)}},
		"not looked at": {func(w *wire) {
			w.client.get(1, "/a")
			w.server.response(1, more, "200")
			w.server.data(1, 100, last)
			w.lose(protocol.Skipped, head, head+100)
		}, [...]protocol.Size{known(0), known(100)}},
		"padded": {func(w *wire) {
			w.client.get(1, "/a")
			w.server.response(1, more, "200")
			w.server.must(w.server.framer.WriteDataPadded(1, last, make([]byte, 10), make([]byte, 5)))
		}, [...]protocol.Size{known(0), unknown}},
		"cut short": {func(w *wire) {
			w.client.get(1, "/a")
			w.server.response(1, more, "200")
			w.server.data(1, 10, more)
			w.server.reset(1, 2)
		}, [...]protocol.Size{known(0), unknown}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			w.begin()
			test.conv(w)
			o := observe(observed(&observer{}), w, closed, whole)
			require.Len(t, o.full, 1)
			assert.Equal(t, test.want, [...]protocol.Size{o.full[0].RequestBody, o.full[0].ResponseBody})
		})
	}
}
