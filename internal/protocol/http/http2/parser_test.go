package http2

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/socketflow/socketflow/internal/protocol"
)

var (
	closed  = protocol.Ending{}
	wasLong = strings.Repeat("a", 4000) // longer than the bound of a head, even in Huffman's code
)

// All of these are seen from the first byte on and without loss, so the result does not depend on how calls cut them up.
func TestExchanges(t *testing.T) {
	for name, test := range map[string]struct {
		conv        func(w *wire)
		ending      protocol.Ending
		want        []string
		parseErrors string
	}{
		"a request without a body": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, more, "200")
				w.server.data(1, 10, last)
			},
			want: []string{"GET /a 200"},
		},
		"bodies both ways": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.client.data(1, 16384, more)
				w.client.data(1, 0, last)
				w.server.response(1, more, "201")
				w.server.data(1, 0, more)
				w.server.data(1, 100, last)
			},
			want: []string{"POST /a 201"},
		},
		"fields that were sent before, by their index": {
			conv: func(w *wire) {
				for id := uint32(1); id < 9; id += 2 {
					w.client.request(id, last, "BREW", "/pot")
					w.server.response(id, last, "418")
				}
			},
			want: []string{"_OTHER /pot 418", "_OTHER /pot 418", "_OTHER /pot 418", "_OTHER /pot 418"},
		},
		"padding and priorities": {
			conv: func(w *wire) {
				w.client.must(w.client.framer.WriteHeaders(http2.HeadersFrameParam{
					StreamID: 1, BlockFragment: w.client.encode(requestFields("PUT", "/a")...), EndHeaders: true, PadLength: 255,
					Priority: http2.PriorityParam{StreamDep: 7, Weight: 3},
				}))
				w.client.must(w.client.framer.WritePriority(1, http2.PriorityParam{StreamDep: 3}))
				w.client.must(w.client.framer.WriteDataPadded(1, last, []byte("x"), make([]byte, 200)))
				w.server.must(w.server.framer.WriteHeaders(http2.HeadersFrameParam{
					StreamID: 1, BlockFragment: w.server.encode(":status", "204"), EndHeaders: true, EndStream: true, PadLength: 1,
				}))
			},
			want: []string{"PUT /a 204"},
		},
		"a head in many frames, empty ones too": {
			conv: func(w *wire) {
				w.client.inPieces(1, last, 7, requestFields("GET", "/a", "user-agent", "test")...)
				w.server.must(w.server.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true}))
				w.server.must(w.server.framer.WriteContinuation(1, false, nil))
				w.server.must(w.server.framer.WriteContinuation(1, true, w.server.encode(":status", "200")))
			},
			want: []string{"GET /a 200"},
		},
		"frames that say nothing of requests, unknown ones and undefined flags": {
			conv: func(w *wire) {
				w.client.ping()
				w.client.must(w.client.framer.WriteWindowUpdate(0, 1000))
				w.client.get(1, "/a")
				w.server.must(w.server.framer.WriteRawFrame(0xbb, 0xff, 1, []byte("grease")))
				w.server.ping()
				w.server.must(w.server.framer.WriteRawFrame(http2.FrameData, 0xf6, 1, []byte("x")))
				w.server.must(w.server.framer.WriteWindowUpdate(1, 1000))
				w.server.settings(http2.Setting{ID: 0xfe03, Val: 1}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
				w.server.response(1, last, "200")
			},
			want: []string{"GET /a 200"},
		},
		"a frame as large as the other side allows": {
			conv: func(w *wire) {
				w.server.settings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
				w.client.request(1, more, "POST", "/a")
				w.client.data(1, 1<<17, last)
				w.server.response(1, last, "200")
			},
			want: []string{"POST /a 200"},
		},
		"interleaved streams, answered in another order": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.client.get(3, "/b")
				w.client.request(5, more, "PUT", "/c")
				w.client.data(1, 10, more)
				w.client.data(5, 10, last)
				w.server.response(5, more, "200")
				w.server.response(3, more, "404")
				w.client.data(1, 10, last)
				w.server.data(5, 10, more)
				w.server.response(1, last, "201")
				w.server.data(3, 10, last)
				w.server.data(5, 10, last)
			},
			want: []string{"POST /a 201", "GET /b 404", "PUT /c 200"},
		},
		"trailers both ways": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.client.data(1, 5, more)
				w.client.headers(1, last, "checksum", "1")
				w.server.response(1, more, "200")
				w.server.data(1, 5, more)
				w.server.headers(1, last, "checksum", "2")
			},
			want: []string{"POST /a 200"},
		},
		"informational responses": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, more, "103", "grpc-status", "5")
				w.server.response(1, more, "103")
				w.server.response(1, last, "200")
			},
			want: []string{"GET /a 200"},
		},
		"a stream that the client resets": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, more, "200")
				w.client.reset(1, http2.ErrCodeCancel)
				w.server.data(1, 5, last)
			},
			want: []string{"GET /a 200"},
		},
		"streams that the client resets without CANCEL, as Node and curl do": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.client.get(3, "/b")
				w.client.get(5, "/c")
				w.server.response(1, more, "200")
				w.client.reset(1, http2.ErrCodeNo)
				w.client.reset(3, http2.ErrCodeStreamClosed)
				w.client.reset(5, http2.ErrCodeProtocol)
			},
			want: []string{"GET /a 200", "GET /b", "GET /c !PROTOCOL_ERROR"},
		},
		"a stream that the server refuses": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.server.reset(1, http2.ErrCodeRefusedStream)
				w.client.data(1, 5, last)
			},
			want: []string{"POST /a !REFUSED_STREAM"},
		},
		"an error code that is not known": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.reset(1, 0x1234)
			},
			want: []string{"GET /a !INTERNAL_ERROR"},
		},
		"a complete response, and the rest of the request not wanted": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.server.response(1, last, "413")
				w.server.reset(1, http2.ErrCodeNo)
				w.client.data(1, 5, last)
				w.client.request(3, more, "POST", "/b")
				w.server.response(3, last, "200")
				w.client.reset(3, http2.ErrCodeCancel)
			},
			want: []string{"POST /a 413", "POST /b 200"},
		},
		"a response before the end of its request": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.server.response(1, last, "200")
				w.client.get(3, "/b")
				w.server.response(3, last, "200")
				w.client.data(1, 5, last)
			},
			want: []string{"GET /b 200", "POST /a 200"},
		},
		"a response to a request without an end": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.server.response(1, last, "200")
			},
			want: []string{"POST /a 200"},
		},
		"a server that goes away": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.client.get(3, "/b")
				w.client.get(5, "/c")
				w.server.goAway(1<<31 - 1)
				w.server.goAway(1)
				w.client.get(7, "/d") // it has not been emitted yet
				w.server.response(1, last, "200")
			},
			want: []string{"GET /c !REFUSED_STREAM", "GET /b !REFUSED_STREAM", "GET /d !REFUSED_STREAM", "GET /a 200"},
		},
		"a server that goes away with a response to what it did not want": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.server.response(1, last, "413")
				w.server.goAway(0)
				w.client.data(1, 5, last)
			},
			want: []string{"POST /a 413"},
		},
		"a response whose status is none": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, more, "2000")
				w.server.response(1, more, "OK!")
				w.server.headers(1, last, "server", "test")
			},
			want:        []string{"GET /a !malformed_response"},
			parseErrors: "malformed 1",
		},
		"a client that goes away": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.client.goAway(0)
				w.server.response(1, last, "200")
			},
			want: []string{"GET /a 200"},
		},
		"pushed responses, which are not emitted": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.must(w.server.framer.WritePushPromise(http2.PushPromiseParam{
					StreamID: 1, PromiseID: 2, BlockFragment: w.server.encode(requestFields("GET", "/style", "x", "y")...),
					EndHeaders: true, PadLength: 9,
				}))
				w.server.response(2, more, "200", "server", "test")
				w.server.data(2, 5, last)
				w.server.response(1, last, "418", "server", "test", "x", "y")
				w.client.get(3, "/b")
				w.server.response(3, last, "418", "server", "test", "x", "y")
			},
			want: []string{"GET /a 418", "GET /b 418"},
		},
		"a tunnel": {
			conv: func(w *wire) {
				w.client.headers(1, more, ":method", "CONNECT", ":authority", "db.test:5432")
				w.server.response(1, more, "200")
				w.client.data(1, 50, more)
				w.server.data(1, 500, more)
				w.client.data(1, 0, last)
				w.server.data(1, 0, last)
			},
			want: []string{"CONNECT 200"},
		},
		"requests without a response when the connection is closed": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.client.get(3, "/b")
				w.server.response(3, more, "200")
			},
			want: []string{"GET /a !connection_closed", "GET /b 200 !connection_closed"},
		},
		"requests without a response when the connection is reset": {
			conv:   func(w *wire) { w.client.get(1, "/a") },
			ending: protocol.Ending{Errno: connectionReset},
			want:   []string{"GET /a !ECONNRESET"},
		},
		"requests under way when the connection is not followed any more": {
			conv:   func(w *wire) { w.client.get(1, "/a") },
			ending: protocol.Ending{Unknown: true},
			want:   []string{"GET /a gap"},
		},
		"requests under way when observation ends": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.client.get(3, "/b")
				w.server.response(3, more, "200")
				w.client.get(5, "/c")
				w.server.response(5, last, "200")
			},
			ending: protocol.Ending{Unknown: true, Cut: true},
			want:   []string{"GET /c 200", "GET /a cut", "GET /b 200 cut"},
		},
		"a response that was seen before its request": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, last, "200")
				w.swap()
				w.client.request(3, more, "POST", "/b")
				w.server.response(3, more, "200")
				w.swap()
				w.client.data(3, 5, last)
				w.server.data(3, 5, last)
				w.client.request(5, more, "POST", "/c")
				w.server.reset(5, http2.ErrCodeEnhanceYourCalm)
				w.swap()
			},
			want: []string{"GET /a 200", "POST /b 200", "POST /c !ENHANCE_YOUR_CALM"},
		},
		"a response and the reset behind it that were seen before the request": {
			conv: func(w *wire) {
				w.client.request(1, more, "POST", "/a")
				w.server.response(1, last, "413")
				w.swap()
				request := w.steps[len(w.steps)-1]
				w.steps = w.steps[:len(w.steps)-1]
				w.server.reset(1, http2.ErrCodeNo)
				w.steps = append(w.steps, request)
			},
			want: []string{"POST /a 413"},
		},
		"a response to nothing": {
			conv: func(w *wire) {
				w.server.response(7, last, "200")
				w.client.get(1, "/a")
				w.server.response(1, last, "200")
			},
			want:        []string{"GET /a 200"},
			parseErrors: "unpaired 1",
		},
		"frames of streams that are over": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, last, "200")
				w.server.data(1, 5, last)
				w.server.response(1, last, "500")
				w.client.headers(1, last, "late", "1")
				w.client.reset(1, http2.ErrCodeCancel)
				w.client.request(3, last, "GET", "/b", "late", "1")
				w.server.response(3, last, "500")
			},
			want: []string{"GET /a 200", "GET /b 500 !500"},
		},
		"a head that is too long, and one that refers to it": {
			conv: func(w *wire) {
				w.client.request(1, last, "GET", "/a", "x", "y", "long", wasLong)
				w.server.response(1, last, "200")
				w.client.headers(3, last, ":method", "GET", ":scheme", "http", ":path", "/", "long", wasLong)
				w.server.response(3, last, "200")
				w.client.request(5, last, "BREW", "/c", "x", "y", "z", "z")
				w.client.request(7, last, "BREW", "/c", "x", "y", "z", "z")
				w.server.response(5, last, "200")
				w.server.response(7, last, "200")
			},
			want:        []string{"GET /a 200 truncated", "GET / 200 truncated", "_OTHER /c 200", "_OTHER /c 200"},
			parseErrors: "head_too_long 1, undecodable 1",
		},
		"names that are too long, in many frames": {
			conv: func(w *wire) {
				w.client.inPieces(1, last, 100, requestFields("GET", "/a", "x", "y", wasLong, wasLong, wasLong, "z")...)
				w.server.response(1, last, "200")
				w.client.request(3, last, "GET", "/a", "x", "y")
				w.server.response(3, last, "200")
			},
			want:        []string{"GET /a 200 truncated", "GET /a 200"},
			parseErrors: "head_too_long 1",
		},
		"many fields that are too long together": {
			conv: func(w *wire) {
				fields := requestFields("GET", "/a")
				for i := range 60 {
					fields = append(fields, fmt.Sprintf("field-%d", i), strings.Repeat("v", 50))
				}
				w.client.inPieces(1, last, 1000, fields...)
				w.server.response(1, last, "200")
			},
			want:        []string{"GET /a 200 truncated"},
			parseErrors: "head_too_long 1",
		},
		"an encoder that changes the size of its table": {
			conv: func(w *wire) {
				w.server.settings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1 << 16})
				w.client.encoder.SetMaxDynamicTableSizeLimit(1 << 16)
				for i, size := range []uint32{0, 4096, 100, 1 << 16, 200} {
					w.client.encoder.SetMaxDynamicTableSize(size)
					for j := range 2 {
						id := uint32(4*i + 2*j + 1)
						w.client.request(id, last, "BREW", fmt.Sprint("/", size), "x", strings.Repeat("y", 1000), "z", "z")
						w.server.response(id, last, "200")
					}
				}
			},
			want: []string{
				"_OTHER /0 200", "_OTHER /0 200", "_OTHER /4096 200", "_OTHER /4096 200", "_OTHER /100 200", "_OTHER /100 200",
				"_OTHER /65536 200", "_OTHER /65536 200", "_OTHER /200 200", "_OTHER /200 200",
			},
		},
		"calls": {
			conv: func(w *wire) {
				w.client.call(1, "/shop.Cart/Add")
				w.client.data(1, 50, last)
				w.server.response(1, more, "200", "content-type", "application/grpc")
				w.server.data(1, 20, more)
				w.server.headers(1, last, "grpc-status", "0")
				w.client.call(3, "/shop.Cart/Add")
				w.client.data(3, 50, last)
				w.server.response(3, last, "200", "content-type", "application/grpc", "grpc-status", "13", "grpc-message", "no")
			},
			want: []string{"shop.Cart/Add OK", "shop.Cart/Add INTERNAL !INTERNAL"},
		},
		"a call with streams both ways": {
			conv: func(w *wire) {
				w.client.call(1, "/shop.Chat/Talk")
				w.server.response(1, more, "200", "content-type", "application/grpc")
				for range 5 {
					w.client.data(1, 50, more)
					w.server.data(1, 50, more)
				}
				w.client.data(1, 0, last)
				w.server.headers(1, last, "grpc-status", "0")
			},
			want: []string{"shop.Chat/Talk OK"},
		},
		"a call that the client gives up": {
			conv: func(w *wire) {
				w.client.call(1, "/shop.Cart/Add")
				w.client.data(1, 50, last)
				w.server.response(1, more, "200", "content-type", "application/grpc")
				w.client.reset(1, http2.ErrCodeCancel)
			},
			want: []string{"shop.Cart/Add CANCELLED"},
		},
		"a field that ends in the middle": {
			conv: func(w *wire) {
				block := w.client.encode(requestFields("GET", "/a", "x", "y")...)
				w.client.must(w.client.framer.WriteHeaders(http2.HeadersFrameParam{
					StreamID: 1, BlockFragment: block[:len(block)-1], EndStream: true, EndHeaders: true,
				}))
				w.server.response(1, last, "400")
			},
			want:        []string{"GET /a 400 gap"},
			parseErrors: "malformed 1",
		},
		"a server that speaks HTTP/1.1": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.client.get(3, "/b")
				w.server.raw([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")...)
				w.server.raw([]byte("no more")...)
			},
			want:        []string{"GET /a !malformed_response", "GET /b !malformed_response"},
			parseErrors: "malformed 1",
		},
		"a server that writes too large a frame": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.response(1, more, "200")
				w.server.raw(0, 0x40, 1, byte(data), 0, 0, 0, 0, 1)
			},
			want:        []string{"GET /a 200 !malformed_response"},
			parseErrors: "malformed 1",
		},
		"a server that writes a field that no decoder reads": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.client.get(3, "/b")
				w.server.must(w.server.framer.WriteHeaders(http2.HeadersFrameParam{
					StreamID: 1, BlockFragment: append(w.server.encode(":status", "200"), 0x80), EndStream: true, EndHeaders: true,
				}))
			},
			want:        []string{"GET /a 200 !malformed_response", "GET /b !malformed_response"},
			parseErrors: "malformed 1",
		},
		"a response without a status": {
			conv: func(w *wire) {
				w.client.get(1, "/a")
				w.server.headers(1, last, "server", "test")
			},
			want:        []string{"GET /a !malformed_response"},
			parseErrors: "malformed 1",
		},
		"a field that no decoder reads": {
			conv: func(w *wire) {
				w.client.must(w.client.framer.WriteHeaders(http2.HeadersFrameParam{
					StreamID: 1, BlockFragment: append(w.client.encode(":method", "GET"), 0x80), EndStream: true, EndHeaders: true,
				}))
				w.client.must(w.client.framer.WriteHeaders(http2.HeadersFrameParam{ // no code of Huffman's begins like this
					StreamID: 3, BlockFragment: []byte{0x40, 0x84, 0xff, 0xff, 0xff, 0xff, 0}, EndStream: true, EndHeaders: true,
				}))
			},
			want:        []string{"GET !connection_closed gap", "_OTHER !connection_closed gap"},
			parseErrors: "malformed 2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire()
			w.begin()
			test.conv(w)
			for cut, pieces := range map[string]func(int) int{
				"as sent": whole, "byte by byte": single, "by seven": func(rest int) int { return min(rest, 7) },
			} {
				t.Run(cut, func(t *testing.T) {
					o := observe(observed(&observer{}), w, test.ending, pieces)
					check(t, o, test.want, test.parseErrors)
				})
			}
		})
	}
}
