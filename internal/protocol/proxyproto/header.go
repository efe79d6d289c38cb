package proxyproto

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"github.com/socketflow/socketflow/internal/protocol"
)

const (
	lineStart = "PROXY "
	maxLine   = 107 // with its line end (2.1)
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	fixed     = 16 // the signature, version and command, family, length (2.2)
)

// families are those of the addresses that a line names (2.1).
var families = [...]string{"TCP4 ", "TCP6 ", "UNKNOWN"}

// detect implements Protocol.Detect. Neither form is how another protocol begins: the specification has chosen them for that.
func detect(s *protocol.Sample) protocol.Confidence {
	b := s.Bytes[protocol.FromClient]
	if len(b) == 0 {
		return protocol.No // a server has to wait for the header (2)
	}
	best := starts(b, signature)
	for _, f := range families {
		best = max(best, starts(b, lineStart+f))
	}
	return best
}

func starts(b []byte, with string) protocol.Confidence {
	n := min(len(b), len(with))
	switch {
	case string(b[:n]) != with[:n]:
		return protocol.No
	case n < len(with):
		return protocol.NeedMore
	}
	return protocol.Certain
}

// header is what a header says.
type header struct {
	client netip.AddrPort // invalid: it is not named
	length int            // bytes that have been read
	more   int            // bytes that belong to the header and follow: they are not read
}

// result is how reading ended.
type result uint8

const (
	incomplete result = iota
	malformed
	complete
)

func parse(b []byte) (header, result) {
	if b[0] == signature[0] {
		return parseBinary(b)
	}
	return parseLine(b)
}

// parseLine reads a header of version 1 (2.1).
func parseLine(b []byte) (header, result) {
	last := bytes.IndexByte(b[:min(len(b), maxLine)], '\n')
	if last < 0 && len(b) < maxLine {
		return header{}, incomplete
	}
	if last < 0 || b[last-1] != '\r' {
		return header{}, malformed
	}
	end, h := last-1, header{length: last + 1}
	words := strings.Split(string(b[len(lineStart):end]), " ")
	if words[0] == "UNKNOWN" { // the rest of the line is to be ignored
		return h, complete
	}
	if len(words) != 5 {
		return header{}, malformed
	}
	four := words[0] == "TCP4"
	client, ok := parseAddress(words[1], words[3], four)
	if _, valid := parseAddress(words[2], words[4], four); !ok || !valid {
		return header{}, malformed
	}
	h.client = client
	return h, complete
}

func parseAddress(address, port string, four bool) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(address)
	n, errPort := strconv.ParseUint(port, 10, 16)
	if err != nil || errPort != nil || a.Is4() != four || a.Zone() != "" || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a, uint16(n)), true
}

// The values of version and command, and of the family (2.2).
const (
	local   = 0x20
	proxied = 0x21

	familyShift  = 4
	inet         = 1
	inet6        = 2
	maxFamily    = 3 // Unix: there are names in place of addresses
	maxTransport = 2
)

// addressBytes is how long a header is with the addresses of a family: two of them, then two ports, or two names.
var addressBytes = [maxFamily + 1]int{inet: 12, inet6: 36, maxFamily: 216}

// parseBinary reads a header of version 2 (2.2) up to its addresses.
func parseBinary(b []byte) (header, result) {
	if len(b) < fixed {
		return header{}, incomplete
	}
	command, family, transport := b[len(signature)], b[len(signature)+1]>>familyShift, b[len(signature)+1]&0xf
	length := int(binary.BigEndian.Uint16(b[fixed-2:]))
	h := header{length: fixed, more: length}
	switch {
	case command == local: // the proxy itself: the family is to be ignored
		return h, complete
	case command != proxied, family > maxFamily, transport > maxTransport:
		return header{}, malformed
	case family == 0 || transport == 0: // the addresses are to be ignored
		return h, complete
	case length < addressBytes[family]:
		return header{}, malformed
	case family == maxFamily:
		return h, complete
	}
	addresses := b[fixed:]
	if len(addresses) < addressBytes[family] {
		return header{}, incomplete
	}
	addresses = addresses[:addressBytes[family]]
	h.length += len(addresses)
	h.more -= len(addresses)
	client, _ := netip.AddrFromSlice(addresses[:(len(addresses)-4)/2])
	h.client = netip.AddrPortFrom(client, binary.BigEndian.Uint16(addresses[len(addresses)-4:]))
	return h, complete
}
