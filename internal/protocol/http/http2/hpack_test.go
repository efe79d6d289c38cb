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

func TestRepresentations(t *testing.T) {
	for name, test := range map[string]struct {
		bytes  []byte
		want   representation
		how    progress
		reason string
	}{
		"indexed":                       {[]byte{0x82, 0xff}, representation{kind: indexed, index: 2, length: 1}, complete, "6.1"},
		"index 0":                       {[]byte{0x80}, representation{}, invalid, "6.1"},
		"an index of two bytes":         {[]byte{0xff, 0x00}, representation{kind: indexed, index: 127, length: 2}, complete, "5.1"},
		"1337 with a prefix of 5 bits":  {[]byte{0x3f, 0x9a, 0x0a}, representation{kind: update, index: 1337, length: 3}, complete, "C.1.2"},
		"an integer that goes on":       {[]byte{0xff, 0x80, 0x80}, representation{}, incomplete, "5.1"},
		"an integer that is too long":   {bytes.Repeat([]byte{0xff}, 11), representation{}, invalid, "5.1"},
		"a table of no size":            {[]byte{0x20}, representation{kind: update, length: 1}, complete, "6.3"},
		"an indexed name":               {[]byte{0x44, 1, 'a'}, representation{kind: incremental, index: 4, length: 3, value: span{2, 3, false}}, complete, "6.2.1"},
		"a new name":                    {[]byte{0x40, 1, 'a', 0x81, 0x1f}, representation{kind: incremental, length: 5, name: span{2, 3, false}, value: span{4, 5, true}}, complete, "6.2.1"},
		"without indexing":              {[]byte{0x04, 1, 'a'}, representation{kind: literal, index: 4, length: 3, value: span{2, 3, false}}, complete, "6.2.2"},
		"never indexed":                 {[]byte{0x14, 1, 'a'}, representation{kind: literal, index: 4, length: 3, value: span{2, 3, false}}, complete, "6.2.3"},
		"a name without its end":        {[]byte{0x40, 2, 'a'}, representation{}, incomplete, "5.2"},
		"a name without a value":        {[]byte{0x40, 1, 'a'}, representation{}, incomplete, "5.2"},
		"a value without its end":       {[]byte{0x40, 1, 'a', 2, 'b'}, representation{}, incomplete, "5.2"},
		"a name that is too long":       {[]byte{0x40, 11, 'a'}, representation{kind: incremental, length: 2, oversized: 11, nameless: true}, complete, "5.2"},
		"a value that is too long":      {[]byte{0x44, 11}, representation{kind: incremental, index: 4, length: 2, oversized: 11}, complete, "5.2"},
		"a value of an impossible size": {[]byte{0x44, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, representation{kind: incremental, index: 4, length: 11, oversized: 1<<63 + 126}, complete, "5.2"},
		"nothing":                       {nil, representation{}, incomplete, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, how := parseRepresentation(test.bytes, 10)
			if how != test.how {
				t.Fatalf("progress %d, want %d (RFC 7541, %s)", how, test.how, test.reason)
			}
			if how == complete && r != test.want {
				t.Errorf("%+v\nwant %+v (RFC 7541, %s)", r, test.want, test.reason)
			}
		})
	}
}

func TestIndexes(t *testing.T) {
	for _, index := range []uint64{1, 62, 126, 127, 128, 254, 255, 1337, 1 << 20, 1<<63 - 1} {
		b := appendIndex(nil, index)
		if got, n, how := parseInteger(b, 7); got != index || n != len(b) || how != complete || b[0]&0x80 == 0 {
			t.Errorf("%d is written as % x, read as %d", index, b, got)
		}
	}
}

// An encoder may be allowed a larger table than the parser keeps. Then some references are unknown, but no other entry is
// wrong.
func TestTableIsBounded(t *testing.T) {
	w := newWire()
	w.begin()
	w.server.settings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1 << 20})
	w.client.encoder.SetMaxDynamicTableSizeLimit(1 << 20)
	w.client.encoder.SetMaxDynamicTableSize(1 << 20)
	id := uint32(1)
	request := func(path, value string) {
		w.client.headers(id, last, ":method", "GET", ":scheme", "http", ":path", path, "x", value)
		w.server.response(id, last, "204")
		id += 2
	}
	request("/first", "1")
	for i := range 150 { // until it is twice the limit, which is the most that it may hold
		request("/", fmt.Sprintf("%01000d", i))
	}
	request("/first", "2")
	request("/last", "3")
	request("/last", "3")
	o := &observer{}
	c := observed(o)
	p := c.parser()
	replay(p, w.steps, whole)
	if table := &p.directions[protocol.FromClient].table; table.held > 2*maximumTableSize {
		t.Errorf("a table of %d bytes", table.held)
	}
	p.Close(closed)
	want := slices.Concat([]string{"GET /first 204"}, slices.Repeat([]string{"GET / 204"}, 150),
		[]string{"GET 204 truncated", "GET /last 204", "GET /last 204"})
	check(t, o, want, "undecodable 1")
}

// Buffers that an unusual head needed are not kept for the rest of the conversation.
func TestBuffersAreReleased(t *testing.T) {
	w := newWire()
	w.begin()
	w.client.inPieces(1, last, 1000, requestFields("GET", "/a", "secret", strings.Repeat("#", 7000))...)
	w.server.response(1, last, "204")
	c := observed(&observer{})
	c.limits.HeadBytes = 8000
	p := c.parser()
	replay(p, w.steps, whole)
	d := &p.directions[protocol.FromClient]
	if size := max(cap(d.block.pending), cap(d.table.field.value)); size > keptBuffer {
		t.Errorf("a buffer of %d bytes is kept", size)
	}
	check(t, c.Sink.(*observer), []string{"GET /a 204"}, "")
}
