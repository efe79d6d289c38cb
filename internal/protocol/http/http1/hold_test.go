package http1

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// conversation plays one conversation of a shard, whose parsers share memory.
func conversation(m *memory, steps ...step) *protocoltest.Recorder {
	r := &protocoltest.Recorder{}
	p := newParser(&protocol.Session{Sink: r}, m)
	pl := &protocoltest.Player{Parser: p}
	for _, x := range steps {
		pl.Data(x.direction, x.bytes)
	}
	pl.Close(0)
	return r
}

func cl(b string) step { return step{direction: protocol.FromClient, bytes: b} }
func sv(b string) step { return step{direction: protocol.FromServer, bytes: b} }

const (
	upgrading = "GET /u HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"
	none      = "HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n"
)

func shared() *memory {
	return newMemory(protocoltest.Settings(Protocol(), Protocol().NewConfig(), protocol.Limits{HeadBytes: 16 << 10, Outstanding: 6}))
}

// poison leaves a spare hold behind whose place is that many bytes: a client that pipelines sends what is no HTTP behind a request that may upgrade.
func poison(m *memory, n int) {
	conversation(m, cl("GET /a HTTP/1.1\r\nHost: h\r\n\r\n"+upgrading+"5\r\n"+strings.Repeat("x", n-3)), sv(none), sv(none))
}

func paths(r *protocoltest.Recorder) (all []any) {
	for i := range r.Exchanges {
		all = append(all, r.Exchanges[i].Attributes["url.full"], r.Exchanges[i].Attributes["url.path"], r.Exchanges[i].Attributes["http.response.status_code"])
	}
	return all
}

// TestHeldBytesAreOfTheirConnection: who has dropped what it held leaves nothing to the next conversation of the shard.
func TestHeldBytesAreOfTheirConnection(t *testing.T) {
	m := shared()
	first := "GET /z1 HTTP/1.1\r\nHost: z\r\nX-Pad: " + strings.Repeat("p", 300) + "\r\n\r\n"
	second := "GET /secret-of-z HTTP/1.1\r\nHost: z.internal\r\n\r\n"
	conversation(m, cl(upgrading), cl(first), cl(second), sv(none), sv(none), sv(none))
	poison(m, len(first))
	ofB := "GET /b HTTP/1.1\r\nHost: b\r\nX-Pad: "
	ofB += strings.Repeat("p", len(second)-len(ofB)-4) + "\r\n\r\n"
	b := paths(conversation(m, cl(upgrading), cl(ofB), sv(none), sv(none)))
	for _, x := range b {
		if s, ok := x.(string); ok && strings.Contains(s, "secret-of-z") {
			t.Errorf("B has a request of Z: %s", s)
		}
	}
}

// TestDroppedHoldIsEmpty: the same with a buffer that is not so large, which was a panic.
func TestDroppedHoldIsEmpty(t *testing.T) {
	m := shared()
	poison(m, 10)
	if got := len(conversation(m, cl(upgrading), cl("GET /b HTTP/1.1\r\nHost: b\r\n\r\n"), sv(none), sv(none)).Exchanges); got != 2 {
		t.Errorf("%d exchanges, want 2", got)
	}
}
