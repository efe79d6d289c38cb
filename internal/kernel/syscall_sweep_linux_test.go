//go:build amd64 || arm64

package kernel

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// TestOnePassSeesAllDatagramFlows has so many flows that a walk which began anew at each that has ended would not get to the last.
func TestOnePassSeesAllDatagramFlows(t *testing.T) {
	needPrivilege(t)
	const flows, firstPort, idle = 1000, 20000, 2 * time.Second
	opts := datagramOptions
	opts.DatagramData, opts.DatagramIdle = false, idle
	ended, live := 0, 0
	tracer, err := OpenSyscalls(opts, func(e event.Event) {
		switch {
		case e.Flow.Remote.Port() < firstPort || e.Flow.Remote.Port() >= firstPort+flows:
		case e.Kind == event.KindClose:
			ended++
		default:
			live++
		}
	})
	must(t, err)
	t.Cleanup(func() { must(t, tracer.Close()) })
	from := newDatagramEnd(t, unix.AF_INET)
	send := func(port int) {
		must(t, unix.Sendto(from.fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: firstPort + port}))
	}
	for port := range flows {
		send(port)
	}
	time.Sleep(idle)
	for port := 0; port < flows; port += 2 {
		send(port)
	}
	covered, err := tracer.Datagrams(t.Context())
	must(t, err)
	// On a very slow machine, some of those that go on are idle by now.
	if !covered || ended < flows/2 || ended+live != flows {
		t.Errorf("covered %v: %d flows ended and %d live, want %d each", covered, ended, live, flows/2)
	}
}
