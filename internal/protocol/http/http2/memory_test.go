package http2

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

// A long value that requests refer to in the table is held once, however many wait for their responses.
func TestLongIndexedValueIsHeldOnce(t *testing.T) {
	const requests = 4095
	path := "/" + strings.Repeat("p", 3900)
	w := newWire()
	w.begin()
	for i := range uint32(requests) {
		w.client.get(2*i+1, path)
	}
	o := &observer{}
	c := observed(o)
	c.limits = protocol.Limits{HeadBytes: 8 << 10, Outstanding: requests + 1}
	p := c.parser()
	idle := p.Held()
	replay(p, w.steps, whole)
	if held := p.Held() - idle; held > requests*1200 || held < requests*300 {
		t.Errorf("%d bytes are held, %d for each request", held, held/requests)
	}
	p.Close(closed)
	if p.account.Bytes != 0 {
		t.Errorf("%d bytes are counted after the end", p.account.Bytes)
	}
	if len(o.emitted)+o.parseErrors[protocol.TooMany] != requests || o.emitted[0] != "GET "+path+" !connection_closed" {
		t.Errorf("%d exchanges, the first is %.80s; %s", len(o.emitted), o.emitted[0], o.troubled())
	}
}

// Values that are in the table for one request only are counted for each.
func TestEveryIndexedValueIsCounted(t *testing.T) {
	const requests = 100
	w := newWire()
	w.begin()
	for i := range uint32(requests) {
		w.client.get(2*i+1, "/"+strings.Repeat(string(rune('a'+i%26)), 3000)+string(rune('a'+i/26)))
	}
	c := observed(&observer{})
	c.limits = protocol.Limits{HeadBytes: 8 << 10, Outstanding: requests}
	p := c.parser()
	replay(p, w.steps, whole)
	if held := p.Held(); held < requests*3000 {
		t.Errorf("%d bytes are held of %d requests of 3,000 bytes", held, requests)
	}
	p.Close(closed)
	if p.account.Bytes != 0 {
		t.Errorf("%d bytes are counted after the end", p.account.Bytes)
	}
}
