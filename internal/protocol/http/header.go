package http

import (
	"bytes"
	"slices"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
	"github.com/socketflow/socketflow/internal/redact"
)

// Names are compared only if a name of that length is looked for, because most fields are of no interest.

// wanted are the header fields of one direction that the configuration lists.
type wanted struct {
	names   []string      // in lower case
	show    []appendValue // how the values of each are written
	lengths uint64        // a bit for each length, modulo 64
	first   int           // index of the first name's attribute; those on gRPC follow after the last name's
}

// newWanted returns the listed fields of both directions. The order of their attributes is that of Keys.
func newWanted(c *HeadersConfig, rules *redact.Rules) (request, response wanted) {
	unredacted := canonical(c.Unredacted)
	request = wantedOf(c.Request, unredacted, firstListed, rules)
	response = wantedOf(c.Response, unredacted, firstListed+2*len(request.names), rules)
	return request, response
}

func wantedOf(names, unredacted []string, first int, rules *redact.Rules) wanted {
	w := wanted{names: canonical(names), first: first}
	for _, name := range w.names {
		w.lengths |= 1 << (len(name) % 64)
		if slices.Contains(unredacted, name) {
			w.show = append(w.show, appendWhole)
		} else {
			w.show = append(w.show, redaction(name, rules))
		}
	}
	return w
}

// key is the index of the attribute of the field at a place in the list.
func (w *wanted) key(place int, rpc bool) int {
	if rpc {
		place += len(w.names)
	}
	return w.first + place
}

// find returns the name's place in the list, -1 if it is not listed.
func (w *wanted) find(name []byte) int {
	if w.lengths>>(len(name)%64)&1 == 0 {
		return -1
	}
	for i, listed := range w.names {
		if ascii.Is(name, listed) {
			return i
		}
	}
	return -1
}

// field is a listed header field.
type field struct {
	slot  int // the name's place in the list of request headers, or after those in the list of response headers
	value piece
}

// record keeps a value of a listed field.
func (m *Message) record(slot int, value []byte) {
	for len(m.values) <= slot {
		m.values = append(m.values, 0)
	}
	if m.values[slot] == maxValues {
		m.Raise(protocol.CaptureTruncated)
		return
	}
	m.values[slot]++
	m.listed = append(m.listed, field{slot, m.keep(value, maxValue)})
}

// RequestHeader keeps a header field if it is of interest: host, user-agent, content-type, those of trace contexts, and the
// listed ones, and ids of requests. The name may be in any case.
func (m *Message) RequestHeader(name, value []byte) {
	if i := m.pool.request.find(name); i >= 0 {
		m.record(i, trim(value))
	}
	if m.pool.propagation.mayHave(name) {
		m.propagate(name, trim(value))
	}
	if m.pool.forwarded && m.session.Side == protocol.Server {
		m.forward(name, value)
	}
	switch len(name) {
	case len("host"):
		if ascii.Is(name, "host") {
			m.setHost(trim(value))
		}
	case len("user-agent"): // and tracestate
		switch {
		case ascii.Is(name, "user-agent"):
			if m.userAgent.empty() {
				m.userAgent = m.keep(trim(value), maxValue)
			}
		case ascii.Is(name, "tracestate"):
			m.addState(trim(value))
		}
	case len("traceparent"):
		if ascii.Is(name, "traceparent") {
			m.setParent(trim(value))
		}
	case len("x-correlation-id"):
		if ascii.Is(name, "x-correlation-id") {
			m.ids.correlation.set(trim(value))
		}
	case len("content-type"): // and grpc-timeout, x-request-id
		switch {
		case ascii.Is(name, "x-request-id"):
			m.ids.request.set(trim(value))
		case ascii.Is(name, "grpc-timeout"):
			m.timeout = parseGRPCTimeout(trim(value))
		case !m.contentType && ascii.Is(name, "content-type"):
			m.contentType, m.body = true, mediaOf(trim(value))
			m.isGRPC = m.version == grpcVersion && isGRPC(trim(value))
		}
	}
}

// ResponseHeader keeps a header field, or a trailer, of the response if it is of interest.
func (m *Message) ResponseHeader(name, value []byte) {
	if i := m.pool.response.find(name); i >= 0 {
		m.record(len(m.pool.request.names)+i, trim(value))
	}
	if len(name) == len("grpc-status") && ascii.Is(name, "grpc-status") {
		m.grpc = parseGRPCStatus(trim(value))
	}
}

// setHost sets the Host header. A request with several is invalid (RFC 9112, 3.2): none of them counts.
func (m *Message) setHost(value []byte) {
	m.hosts = min(m.hosts+1, 2)
	if m.hosts == 1 && len(value) <= maxAuthority {
		m.host = m.keep(value, maxAuthority)
	} else {
		m.host = piece{}
	}
}

// setParent sets the traceparent. Several are invalid as a whole (W3C Trace Context, 3.2).
func (m *Message) setParent(value []byte) {
	m.parents = min(m.parents+1, 2)
	parent, ok := protocol.ParseTraceparent(value)
	if m.parents > 1 || !ok {
		parent = protocol.TraceContext{}
	}
	m.parent = parent
}

// maxState is how many bytes of tracestate are kept. A longer one is not kept at all, because a cut member looks like a
// whole one. W3C Trace Context, 3.3.1.5 demands at least as many.
const maxState = 512

// addState adds a tracestate; several are one list (W3C Trace Context, 3.3.1).
func (m *Message) addState(value []byte) {
	if len(value) == 0 || m.stateBroken {
		return
	}
	if len(m.state) > 0 {
		m.state = append(m.state, ',')
	}
	if m.stateBroken = len(m.state)+len(value) > maxState || !isState(value); !m.stateBroken {
		m.state = append(m.state, value...)
	}
}

// isState reports whether the value can be a list of key=value: of printable ASCII (W3C Trace Context, 3.3.1.3), and each
// member that is not empty has a key and a value.
func isState(value []byte) bool {
	for _, c := range value {
		if (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	for len(value) > 0 {
		var member []byte
		member, value, _ = bytes.Cut(value, comma)
		member = trim(member)
		if at := bytes.IndexByte(member, '='); at <= 0 && len(member) > 0 {
			return false
		}
	}
	return true
}

var comma = []byte{','}

// withState adds the tracestate to what the traceparent says.
func (m *Message) withState(parent protocol.TraceContext) protocol.TraceContext {
	if !m.stateBroken {
		parent.State = string(m.state)
	}
	return parent
}

// trim removes the whitespace round a value, which is not part of it (RFC 9110, 5.5).
func trim(value []byte) []byte {
	for len(value) > 0 && ascii.IsSpace(value[0]) {
		value = value[1:]
	}
	for len(value) > 0 && ascii.IsSpace(value[len(value)-1]) {
		value = value[:len(value)-1]
	}
	return value
}
