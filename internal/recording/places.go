package recording

import (
	"encoding/binary"
	"net/netip"
)

// maxPlaces is how many addresses of each kind have a replacement of their own.
const maxPlaces = 1 << 16

// places replaces addresses: the same one always by the same, and a private one by a private one. Those that say nothing of anybody stay:
// loopback, unspecified and multicast.
type places struct {
	by     map[netip.Addr]netip.Addr
	used   map[netip.Addr]uint32 // by the first of a kind
	folded uint64
}

func newPlaces() places {
	return places{by: map[netip.Addr]netip.Addr{}, used: map[netip.Addr]uint32{}}
}

// The first addresses of each kind. Public ones are of the networks for benchmarks and for documentation (RFC 2544, RFC 9637), which nobody has.
var (
	privateIPv4 = netip.MustParseAddr("10.0.0.0")
	publicIPv4  = netip.MustParseAddr("198.18.0.0")
	privateIPv6 = netip.MustParseAddr("fd00::")
	publicIPv6  = netip.MustParseAddr("3fff::")
)

func (p *places) replace(at netip.AddrPort) netip.AddrPort {
	a := at.Addr()
	if !a.IsValid() || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
		return at
	}
	to, known := p.by[a]
	if !known {
		first := kindOf(a)
		n := p.used[first] + 1
		if n >= maxPlaces {
			p.folded++
			return netip.AddrPortFrom(behind(first, maxPlaces), at.Port())
		}
		to = behind(first, n)
		p.used[first], p.by[a] = n, to
	}
	return netip.AddrPortFrom(to, at.Port())
}

func kindOf(a netip.Addr) netip.Addr {
	private := a.IsPrivate() || a.IsLinkLocalUnicast()
	switch {
	case a.Is4() && private:
		return privateIPv4
	case a.Is4():
		return publicIPv4
	case private:
		return privateIPv6
	default:
		return publicIPv6
	}
}

// behind returns the address that is so many behind the first.
func behind(first netip.Addr, n uint32) netip.Addr {
	b := first.AsSlice()
	last := b[len(b)-4:]
	binary.BigEndian.PutUint32(last, binary.BigEndian.Uint32(last)+n)
	a, _ := netip.AddrFromSlice(b)
	return a
}
