// Package unparsed names protocols that are not parsed, by the first bytes of a conversation. It reads nothing else of them.
//
// A signature has to be so narrow that no other protocol begins like it: a connection without a name is better than one with a wrong
// name. Where one side's bytes do not suffice, it takes both.
package unparsed

import (
	"github.com/socketflow/socketflow/internal/protocol"
)

// PrefixBytes is how many bytes of a direction are looked at.
const PrefixBytes = 256

// Sample is the beginning of a conversation as one assignment of the roles has it.
type Sample struct {
	Bytes     [protocol.Directions][]byte // of a stream its first bytes, at most PrefixBytes; or the first of one datagram
	Ended     [protocol.Directions]bool   // no more bytes of the direction will be shown
	First     protocol.Direction          // who sent the first bytes
	Datagrams bool
	Size      int    // bytes that the datagram has
	Port      uint16 // of the server; 0: not known
}

// input is what one side has sent.
type input struct {
	bytes []byte
	size  int // of the datagram; 0: it is a stream
	port  uint16
}

// answer is what a matcher says about the first bytes of a side.
type answer uint8

const (
	no   answer = iota
	more        // nothing speaks against it; more bytes decide
	yes
)

// matcher judges the first bytes of a side, and reads the protocol's version if they show it. It gets one byte at least.
type matcher func(in input) (a answer, version string)

// opener is the side that has to speak first.
type opener uint8

const (
	eitherOpens opener = iota
	clientOpens
	serverOpens
)

// signature is one row of the table: how conversations in a protocol begin.
type signature struct {
	name   string
	source string // where it is specified
	opens  opener
	// client and server judge the bytes of the sides; nil: they say nothing. Neither may speak against it. One side that fits is enough, unless
	// both have to.
	client, server matcher
	both           bool
	pair           func(client, server []byte) bool // nil: both fit together however they are
}

// Identify names the protocol of a conversation. It is undecided if further bytes may name it.
func Identify(s *Sample) (found protocol.Identity, undecided bool) {
	table := streams
	if s.Datagrams {
		table = datagrams
	}
	for i := range table {
		switch a, version := table[i].judge(s); a {
		case yes:
			return protocol.Identity{Name: table[i].name, Version: version}, false
		case more:
			undecided = true
		}
	}
	return protocol.Identity{}, undecided
}

func (g *signature) judge(s *Sample) (answer, string) {
	if g.opens == clientOpens && s.First != protocol.FromClient || g.opens == serverOpens && s.First != protocol.FromServer {
		return no, ""
	}
	client, clientVersion := s.side(protocol.FromClient, g.client)
	server, serverVersion := s.side(protocol.FromServer, g.server)
	if clientVersion == "" {
		clientVersion = serverVersion
	}
	switch {
	case g.client == nil:
		return server, serverVersion
	case g.server == nil:
		return client, clientVersion
	case !g.both && client == yes && server == more || !g.both && client == more && server == yes:
		return yes, clientVersion
	case client != yes || server != yes:
		return min(client, server), ""
	case g.pair != nil && !g.pair(s.Bytes[protocol.FromClient], s.Bytes[protocol.FromServer]):
		return no, ""
	}
	return yes, clientVersion
}

// side asks a matcher about a direction.
func (s *Sample) side(d protocol.Direction, m matcher) (answer, string) {
	b := s.Bytes[d]
	switch {
	case m == nil:
		return no, ""
	case len(b) == 0 && s.Ended[d]:
		return no, ""
	case len(b) == 0:
		return more, ""
	}
	a, version := m(input{bytes: b, size: s.Size, port: s.Port})
	if a == more && (s.Ended[d] || s.Datagrams || len(b) >= PrefixBytes) {
		return no, ""
	}
	return a, version
}

// Row is a signature as the documentation has it.
type Row struct {
	Name, Source string
	Datagrams    bool
}

// Rows lists all signatures.
func Rows() []Row {
	rows := make([]Row, 0, len(streams)+len(datagrams))
	for i := range streams {
		rows = append(rows, Row{streams[i].name, streams[i].source, false})
	}
	for i := range datagrams {
		rows = append(rows, Row{datagrams[i].name, datagrams[i].source, true})
	}
	return rows
}
