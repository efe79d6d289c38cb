package procfs

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

type sourceKey struct {
	netns  uint32
	remote netip.Addr
}

// source is a cached answer.
type source struct {
	address netip.Addr // the zero Addr: none
	until   time.Time
}

// Source returns the address that the kernel chooses for an unbound socket that connects to remote in the network namespace
// netns of process pid. netns 0 stands for the namespace that the process is in. There is no such address if remote is
// unreachable, or if the namespace cannot be entered and has several addresses of the family.
func (r *Resolver) Source(pid, netns uint32, remote netip.Addr) (netip.Addr, bool) {
	remote = remote.Unmap()
	switch {
	case !remote.IsValid() || remote.IsUnspecified():
		return netip.Addr{}, false
	case remote.IsLoopback() && remote.Is4(): // the source is the same for all of 127.0.0.0/8
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	case remote.IsLoopback():
		return remote, true
	}
	if netns == 0 {
		var err error
		if netns, err = r.netNS(pid); err != nil {
			return netip.Addr{}, false
		}
	}
	key, now := sourceKey{netns, remote}, time.Now()
	if known, ok := r.sources.Get(key); ok && now.Before(known.until) {
		return known.address, known.address.IsValid()
	}
	address, way, err := r.route(pid, netns, remote)
	if errors.Is(err, ErrGone) {
		way = SourceGone
	}
	r.stats.Sources[way].Add(1)
	if way == SourceGone {
		return netip.Addr{}, false // not cached: another process of the namespace may lead to the answer
	}
	r.sources.Add(key, source{address, now.Add(r.sourceAge)})
	return address, address.IsValid()
}

// route asks the kernel in the network namespace. The error wraps ErrGone if the namespace can be reached neither through the
// process nor through another that was seen in it.
func (r *Resolver) route(pid, netns uint32, remote netip.Addr) (netip.Addr, SourceWay, error) {
	if netns == r.own {
		address, err := sourceHere(remote)
		return address, SourceOwn, err
	}
	address, way, err := r.routeBy(pid, netns, remote)
	if errors.Is(err, ErrGone) {
		if other, ok := r.residents.Get(netns); ok && other != pid {
			return r.routeBy(other, netns, remote)
		}
	}
	return address, way, err
}

func (r *Resolver) routeBy(pid, netns uint32, remote netip.Addr) (netip.Addr, SourceWay, error) {
	if now, err := r.netNS(pid); err != nil || now != netns {
		return netip.Addr{}, SourceGone, errors.Join(ErrGone, err)
	}
	var address netip.Addr
	entered := false
	err := inNetNS(r.path(pid, "ns/net"), netns, func() (err error) {
		entered = true
		address, err = sourceHere(remote)
		return err
	})
	if entered {
		return address, SourceEntered, err
	}
	if errors.Is(err, ErrGone) {
		return netip.Addr{}, SourceGone, err
	}
	address, err = onlyAddress(r.path(pid, "net"), remote.Is6())
	return address, SourceGuarded, err
}

// sourceHere connects a UDP socket in the network namespace of this thread, and reads its local address. That sends nothing.
func sourceHere(remote netip.Addr) (netip.Addr, error) {
	const discard = 9 // any port will do
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(remote, discard)))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("look for the route to %s: %w", remote, err)
	}
	local, _ := c.LocalAddr().(*net.UDPAddr)
	if err := c.Close(); err != nil {
		return netip.Addr{}, fmt.Errorf("look for the route to %s: %w", remote, err)
	}
	return local.AddrPort().Addr().Unmap().WithZone(""), nil
}

// onlyAddress is the one address of a family that a network namespace has besides loopback. If there are none or several, it
// is the zero Addr.
func onlyAddress(dir string, ipv6 bool) (netip.Addr, error) {
	name, parse := dir+"/fib_trie", parseFibTrie
	if ipv6 {
		name, parse = dir+"/if_inet6", parseIfInet6
	}
	f, err := os.Open(name)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("look for the only address of a network namespace: %w", gone(err))
	}
	defer f.Close() //nolint:errcheck // read only
	var found netip.Addr
	several := false
	err = parse(f, func(a netip.Addr) {
		several = several || found.IsValid() && found != a
		found = a
	})
	if err != nil {
		return netip.Addr{}, fmt.Errorf("read %s: %w", name, gone(err))
	}
	if several {
		return netip.Addr{}, nil
	}
	return found, nil
}
