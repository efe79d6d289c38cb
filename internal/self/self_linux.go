// Package self recognises the other ends of this process' own sockets.
package self

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/monotime"
)

const (
	// readPause is the least time between two readings of the own sockets, ns. A reading takes some 0.2 ms with 200 descriptors.
	readPause = 20e6
	// hostPause is the same of the own addresses, ns.
	hostPause = 10e9
	// remembered is how long a socket that is gone is remembered, ns: events come later than what they report.
	remembered = 10e9
)

// Sockets are the sockets of this process. All methods may be called from any goroutine.
type Sockets struct {
	pid   uint32 // in the initial pid namespace; 0: not known
	netns uint32

	mu        sync.Mutex
	read      uint64 // CLOCK_MONOTONIC, ns: when the sockets were read
	hostRead  uint64
	addresses map[netip.Addr]bool // of this host, as far as this network namespace has them
	pairs     map[pair]uint64     // connected ones, by when they were read last
	bound     map[end]uint64      // those without a peer: listeners, and UDP sockets that take anybody's datagrams
}

// end is an address that a socket of a transport has.
type end struct {
	transport event.Transport
	address   netip.AddrPort
}

// pair is a connected socket.
type pair struct {
	local  end
	remote netip.AddrPort
}

// New returns the sockets of this process, which has this number in the initial pid namespace.
func New(pid uint32) (*Sockets, error) {
	var stat unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &stat); err != nil {
		return nil, fmt.Errorf("own network namespace: %w", err)
	}
	return &Sockets{pid: pid, netns: uint32(stat.Ino), pairs: map[pair]uint64{}, bound: map[end]uint64{}}, nil
}

// HaveOtherEnd reports whether the other end of a connection that was there at a time (CLOCK_MONOTONIC, ns) is one of the sockets. If the
// sockets have been read too recently to be read again, and before that time, no is not sure: it pays to ask again later.
func (s *Sockets) HaveOtherEnd(f *event.Flow, at uint64) (yes, sure bool) {
	if f.Transport == event.UnixStream {
		return f.Unix != nil && s.pid != 0 && f.Unix.PeerPID == s.pid, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := monotime.Now()
	if !s.isHere(f, now) {
		return false, true
	}
	if s.have(f) {
		return true, true
	}
	if s.read <= at && now-s.read >= readPause {
		s.readSockets(now)
	}
	return s.have(f), s.read > at
}

// isHere reports whether the other end of a connection can be a socket of this network namespace.
func (s *Sockets) isHere(f *event.Flow, now uint64) bool {
	remote := f.Remote.Addr()
	if !remote.IsValid() || f.Remote.Port() == 0 {
		return false
	}
	if remote.IsLoopback() || remote == f.Local.Addr() {
		return f.NetNS == s.netns
	}
	if s.addresses == nil || now-s.hostRead >= hostPause {
		s.hostRead, s.addresses = now, hostAddresses()
	}
	return s.addresses[remote]
}

// have reports whether the other end of a connection is among the sockets that have been read.
func (s *Sockets) have(f *event.Flow) bool {
	other := end{f.Transport, f.Remote}
	if _, found := s.pairs[pair{other, f.Local}]; found {
		return true
	}
	for _, address := range [...]netip.Addr{other.address.Addr(), {}} {
		if _, found := s.bound[end{f.Transport, netip.AddrPortFrom(address, other.address.Port())}]; found {
			return true
		}
	}
	return false
}

// readSockets reads the sockets that this process has descriptors of.
func (s *Sockets) readSockets(now uint64) {
	s.read = now
	forget(s.pairs, now)
	forget(s.bound, now)
	for _, fd := range descriptors() {
		transport, ok := transportOf(fd)
		if !ok {
			continue
		}
		local, err := unix.Getsockname(fd)
		own := end{transport, addressOf(local)}
		if err != nil || own.address.Port() == 0 {
			continue
		}
		if remote, err := unix.Getpeername(fd); err == nil {
			s.pairs[pair{own, addressOf(remote)}] = now
			continue
		}
		if own.address.Addr().IsUnspecified() {
			own.address = netip.AddrPortFrom(netip.Addr{}, own.address.Port())
		}
		s.bound[own] = now
	}
}

func forget[K comparable](known map[K]uint64, now uint64) {
	for k, read := range known {
		if now-read > remembered {
			delete(known, k)
		}
	}
}

// descriptors are the open descriptors of this process; none if they cannot be read.
func descriptors() []int {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var all []int
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil {
			all = append(all, fd)
		}
	}
	return all
}

// transportOf is the transport of a descriptor that is an IP socket.
func transportOf(fd int) (event.Transport, bool) {
	protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	switch {
	case err == nil && (protocol == unix.IPPROTO_TCP || protocol == unix.IPPROTO_MPTCP): // Go listens with MPTCP
		return event.TCP, true
	case err == nil && protocol == unix.IPPROTO_UDP:
		return event.UDP, true
	default:
		return 0, false
	}
}

// addressOf is an IP address, unmapped, with its port. It is invalid for other addresses.
func addressOf(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	default:
		return netip.AddrPort{}
	}
}

func hostAddresses() map[netip.Addr]bool {
	all := map[netip.Addr]bool{}
	listed, err := net.InterfaceAddrs()
	if err != nil {
		return all
	}
	for _, a := range listed {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			all[prefix.Addr().Unmap()] = true
		}
	}
	return all
}
