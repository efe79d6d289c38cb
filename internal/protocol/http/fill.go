package http

import "github.com/socketflow/socketflow/internal/protocol"

// firstError is the lowest status code that is an error, by side: a mistake of the client is no error of the server.
var firstError = [...]int{protocol.Client: 400, protocol.Server: 500}

// Fill makes x the exchange that was collected. x points into the message and its pool: it is valid until the message is
// put back, or until Fill is called on another message of the pool.
func (m *Message) Fill(x *protocol.Exchange) {
	p := m.pool
	p.out = p.out[:0]
	x.Reset(p.settings.Keys)
	x.Protocol, x.Version = p.protocol, m.version
	x.Start, x.RequestEnd, x.ResponseStart, x.End = m.Start, m.RequestEnd, m.ResponseStart, m.End
	x.Parent = m.parentContext()
	l := m.locate()
	m.putForwarded(x, &l)
	if !p.gateway || m.session.Side == protocol.Server {
		x.Server, x.ServerPort = p.names.host(l.host), l.port
	}
	if m.isGRPC {
		m.fillGRPC(x)
	} else {
		m.fillHTTP(x, &l)
	}
	m.addListed(x)
	if m.failed() && !(m.cancelled && !m.isGRPC) && (m.broken() || !m.isGRPC || m.grpcOutcome() == 0) { // a gRPC status already explains a reset
		x.Error, x.Errno = m.failure, m.errno // the status, if there is one, is that of an incomplete response
	}
	x.Telemetry, x.CarriesSpans = m.isOTLP(&l)
	x.RequestBody, x.ResponseBody = m.bodies[protocol.FromClient].size(), m.bodies[protocol.FromServer].size()
	x.Capture = m.Capture // last: cutting a long value raises it
}

// fillHTTP sets the attributes of HTTP.
func (m *Message) fillHTTP(x *protocol.Exchange, l *location) {
	p := m.pool
	if x.Name = p.methods.of(m.Method()); x.Name != "" {
		x.SetText(requestMethod, m.Method())
	} else {
		x.Name = unknownMethodName
		x.SetText(requestMethod, otherMethod)
		if !m.method.empty() {
			x.SetText(requestMethodOriginal, m.text(m.Method(), maxMethod))
		}
	}
	side := m.session.Side
	m.nameRoute(x, l)
	if side == protocol.Server || p.gateway {
		m.writeServerURL(x, l)
	} else {
		from := len(p.out)
		if p.out = m.appendURL(p.out, l); len(p.out) > from {
			x.SetText(urlFull, m.finish(from, maxURL))
		}
	}
	if !m.userAgent.empty() && (side == protocol.Server || p.request.find(userAgent) >= 0) { // opt-in on clients
		x.SetText(userAgentOriginal, m.text(m.bytes(m.userAgent), maxValue))
	}
	if m.status != 0 {
		x.SetInt(responseStatusCode, int64(m.status))
		if m.status >= firstError[side] {
			x.Error = statusTexts[m.status]
		}
	}
}

var userAgent = []byte("user-agent")

// nameRoute sets the route, if a pattern matches the path.
func (m *Message) nameRoute(x *protocol.Exchange, l *location) {
	if len(m.pool.routes) == 0 || m.targetCut {
		return
	}
	r := m.pool.routes.of(l.path)
	if r == nil {
		return
	}
	x.Name = r.name(x.Name)
	if m.session.Side == protocol.Server {
		x.SetText(httpRoute, r.pattern)
	} else {
		x.SetText(urlTemplate, r.pattern)
	}
}

// addListed adds the recorded fields, all of one name in one list.
func (m *Message) addListed(x *protocol.Exchange) {
	if len(m.listed) == 0 {
		return
	}
	request, response := &m.pool.request, &m.pool.response
	for i := range request.names {
		m.addList(x, request.key(i, m.isGRPC), i, request.show[i])
	}
	for i := range response.names {
		m.addList(x, response.key(i, m.isGRPC), len(request.names)+i, response.show[i])
	}
}

func (m *Message) addList(x *protocol.Exchange, key, slot int, show appendValue) {
	if slot >= len(m.values) || m.values[slot] == 0 {
		return
	}
	values := make([]string, 0, m.values[slot])
	for i := range m.listed {
		if f := &m.listed[i]; f.slot == slot {
			p := m.pool
			from := len(p.out)
			p.out = show(p.out, m.bytes(f.value))
			values = append(values, string(m.finish(from, maxValue)))
		}
	}
	x.SetList(key, values)
}
