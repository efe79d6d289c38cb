//go:build amd64 || arm64

package kernel

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/event"
)

// TestPlaintextThatHadToGiveWayIsMissing: what a server reads waits until it sends, which shows its socket. Meanwhile other objects read more than
// can wait. Which of them has to give way is the kernel's choice.
func TestPlaintextThatHadToGiveWayIsMissing(t *testing.T) {
	tracer := openWith(t, Options{TLS: true, Sockets: 4096})
	var connections [40]*secured // more than an LRU map keeps for a CPU that is not used any more
	for i := range connections {
		connections[i] = secureConnection(t)
		connections[i].exchange("not seen", "either")
	}
	library := attachSelf(t, tracer)
	seen := newServerEvents()
	reads := func(c *secured, ask string) {
		_, err := io.WriteString(c.client, ask)
		must(t, err)
		c.receive(c.server, ask)
	}
	before, err := tracer.Counters()
	must(t, err)
	for _, c := range connections {
		reads(c, "first ")
	}
	for range 4 * tlsEarly {
		withoutSocket(t)
		seen.read(t, tracer)
	}
	for i, c := range connections {
		if i%2 == 0 { // of the others nothing is left
			reads(c, "second")
		}
		_, err := io.WriteString(c.server, "answer")
		must(t, err)
	}
	seen.read(t, tracer)
	after, err := tracer.Counters()
	must(t, err)

	var lost uint64
	for i, c := range connections {
		first, ok := seen.first[c.addresses]
		missing := first.Position > 0
		if missing {
			lost++
		}
		want := "first second"
		if i%2 == 1 {
			want = "first "
		}
		if missing {
			want = strings.TrimPrefix(want, "first ")
		}
		if got := seen.received[c.addresses]; !ok || !first.Joined || missing != (first.GapReason != 0) || got != want {
			t.Errorf("server %d has received %q, want %q; its first event: %+v", i, got, want, first)
		}
	}
	// Of the other objects some may have found no room at all.
	if counted := after.TLSUntied - before.TLSUntied; lost == 0 || counted < lost {
		t.Errorf("what %d servers received is missing, want some; %d calls are counted as without a socket", lost, counted)
	}
	must(t, library.Close())
}

// TestConnectionThatHadToGiveWayGoesOn: more connections are open than are followed, and those that were idle speak again.
func TestConnectionThatHadToGiveWayGoesOn(t *testing.T) {
	const followed = 256 // ends
	tracer := openWith(t, Options{TLS: true, Sockets: followed})
	library := attachSelf(t, tracer)
	seen := newServerEvents()
	var idle [64]*secured // as above
	for i := range idle {
		idle[i] = secureConnection(t)
		idle[i].exchange("first ", "first ")
	}
	for range followed {
		secureConnection(t).exchange("others", "others")
		seen.read(t, tracer)
	}
	for _, word := range []string{"second ", "third"} {
		for _, c := range idle {
			c.exchange(word, word)
		}
	}
	seen.read(t, tracer)
	gaps := 0
	for i, c := range idle {
		at := c.addresses
		if got := seen.received[at]; got != "first second third" {
			t.Errorf("server %d has received %q", i, got)
		}
		if seen.gap[at] {
			gaps++
		}
		if seen.overlap[at] {
			t.Errorf("server %d: plaintext begins ahead of the end of what came before", i)
		}
	}
	if gaps == 0 {
		t.Error("nothing had to give way")
	}
	must(t, library.Close())
}

// withoutSocket has an object read that no socket carries.
func withoutSocket(t *testing.T) {
	t.Helper()
	client, server := net.Pipe()
	s := secureEnds(t, client, server)
	asked := make(chan error)
	go func() {
		_, err := io.WriteString(s.client, "others")
		asked <- err
	}()
	s.receive(s.server, "others")
	must(t, <-asked)
}

// serverEvents keeps those of plaintext at servers, by the addresses of client and server.
type serverEvents struct {
	servers  map[uint64][2]string // by their cookies
	received map[[2]string]string
	first    map[[2]string]event.Data
	end      map[[2]string]uint64 // of what was received
	gap      map[[2]string]bool   // something is missing of it
	overlap  map[[2]string]bool   // it comes twice
}

func newServerEvents() *serverEvents {
	return &serverEvents{
		servers: map[uint64][2]string{}, received: map[[2]string]string{}, first: map[[2]string]event.Data{}, end: map[[2]string]uint64{},
		gap: map[[2]string]bool{}, overlap: map[[2]string]bool{},
	}
}

// read reads what has been written, before there is no room for more.
func (s *serverEvents) read(t *testing.T, tracer libraryTracer) {
	t.Helper()
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now())
	for {
		var e event.Event
		err := reader.Next(&e)
		if errors.Is(err, ErrIdle) {
			return
		}
		must(t, err)
		if e.Kind == event.KindOpen && e.Flow.Role == event.RoleServer {
			s.servers[e.Flow.Cookie] = [2]string{e.Flow.Remote.String(), e.Flow.Local.String()}
		}
		addresses, ok := s.servers[e.Flow.Cookie&^event.LayerTLS]
		if !ok || e.Kind != event.KindData || e.Flow.Cookie&event.LayerTLS == 0 {
			continue
		}
		if _, ok := s.first[addresses]; !ok {
			s.first[addresses] = e.Data
		}
		if e.Data.Direction == event.Received {
			s.received[addresses] += string(e.Data.Payload)
			s.gap[addresses] = s.gap[addresses] || e.Data.Position > s.end[addresses]
			s.overlap[addresses] = s.overlap[addresses] || e.Data.Position < s.end[addresses]
			s.end[addresses] = e.Data.Position + uint64(e.Data.Length)
		}
	}
}
