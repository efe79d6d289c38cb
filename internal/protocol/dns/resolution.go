package dns

import (
	"errors"
	"math"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/protocol"
)

// resolve hands over the addresses that a whole response to a question of this side has.
func (p *parser) resolve(e *outstanding, m *message) {
	q := &e.Value
	switch {
	case !p.session.Side.Sends(e.ID.from), q.op != opQuery, q.class != dnsmessage.ClassINET,
		q.kind != dnsmessage.TypeA && q.kind != dnsmessage.TypeAAAA,
		q.capture != protocol.CaptureComplete, m.bits&bitTruncated != 0, len(q.name) == 0:
		return
	}
	r := &p.resolution
	if r.Addresses = m.resolved(r.Addresses[:0]); len(r.Addresses) == 0 {
		return
	}
	r.Name = appendText(r.Name[:0], q.name)
	for i, c := range r.Name {
		r.Name[i] = lower(c)
	}
	r.Asked, r.Answered = q.start, q.last
	p.sink.Resolved(r)
}

// resolved appends the addresses that belong to the question, by way of aliases. There are none if the answers cannot be read.
func (m *message) resolved(to []protocol.Resolved) []protocol.Resolved {
	if _, err := m.reader.Start(m.bytes); err != nil {
		return to
	}
	question, err := m.reader.Question()
	if err != nil || m.reader.SkipAllQuestions() != nil {
		return to
	}
	owner, ttl := question.Name, uint32(math.MaxUint32)
	for {
		h, err := m.reader.AnswerHeader()
		switch {
		case errors.Is(err, dnsmessage.ErrSectionDone):
			return to
		case err != nil:
			return to[:0]
		case h.Class&^topBit != dnsmessage.ClassINET || !equalNames(owner.Data[:owner.Length], h.Name.Data[:h.Name.Length]):
			err = m.reader.SkipAnswer()
		case h.Type == dnsmessage.TypeCNAME:
			var alias dnsmessage.CNAMEResource
			alias, err = m.reader.CNAMEResource()
			owner, ttl = alias.CNAME, min(ttl, h.TTL)
		default:
			to, err = m.appendResolved(to, &h, ttl)
		}
		if err != nil {
			return to[:0]
		}
	}
}

// appendResolved appends the address of a record, if it has one and there is room.
func (m *message) appendResolved(to []protocol.Resolved, h *dnsmessage.ResourceHeader, ttl uint32) ([]protocol.Resolved, error) {
	var address netip.Addr
	switch {
	case len(to) >= maxAnswers:
		return to, m.reader.SkipAnswer()
	case h.Type == dnsmessage.TypeA && h.Length == 4:
		r, err := m.reader.AResource()
		if err != nil {
			return to, err
		}
		address = netip.AddrFrom4(r.A)
	case h.Type == dnsmessage.TypeAAAA && h.Length == 16:
		r, err := m.reader.AAAAResource()
		if err != nil {
			return to, err
		}
		address = netip.AddrFrom16(r.AAAA).Unmap()
	default:
		return to, m.reader.SkipAnswer()
	}
	return append(to, protocol.Resolved{Address: address, TTL: min(ttl, h.TTL)}), nil
}
