//go:build amd64 || arm64

package kernel

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// TestOlderSocketsOfIPv6WithIPv4AddressesKeepThem: Java makes all of its sockets so. What /proc shows of an older socket has its addresses
// unmapped, what calls name has them mapped.
func TestOlderSocketsOfIPv6WithIPv4AddressesKeepThem(t *testing.T) {
	needPrivilege(t)
	listener, datagrams := bindMapped(t, unix.SOCK_STREAM), bindMapped(t, unix.SOCK_DGRAM)
	must(t, unix.Listen(listener, 1))
	listens, receives := mapped(t, listener), mapped(t, datagrams)
	tracer, err := OpenSyscalls(Options{
		Shards: 1, RingBytes: 1 << 20, Processes: 1024, Sockets: 1024, UDP: true, DatagramIdle: time.Minute,
	}, func(event.Event) {})
	must(t, err)
	t.Cleanup(func() { must(t, tracer.Close()) })
	flow := event.Flow{Cookie: 1 << 40, Local: unmapped(receives), Transport: event.UDP}
	must(t, tracer.Adopt(uint32(os.Getpid()), uint32(datagrams), 0, &flow, false)) // as if a call had asked what it leads to

	client := socketOf(t, unix.AF_INET6, unix.SOCK_STREAM)
	must(t, unix.Connect(client, listens))
	server, remote, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	must(t, err)
	t.Cleanup(func() { unix.Close(server) }) //nolint:errcheck // nothing was written
	peer := bindMapped(t, unix.SOCK_DGRAM)
	sends := mapped(t, peer)
	must(t, unix.Sendto(peer, []byte("question"), 0, receives))
	if _, _, err := unix.Recvfrom(datagrams, make([]byte, 8), 0); err != nil {
		t.Fatal(err)
	}

	ends := func(local, remote netip.AddrPort) string { return local.String() + " to " + remote.String() }
	opened := map[string]int{}
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(time.Millisecond))
	var e event.Event
	for reader.Next(&e) == nil {
		if e.Kind == event.KindOpen && e.Owner.PID == uint32(os.Getpid()) {
			opened[ends(e.Flow.Local, e.Flow.Remote)]++
		}
	}
	for name, want := range map[string]string{
		"accepted by an older listener":   ends(unmapped(listens), unmapped(remote)),
		"connected":                       ends(unmapped(remote), unmapped(listens)),
		"received by an older UDP socket": ends(unmapped(receives), unmapped(sends)),
		"sent by a UDP socket":            ends(unmapped(sends), unmapped(receives)),
	} {
		if opened[want] != 1 {
			t.Errorf("%s: %s was emitted %d times, of %v", name, want, opened[want], opened)
		}
	}
}

func socketOf(t *testing.T, family, kind int) int {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) }) //nolint:errcheck // nothing was written
	return fd
}

// bindMapped returns a socket of IPv6 with an IPv4 address.
func bindMapped(t *testing.T, kind int) int {
	t.Helper()
	fd := socketOf(t, unix.AF_INET6, kind)
	must(t, unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
	must(t, unix.Bind(fd, &unix.SockaddrInet6{Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()}))
	return fd
}

func mapped(t *testing.T, fd int) unix.Sockaddr {
	t.Helper()
	address, err := unix.Getsockname(fd)
	must(t, err)
	return address
}

func unmapped(address unix.Sockaddr) netip.AddrPort {
	inet := address.(*unix.SockaddrInet6)
	return netip.AddrPortFrom(netip.AddrFrom16(inet.Addr).Unmap(), uint16(inet.Port))
}
