// Package trace joins the two ends of a connection: both make the same ids without talking to each other.
package trace

import (
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/splitmix"
)

// Pair identifies a connection to both of its ends, on one host or two. 0: there is nothing that both ends know.
type Pair uint64

// PairOf is the pair of a TCP connection at the end with this role: of the sequence numbers of both sides' first bytes, which are random
// (RFC 6528) and pass through NAT as they are. At the end that connected, the kernel counts the SYN as sent, see event.Flow.Initial.
func PairOf(initial [event.Directions]uint32, role event.Role) Pair {
	if initial == [event.Directions]uint32{} {
		return 0
	}
	var client, server uint32
	switch role {
	case event.RoleClient:
		client, server = initial[event.Sent]+1, initial[event.Received]
	case event.RoleServer:
		client, server = initial[event.Received], initial[event.Sent]
	default:
		return 0
	}
	return Pair(splitmix.Mix(uint64(client)<<32 | uint64(server)))
}

// WithinHost is the pair of a connection between two sockets of this host, by what identifies them while the host runs. The seed is random, and the
// same for both ends. 0 as one of the sockets: it is not known.
func WithinHost(seed, a, b uint64) Pair {
	if a == 0 || b == 0 {
		return 0
	}
	return Pair(splitmix.Mix(seed ^ splitmix.Mix(min(a, b)))) // a socket is in one pair only
}

// End identifies one end of a connection, to both of them. 0: it has no pair.
type End uint64

// End is the end that has this role in the connection.
func (p Pair) End(role event.Role) End {
	if p == 0 || role == event.RoleUnknown {
		return 0
	}
	return End(splitmix.Finalize(uint64(p) + uint64(role)*splitmix.Gamma))
}

// Position is that of a byte in a stream, as both ends know it: the lower half is its TCP sequence number. An end that begins to follow a
// connection while it is under way may count one byte more, the SYN.
func Position(first uint32, position uint64) uint64 {
	return position>>32<<32 | uint64(first+uint32(position))
}

// Keys of the ids, the same on every host. Each half of a trace id has one of its own and looks random, see W3C Trace Context Level 2, "random
// trace id".
var keys = func() (k struct{ traceHigh, traceLow, asks, hears uint64 }) {
	for i, key := range []*uint64{&k.traceHigh, &k.traceLow, &k.asks, &k.hears} {
		*key = splitmix.Mix(uint64(i))
	}
	return k
}()

// Exchange has the ids of an exchange at one of its ends: of the trace that it begins, of its span there, and of its span at the other end.
type Exchange struct {
	Trace      [16]byte
	Own, Other [8]byte
	Asks       bool // this end began it, and its span is the parent of the other one
	Joined     bool // both ends know all these
}

// Of returns the ids of the exchange whose first byte has a Position in the stream that the end with the role of the sender sends. asks says whether
// they are for this end.
func (p Pair) Of(position uint64, sender event.Role, asks bool) Exchange {
	x := Exchange{Asks: asks, Joined: true}
	if sender == event.RoleServer {
		position |= 1 << 63
	}
	mix := func(key uint64) uint64 {
		id := splitmix.Finalize(splitmix.Finalize(key^uint64(p)) + position*splitmix.Gamma)
		if id == 0 { // all zero means "none"
			id = 1
		}
		return id
	}
	own, other := keys.hears, keys.asks
	if asks {
		own, other = other, own
	}
	binary.BigEndian.PutUint64(x.Trace[:8], mix(keys.traceHigh))
	binary.BigEndian.PutUint64(x.Trace[8:], mix(keys.traceLow))
	binary.BigEndian.PutUint64(x.Own[:], mix(own))
	binary.BigEndian.PutUint64(x.Other[:], mix(other))
	return x
}
