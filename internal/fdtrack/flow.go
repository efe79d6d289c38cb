package fdtrack

import (
	"net/netip"

	"github.com/socketflow/socketflow/internal/event"
)

// known reports whether an address is set. An unspecified address (0.0.0.0, ::) stands for one that is not known.
func known(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() }

func whole(a netip.AddrPort) bool { return known(a.Addr()) && a.Port() != 0 }

// complete reports whether nothing is missing of a flow's addresses.
func complete(f *event.Flow) bool {
	return f.Unix != nil || f.Transport == event.UnixStream || whole(f.Local) && whole(f.Remote)
}

// merge fills in what is missing of an address from another event's.
func merge(to *netip.AddrPort, other netip.AddrPort) (changed bool) {
	address, port := to.Addr(), to.Port()
	if !known(address) && known(other.Addr()) {
		address, changed = other.Addr(), true
	}
	if port == 0 && other.Port() != 0 {
		port, changed = other.Port(), true
		if !address.IsValid() { // for its family
			address = other.Addr()
		}
	}
	if changed {
		*to = netip.AddrPortFrom(address, port)
	}
	return changed
}

// mergeFlow fills in what is missing of the addresses of a flow from another event's.
func mergeFlow(to, other *event.Flow) (changed bool) {
	local := merge(&to.Local, other.Local)
	remote := merge(&to.Remote, other.Remote)
	if local || remote {
		to.AddressSource = other.AddressSource
	}
	return local || remote
}

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// toItself replaces the unspecified address that a client connects to. For IPv4 it is the source address if the socket has
// one, else loopback (net/ipv4/route.t, ip_route_output_key_hash_rcu); for IPv6 always loopback, of IPv4 where the socket
// is bound to such an address (net/ipv6/tcp_ipv6.t, tcp_v6_connect).
func toItself(f *event.Flow) {
	remote := f.Remote.Addr()
	if f.Role != event.RoleClient || f.Remote.Port() == 0 || !remote.IsValid() || !remote.IsUnspecified() {
		return
	}
	local := f.Local.Addr()
	address := loopback6
	switch {
	case remote.Is4() && known(local):
		address = local
	case remote.Is4(), known(local) && local.Is4():
		address = loopback4
	}
	f.Remote = netip.AddrPortFrom(address, f.Remote.Port())
}

// scrub clears addresses that are not known, so that an unspecified address is not taken for a real one.
func scrub(f *event.Flow) {
	for _, a := range [...]*netip.AddrPort{&f.Local, &f.Remote} {
		if !known(a.Addr()) {
			*a = netip.AddrPortFrom(netip.Addr{}, a.Port())
		}
	}
}

// finish completes a flow with what is available at once: the address of the network namespace of the process pid.
func (t *Tracker) finish(f *event.Flow, pid uint32) {
	if f.Unix != nil || f.Transport == event.UnixStream {
		return
	}
	if !known(f.Local.Addr()) && known(f.Remote.Addr()) {
		if a, ok := t.opts.Resolver.Source(pid, f.NetNS, f.Remote.Addr()); ok {
			f.Local = netip.AddrPortFrom(a, f.Local.Port())
			f.AddressSource = event.AddressSourceContainer
		}
	}
	scrub(f)
	if !f.Local.Addr().IsValid() || !f.Remote.Addr().IsValid() {
		f.AddressSource = event.AddressSourceUnknown
	}
}
