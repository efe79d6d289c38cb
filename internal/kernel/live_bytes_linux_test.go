//go:build amd64 || arm64

package kernel

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// TestLivePassSaysWhatConnectionsHaveCarried: so that what a long connection carries is known while it is open, and its round trip time.
func TestLivePassSaysWhatConnectionsHaveCarried(t *testing.T) {
	const asked, answered = 100_000, 7
	tracer := openForTest(t)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, listener.Close()) }()
	client, err := net.Dial("tcp4", listener.Addr().String())
	must(t, err)
	defer func() { must(t, client.Close()) }()
	server, err := listener.Accept()
	must(t, err)
	defer func() { must(t, server.Close()) }()
	_, err = client.Write(make([]byte, asked))
	must(t, err)
	_, err = io.ReadFull(server, make([]byte, asked))
	must(t, err)
	_, err = server.Write(make([]byte, answered))
	must(t, err)
	_, err = io.ReadFull(client, make([]byte, answered))
	must(t, err)

	done := make(chan error, 1)
	go func() {
		_, err := tracer.Live(t.Context())
		done <- err
	}()
	want := map[uint64][event.Directions]uint64{socketCookie(t, client): {asked, answered}, socketCookie(t, server): {answered, asked}}
	for deadline := time.Now().Add(time.Minute); len(want) > 0 && time.Now().Before(deadline); {
		var e event.Event
		for _, r := range tracer.Readers() {
			r.SetDeadline(time.Now().Add(10 * time.Millisecond))
			for r.Next(&e) == nil {
				carried, waited := want[e.Flow.Cookie]
				if e.Kind != event.KindLive || !waited {
					continue
				}
				x := &e.Ending
				if x.SegmentsSent < 3 || x.SegmentsReceived < 3 || x.RTT == 0 || x.MinRTT == 0 || x.MinRTT > x.RTT || x.Retransmits > x.SegmentsSent {
					t.Errorf("%d segments sent, %d received, %d retransmitted; round trip time %d µs, at least %d",
						x.SegmentsSent, x.SegmentsReceived, x.Retransmits, x.RTT, x.MinRTT)
				}
				if got := [event.Directions]uint64{e.Ending.BytesSent, e.Ending.BytesReceived}; got != carried {
					t.Errorf("%v bytes, want %v", got, carried)
				}
				delete(want, e.Flow.Cookie)
			}
		}
	}
	must(t, <-done)
	if len(want) > 0 {
		t.Errorf("not reported: %v", want)
	}
}

// socketCookie is the cookie of a connection's socket.
func socketCookie(t *testing.T, c net.Conn) (cookie uint64) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		cookie, err = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_COOKIE)
	}))
	must(t, err)
	return cookie
}
