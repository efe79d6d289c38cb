package dns

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	headerBytes = 12
	maxName     = 255 // RFC 1035, section 2.3.4
	maxAnswers  = 32  // addresses that are reported of a response
)

// Bits of the header's second field: RFC 1035, section 4.1.1; RFC 2535, section 6.1.
const (
	bitResponse      = 1 << 15
	bitAuthoritative = 1 << 10
	bitTruncated     = 1 << 9
	bitAvailable     = 1 << 7
	bitReserved      = 1 << 6
	maskCode         = 0xf
)

// topBit of a class says in mDNS that a response by unicast is wanted, or that others' records are outdated: RFC 6762, section 18.
const topBit = dnsmessage.Class(1 << 15)

// message is a message whose header and first question have been read.
type message struct {
	id, bits uint16
	counts   [4]uint16 // of questions, answers, authorities, additional records
	name     []byte    // the first question's, in wire form without the end; it is in the message's bytes
	kind     dnsmessage.Type
	class    dnsmessage.Class // without topBit
	top      bool             // topBit of the class

	bytes  []byte
	reader dnsmessage.Parser
}

func (m *message) response() bool { return m.bits&bitResponse != 0 }
func (m *message) op() uint8      { return uint8(m.bits >> 11 & maskCode) }

// read reads header and first question, and reports whether they are there.
func (m *message) read(b []byte) bool {
	if len(b) < headerBytes {
		return false
	}
	*m = message{id: binary.BigEndian.Uint16(b), bits: binary.BigEndian.Uint16(b[2:]), bytes: b}
	for i := range m.counts {
		m.counts[i] = binary.BigEndian.Uint16(b[4+2*i:])
	}
	if m.counts[0] == 0 {
		return true
	}
	// The library would refuse labels that contain dots, which names of mDNS services do, and would not distinguish them from others.
	at := headerBytes
	for at < len(b) && b[at] != 0 {
		if b[at] > 63 { // nothing is before the first name that it could refer to
			return false
		}
		at += 1 + int(b[at])
		if at-headerBytes >= maxName {
			return false
		}
	}
	if at+5 > len(b) {
		return false
	}
	m.name = b[headerBytes:at]
	m.kind = dnsmessage.Type(binary.BigEndian.Uint16(b[at+1:]))
	m.class = dnsmessage.Class(binary.BigEndian.Uint16(b[at+3:]))
	m.top = m.class&topBit != 0
	m.class &^= topBit
	return true
}

// asks reports whether the message has the question.
func (m *message) asks(name []byte, kind dnsmessage.Type, class dnsmessage.Class) bool {
	return m.counts[0] > 0 && m.kind == kind && m.class == class && equalNames(m.name, name)
}

// records goes to the beginning of the answers.
func (m *message) records() bool {
	if _, err := m.reader.Start(m.bytes); err != nil {
		return false
	}
	return m.reader.SkipAllQuestions() == nil
}

// readable reports whether the answers can be read, or a part of them is said to be left out.
func (m *message) readable() bool {
	return m.counts[1] == 0 || m.bits&bitTruncated != 0 || m.records() && m.reader.SkipAllAnswers() == nil
}

// addresses appends those of the answers, as far as they can be read.
func (m *message) addresses(to []string, t *texts) []string {
	if !m.records() {
		return to
	}
	for len(to) < maxAnswers {
		h, err := m.reader.AnswerHeader()
		if err != nil {
			return to
		}
		switch internet := h.Class&^topBit == dnsmessage.ClassINET; {
		case internet && h.Type == dnsmessage.TypeA && h.Length == 4:
			r, err := m.reader.AResource()
			if err != nil {
				return to
			}
			to = append(to, t.of(netip.AddrFrom4(r.A)))
		case internet && h.Type == dnsmessage.TypeAAAA && h.Length == 16:
			r, err := m.reader.AAAAResource()
			if err != nil {
				return to
			}
			to = append(to, t.of(netip.AddrFrom16(r.AAAA)))
		default:
			if m.reader.SkipAnswer() != nil {
				return to
			}
		}
	}
	return to
}

// code is the response code, with the part of it that EDNS has (RFC 6891, section 6.1.3) if that can be read.
func (m *message) code() uint16 {
	code := dnsmessage.RCode(m.bits & maskCode)
	if m.counts[3] == 0 || !m.records() || m.reader.SkipAllAnswers() != nil || m.reader.SkipAllAuthorities() != nil {
		return uint16(code)
	}
	for {
		h, err := m.reader.AdditionalHeader()
		if err != nil {
			return uint16(code)
		}
		if h.Type == dnsmessage.TypeOPT {
			return uint16(h.ExtendedRCode(code))
		}
		if m.reader.SkipAdditional() != nil {
			return uint16(code)
		}
	}
}

// whole reports whether the message ends where the bytes do, and has as many records as its header says.
func (m *message) whole() bool {
	return skims(m.bytes) && !skims(m.bytes[:len(m.bytes)-1])
}

func skims(b []byte) bool {
	var r dnsmessage.Parser
	_, err := r.Start(b)
	return err == nil && r.SkipAllQuestions() == nil && r.SkipAllAnswers() == nil && r.SkipAllAuthorities() == nil &&
		r.SkipAllAdditionals() == nil
}

// transfer follows the responses to a query for a zone, which may be several messages: RFC 5936, RFC 1995.
type transfer struct {
	records uint64
	soas    int
	serial  uint32 // of the first SOA
	changes bool   // only differences are sent
}

// last reads one of the messages, and reports whether it is the last: the zone's SOA is its first and last record.
func (t *transfer) last(m *message, asked dnsmessage.Type) bool {
	if !m.records() {
		return false
	}
	for {
		h, err := m.reader.AnswerHeader()
		if err != nil {
			// A single SOA says that a zone has not changed (RFC 1995, section 4). A server that sends one record in
			// each message begins in the same way, so it counts only where the question was about changes.
			return errors.Is(err, dnsmessage.ErrSectionDone) && (t.records == 0 || t.records == 1 && asked == typeIXFR)
		}
		t.records++
		if h.Type != dnsmessage.TypeSOA {
			if t.records == 1 {
				return true // this is no transfer
			}
			if m.reader.SkipAnswer() != nil {
				return false
			}
			continue
		}
		soa, err := m.reader.SOAResource()
		if err != nil {
			return false
		}
		t.soas++
		switch {
		case t.soas == 1:
			t.serial = soa.Serial
		case t.soas == 2 && t.records == 2 && soa.Serial != t.serial:
			t.changes = true // deletions from an older version, then additions: each begins with an SOA
		case !t.changes || t.soas%2 == 0 && soa.Serial == t.serial:
			return true
		}
	}
}
