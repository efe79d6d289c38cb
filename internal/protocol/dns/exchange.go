package dns

import (
	"golang.org/x/net/dns/dnsmessage"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/splitmix"
)

// Ports: RFC 6762, section 5; RFC 4795, section 2.
const (
	portDNS   = 53
	portMDNS  = 5353
	portLLMNR = 5355
)

// bitRecursion is what mDNS never sets: RFC 6762, section 18.6.
const bitRecursion = 1 << 8

// toGroup reports whether a message is to, or from, a group of hosts. A server of ordinary DNS may use the port of mDNS too; its
// clients choose ids, and want recursion.
func (p *parser) toGroup(m *message) bool {
	if !p.session.Datagrams {
		return false
	}
	return p.session.Remote.Addr().IsMulticast() || p.session.Local.Addr().IsMulticast() ||
		p.uses(portMDNS) && m.id == 0 && m.bits&bitRecursion == 0
}

func (p *parser) uses(port uint16) bool {
	return p.session.Remote.Port() == port || p.session.Local.Port() == port
}

// alone emits a message to or from a group of hosts.
func (p *parser) alone(m *message, r *received) {
	x := p.clean()
	x.Kind, x.Initiator, x.Capture = protocol.Message, r.from, r.capture
	x.Start, x.RequestEnd, x.End = r.first, r.last, r.last
	x.Name = "response"
	if !m.response() {
		x.Name = spanName(m.op(), m.kind)
	} else {
		p.addresses(x, m)
	}
	if p.uses(portMDNS) {
		x.Protocol = "mdns"
	}
	if m.counts[0] > 0 {
		p.question(x, m.name, m.kind)
	}
	p.sink.Single(x)
}

func (p *parser) clean() *protocol.Exchange {
	x := &p.exchange
	x.Reset(p.settings.Keys)
	p.text = p.text[:0]
	x.Protocol = "dns"
	if p.uses(portLLMNR) {
		x.Protocol = "llmnr"
	}
	return x
}

// fill is the exchange of a query with the responses that there have been.
func (p *parser) fill(e *outstanding) *protocol.Exchange {
	x, q := p.clean(), &e.Value
	x.Kind, x.Initiator, x.Capture = protocol.Call, e.ID.from, q.capture
	x.Start, x.RequestEnd, x.ResponseStart, x.End = q.start, q.end, q.first, q.last
	x.Name = opNames[q.op]
	if q.asks {
		x.Name = spanName(q.op, q.kind)
		p.question(x, q.name, q.kind)
	}
	if p.session.Datagrams {
		x.Token = q.token(e.ID.id)
	}
	return x
}

// token is a number for what is asked, and the id of the query.
func (q *query) token(id uint16) uint64 {
	token := splitmix.Mix(uint64(id)<<32 | uint64(q.kind)<<16 | uint64(q.class))
	for _, c := range q.name {
		token = (token ^ uint64(c)) * splitmix.Gamma
	}
	return splitmix.Finalize(token)
}

func (p *parser) question(x *protocol.Exchange, name []byte, kind dnsmessage.Type) {
	text := len(p.text)
	p.text = appendText(p.text, name)
	x.SetText(questionName, p.text[text:])
	known := typeNames[kind]
	if known == "" {
		known = other
	}
	p.setText(x, questionType, known)
}

func (p *parser) setText(x *protocol.Exchange, key int, value string) {
	text := len(p.text)
	p.text = append(p.text, value...)
	x.SetText(key, p.text[text:])
}

// code sets what is known from the response code. To the client, any but NOERROR says that it did not get what it asked for. To the
// server, most of them are proper answers, as 404 is to a server of HTTP.
func (p *parser) code(x *protocol.Exchange, code uint16) {
	name := codeName(code)
	p.setText(x, responseCode, name)
	if code == servFail || code == notImp || code != noError && p.session.Side.Sends(x.Initiator) {
		x.Error = name
	}
}

// addresses sets those that a response has.
func (p *parser) addresses(x *protocol.Exchange, m *message) {
	if p.list = m.addresses(p.list[:0], &p.texts); len(p.list) > 0 {
		x.SetList(answers, p.list)
	}
}

// failure is why there is no response that can be read.
func (q *query) failure() string {
	if q.garbled {
		return protocol.MalformedResponse
	}
	return "timeout"
}

// unanswered ends an exchange that is waited for no longer.
func (p *parser) unanswered(e *outstanding, now protocol.Stamp) {
	x := p.fill(e)
	if q := &e.Value; q.first.Time != 0 { // a transfer whose end was not recognised
		p.code(x, noError)
	} else {
		x.End = now
		if q.gaps != p.gaps[e.ID.from.Opposite()] { // the response may be what is missing
			x.Capture = max(x.Capture, protocol.CaptureGap)
		} else {
			x.Error = q.failure()
		}
	}
	p.end(e, x)
}

// end emits an exchange and removes its query.
func (p *parser) end(e *outstanding, x *protocol.Exchange) {
	p.sink.End(e.Value.exchange, x)
	p.waiting.Remove(e)
}
