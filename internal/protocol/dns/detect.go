package dns

import (
	"encoding/binary"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/protocol"
)

// portNetBIOS is that of a name service whose messages have the form of DNS, and other names and types: RFC 1002, section 4.2.
const portNetBIOS = 137

// detect judges the first message of each direction. A message of DNS begins with no constant, so all of it has to be right. Where
// the port is not one of DNS, that counts only together with a response that fits.
func detect(s *protocol.Sample) protocol.Confidence {
	if s.Port == portNetBIOS {
		return protocol.No
	}
	usual := s.Port == portDNS || s.Port == portMDNS || s.Port == portLLMNR
	group := s.Datagrams && s.Port == portMDNS
	var first [protocol.Directions]message
	var came [protocol.Directions]bool
	waiting := false
	for d := range protocol.Directions {
		b, judged := unframed(s, d)
		if len(b) == 0 {
			if judged {
				return protocol.No
			}
			waiting = waiting || len(s.Bytes[d]) > 0
			continue
		}
		m := &first[d]
		read := m.read(b)
		reply := d == protocol.FromServer && !group || group && m.response()
		switch {
		case len(b) >= headerBytes && !m.fitsHeader(reply, group), judged && !(read && (m.counts[0] == 0 || m.isQuestion(usual, group))):
			return protocol.No
		case !judged:
			waiting = true
		}
		came[d] = true
	}
	if waiting {
		return protocol.NeedMore
	}
	asked, answered := &first[protocol.FromClient], &first[protocol.FromServer]
	switch {
	case !came[protocol.FromClient] && !came[protocol.FromServer]:
		return protocol.NeedMore
	case !came[protocol.FromClient] && !s.Datagrams && !s.Joined: // only the middle of a stream begins with a response
		return protocol.No
	case came[protocol.FromClient] && !asked.whole():
		return protocol.No
	case came == [...]bool{true, true} && asked.id == answered.id && answered.asks(asked.name, asked.kind, asked.class):
		return protocol.Certain
	case came[protocol.FromServer] && (!usual || group || !came[protocol.FromClient]) && !answered.whole():
		return protocol.No // a capture limit may have cut the response of a server whose port is that of DNS
	case group && s.Reversed:
		return protocol.Weak // the roles are equal: either side may ask, or announce
	case usual, came == [...]bool{true, true} && equalNames(asked.name, answered.name):
		// If there are both, the first response is not to the first query: two were asked at once, or a datagram was lost.
		return protocol.Strong
	}
	return protocol.Weak
}

// unframed is what has come of a direction's first message, and whether it has to be judged by that.
func unframed(s *protocol.Sample, d protocol.Direction) (message []byte, judged bool) {
	b := s.Bytes[d]
	if s.Datagrams {
		return b, len(b) > 0
	}
	if len(b) < prefix {
		return nil, s.Ended[d] && len(b) > 0
	}
	length := int(binary.BigEndian.Uint16(b))
	b = b[prefix:]
	if length <= len(b) {
		return b[:length], true
	}
	return b, s.Ended[d] || length < headerBytes
}

// fitsHeader reports whether the header is that of a response, or of a query.
func (m *message) fitsHeader(reply, group bool) bool {
	if reply {
		return m.answersByHeader(group)
	}
	return m.asksByHeader(group)
}

// asksByHeader reports whether the header is that of a query.
func (m *message) asksByHeader(group bool) bool {
	unset := uint16(bitResponse | bitTruncated | bitAvailable | bitReserved | maskCode)
	if group {
		unset &^= bitTruncated // more known answers follow: RFC 6762, section 7.2
	}
	switch op := m.op(); {
	case m.bits&unset != 0 || m.counts[0] == 0 || m.counts[0] > 1 && !group:
		return false
	case op == opQuery: // for IXFR, there is an SOA in the third section
		return m.bits&bitAuthoritative == 0 && (group || m.counts[1] == 0 && m.counts[2] <= 1)
	default:
		return op == opNotify || op == opUpdate
	}
}

// answersByHeader reports whether the header is that of a response.
func (m *message) answersByHeader(group bool) bool {
	if group && m.id == 0 && m.bits&bitRecursion == 0 {
		return m.bits == bitResponse|bitAuthoritative && m.counts[1] > 0 // RFC 6762, section 18
	}
	op := m.op()
	return m.response() && m.bits&bitReserved == 0 && m.counts[0] == 1 && (op == opQuery || op == opNotify || op == opUpdate)
}

// isQuestion reports whether the first question is one that is asked.
func (m *message) isQuestion(usual, group bool) bool {
	switch m.class {
	case dnsmessage.ClassINET, dnsmessage.ClassCHAOS, dnsmessage.ClassHESIOD, dnsmessage.ClassANY, 254: // NONE: RFC 2136
	default:
		return false
	}
	if m.kind == 0 || m.top && !group {
		return false
	}
	if !usual && typeNames[m.kind] == "" {
		return false
	}
	for name := m.name; len(name) > 0; name = name[1+name[0]:] {
		label := name[1 : 1+name[0]]
		if !usual && isNetBIOS(label) {
			return false
		}
		for _, c := range label {
			if c < ' ' || c == 0x7f || !usual && (c == ' ' || c > 0x7f) {
				return false
			}
		}
	}
	return true
}

// isNetBIOS reports whether a label is a name of NetBIOS: each half byte is a letter from A to P (RFC 1001, section 14.1).
func isNetBIOS(label []byte) bool {
	if len(label) != 32 {
		return false
	}
	for _, c := range label {
		if c < 'A' || c > 'P' {
			return false
		}
	}
	return true
}

// credible judges the first bytes of a call after a loss, of each direction.
var credible = [protocol.Directions]func([]byte) bool{
	protocol.FromClient: func(b []byte) bool { return begins(b, (*message).asksByHeader) },
	protocol.FromServer: func(b []byte) bool { return begins(b, (*message).answersByHeader) },
}

func begins(b []byte, header func(m *message, group bool) bool) bool {
	var m message
	return len(b) > prefix && m.read(b[prefix:min(prefix+int(binary.BigEndian.Uint16(b)), len(b))]) && header(&m, false) &&
		m.isQuestion(true, false)
}
