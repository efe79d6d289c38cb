package http2

import (
	"bytes"
	"slices"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestDetect(t *testing.T) {
	const (
		client = protocol.FromClient
		server = protocol.FromServer
		first  = true
		later  = false
	)
	written := func(write func(w *wire)) (b []byte) {
		w := newWire()
		write(w)
		for _, s := range w.steps {
			b = append(b, s.bytes...)
		}
		return b
	}
	var (
		settings   = []byte{0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100}
		noSettings = []byte{0, 0, 0, 4, 0, 0, 0, 0, 0}
		ping       = []byte{0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}
		request    = written(func(w *wire) { w.client.get(1, "/a") })
		response   = written(func(w *wire) { w.server.response(1, more, "200", "server", "test") })
		data       = written(func(w *wire) { w.server.data(1, 100, more) })
		large      = written(func(w *wire) { w.server.data(1, 10000, more) })
	)
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, test := range map[string]struct {
		from  protocol.Direction
		bytes []byte
		first bool
		want  protocol.Confidence
	}{
		"the preface":                           {client, []byte(preface), first, protocol.Certain},
		"the preface and more":                  {client, cat([]byte(preface), settings), first, protocol.Certain},
		"a part of the preface":                 {client, []byte(preface[:5]), first, protocol.NeedMore},
		"almost the preface":                    {client, []byte("PRI * HTTP/2.0\r\n\r\nSN"), first, protocol.No},
		"a request of another version":          {client, []byte("PUT / HTTP/1.1\r\n"), first, protocol.No},
		"a client's frames first":               {client, cat(settings, request), first, protocol.No},
		"the preface in the middle":             {client, []byte(preface), later, protocol.Certain},
		"a server's settings":                   {server, settings, first, protocol.Weak},
		"a part of a server's settings":         {server, settings[:11], first, protocol.NeedMore},
		"one byte":                              {server, settings[:1], first, protocol.NeedMore},
		"a part of a header":                    {server, settings[:7], first, protocol.NeedMore},
		"no settings yet":                       {server, noSettings, first, protocol.NeedMore},
		"no settings, and a frame":              {server, cat(noSettings, ping), first, protocol.Weak},
		"no settings, and something":            {server, cat(noSettings, []byte("something")), first, protocol.No},
		"an acknowledgement first":              {server, []byte{0, 0, 0, 4, 1, 0, 0, 0, 0}, first, protocol.No},
		"settings that nobody has":              {server, []byte{0, 0, 6, 4, 0, 0, 0, 0, 0, 0x70, 1, 0, 0, 0, 1}, first, protocol.No},
		"settings that are not allowed":         {server, []byte{0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 7}, first, protocol.No},
		"a server's other frames first":         {server, cat(ping, settings), first, protocol.No},
		"a response of another version":         {server, []byte("HTTP/1.1 200 OK\r\n"), first, protocol.No},
		"zeros":                                 {server, make([]byte, 600), first, protocol.No},
		"zeros in the middle":                   {server, make([]byte, 600), later, protocol.No},
		"a request in the middle":               {client, request, later, protocol.Strong},
		"a response in the middle":              {server, response, later, protocol.Strong},
		"frames in the middle":                  {server, cat(response, data), later, protocol.Strong},
		"frames, the last one cut":              {server, cat(response, data[:50]), later, protocol.Strong},
		"frames, and a header cut":              {server, cat(response, data, data[:5]), later, protocol.Strong},
		"frames, and something else":            {server, cat(response, []byte("something else")), later, protocol.No},
		"data alone":                            {server, data, later, protocol.NeedMore},
		"much data, all of the frame":           {server, large, later, protocol.Strong},
		"much data alone":                       {server, large[:512], later, protocol.No},
		"a ping alone":                          {client, ping, later, protocol.Strong},
		"the rest of a head":                    {client, []byte{0, 0, 1, 9, 4, 0, 0, 0, 1, 0x82}, later, protocol.No},
		"a head that goes on":                   {client, []byte{0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82}, later, protocol.NeedMore},
		"a head that is not one":                {client, []byte{0, 0, 2, 1, 4, 0, 0, 0, 1, 0x40, 0x7f}, later, protocol.No},
		"a promise by a client":                 {client, []byte{0, 0, 5, 5, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0x82}, later, protocol.No},
		"a window that is not updated":          {client, []byte{0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0}, later, protocol.No},
		"a flag that is not defined":            {client, []byte{0, 0, 8, 6, 2, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, later, protocol.No},
		"a reserved bit":                        {client, []byte{0, 0, 4, 8, 0, 0x80, 0, 0, 1, 0, 0, 0, 1}, later, protocol.No},
		"an unknown type":                       {client, []byte{0, 0, 1, 0x20, 0, 0, 0, 0, 1, 0}, later, protocol.No},
		"an error code that is not known":       {client, []byte{0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 1, 0}, later, protocol.No},
		"padding beyond the end of data":        {client, []byte{0, 0, 2, 0, 8, 0, 0, 0, 1, 2, 0}, later, protocol.No},
		"a client's stream with an even number": {client, []byte{0, 0, 1, 0, 1, 0, 0, 0, 2, 0}, later, protocol.No},
		"padding beyond the end of a head":      {client, []byte{0, 0, 2, 1, 0xc, 0, 0, 0, 1, 9, 0x82}, later, protocol.No},
		"a head with padding":                   {client, []byte{0, 0, 3, 1, 0xc, 0, 0, 0, 1, 1, 0x82, 0}, later, protocol.Strong},
		"a connection that ends":                {client, []byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}, later, protocol.Strong},
		"text in the middle":                    {client, []byte("and so it goes on, line by line"), later, protocol.No},
	} {
		t.Run(name, func(t *testing.T) {
			if got := detect(sample(test.from, test.bytes, !test.first)); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}

// sample is the first bytes of one direction.
func sample(d protocol.Direction, b []byte, joined bool) *protocol.Sample {
	s := &protocol.Sample{Joined: joined, First: d}
	s.Bytes[d] = b
	return s
}

// After a loss the parser does not go on at stream identifiers that no client could have reached in the meantime.
func TestPlausibleStreams(t *testing.T) {
	for _, test := range []struct {
		stream, highest uint32
		want            bool
	}{
		{1<<31 - 1, 0, true}, // nothing is known
		{101, 99, true},
		{1, 99, true},
		{1<<31 - 1, 99, false},
	} {
		f := frame{length: 5, typ: data, stream: test.stream}
		if got := f.credible(protocol.FromClient, defaultFrameSize, test.highest); got != test.want {
			t.Errorf("stream %d after %d: %t", test.stream, test.highest, got)
		}
	}
}

// The parser follows every conversation that is detected in the middle.
func FuzzDetect(f *testing.F) {
	w := newWire()
	w.begin()
	w.client.get(1, "/a")
	w.server.response(1, more, "200", "server", "test")
	w.server.data(1, 10, last)
	for _, s := range w.steps {
		f.Add(s.bytes, byte(s.from), false)
		f.Add(s.bytes, byte(s.from), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, from byte, first bool) {
		d := protocol.Direction(from % byte(protocol.Directions))
		b = b[:min(len(b), 2*detectBytes)]
		confidence := protocol.NeedMore
		for n := 1; n <= len(b); n++ {
			before := confidence
			confidence = detect(sample(d, b[:n], !first))
			if confidence == protocol.NeedMore && n >= detectBytes {
				t.Fatalf("no confidence on %d bytes", n)
			}
			if first && before == protocol.No && confidence != protocol.No {
				t.Fatalf("confidence %d on %d bytes, which had been refused", confidence, n)
			}
		}
		if first || len(b) == 0 || detect(sample(d, b, true)) < protocol.Strong {
			return
		}
		o := &observer{}
		c := observed(o)
		c.Joined = true
		p := c.parser()
		p.Data(&protocol.Chunk{Direction: d, Bytes: slices.Clone(b)})
		if p.directions[d].state == lost && o.parseErrors[protocol.Malformed] == 0 {
			t.Error("detected, but not read")
		}
	})
}
