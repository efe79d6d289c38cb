package protocol

import "net/netip"

// Resolution is the addresses of a name, as a name service has answered them. It is reused: valid during the call only, slices included.
type Resolution struct {
	Name      []byte // that was asked for, as text in lower case without a dot at the end; valid UTF-8
	Asked     Stamp  // first byte of the query: who asked
	Answered  Stamp  // last byte of the response
	Addresses []Resolved
}

// Resolved is one of the addresses.
type Resolved struct {
	Address netip.Addr // v4-mapped addresses are unmapped
	TTL     uint32     // seconds: the least of the records that led to it
}
