//go:build amd64 || arm64

package kernel

import (
	"errors"
	"io"
	"net"
	"testing"
	"unsafe"

	"github.com/socketflow/socketflow/internal/event"
)

// digging needs more stack than a new goroutine has, before it reads: the runtime moves it to another one.
type digging struct{ net.Conn }

func (d digging) Read(b []byte) (int, error) {
	dig(64)
	return d.Conn.Read(b)
}

//go:noinline
func dig(depth int) byte {
	var room [1024]byte
	if depth > 0 {
		room[depth] = dig(depth - 1)
	}
	return room[depth/2]
}

// TestPlaintextOnAStackThatMoves has goroutines read to their stacks, which are elsewhere when the calls end.
func TestPlaintextOnAStackThatMoves(t *testing.T) {
	tracer := openWith(t, Options{TLS: true, Sockets: 4096})
	seen := layers{t, tracer, map[uint64][2]string{}}
	library := attachSelf(t, tracer)
	c := secureConnectionOver(t, func(c net.Conn) net.Conn { return digging{c} })
	c.exchange("hello", "hello")
	want := plaintexts{client: [event.Directions]string{"hello", "hello"}, server: [event.Directions]string{"hello", "hello"}}
	for _, ask := range []string{"first", "again"} {
		_, err := io.WriteString(c.client, ask)
		must(t, err)
		asked := make(chan error)
		go func() {
			var room [16]byte
			before := uintptr(unsafe.Pointer(&room))
			n, err := c.server.Read(room[:])
			if string(room[:n]) != ask {
				err = errors.Join(err, errors.New("it has read something else"))
			}
			if uintptr(unsafe.Pointer(&room)) == before {
				err = errors.Join(err, errors.New("its stack has not moved"))
			}
			asked <- err
		}()
		must(t, <-asked)
		want.client[event.Sent] += ask
		want.server[event.Received] += ask
	}
	if got := seen.of(c); got != want {
		t.Errorf("plaintext %q, want %q", got, want)
	}
	must(t, library.Close())
}
