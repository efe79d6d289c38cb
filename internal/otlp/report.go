package otlp

import (
	"net/netip"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/metrics"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// recordDef describes a kind of report of a connection.
type recordDef struct {
	kind       RecordKinds
	event      string
	span       func(*transportDef) string // name of the span; nil if there is none yet
	conditions conditions                 // that hold in every such report
	err        func(*socket.Connection) errno
	sentence   func([]byte, *report) []byte
}

// The kinds of reports.
var (
	opening = recordDef{kind: RecordOpen, event: eventOpen, conditions: ofConnection, sentence: appendOpened}
	closing = recordDef{
		kind: RecordClose, event: eventClose, span: func(m *transportDef) string { return m.span },
		conditions: ofConnection | hasEnded | wasEstablished, err: errorOfClosing, sentence: appendClosed,
	}
	failure = recordDef{
		kind: RecordFail, event: eventFail, span: func(m *transportDef) string { return m.attempt },
		conditions: ofConnection | hasEnded, err: errorOfFailure, sentence: appendFailed,
	}
	exchanging = recordDef{}
)

// report is what both signals need of a connection, or of an exchange on it.
type report struct {
	connection    *socket.Connection
	exchange      *protocol.Exchange // nil: the report is of the connection
	transportDef  *transportDef
	subject       string // names the process in a sentence
	conditions    conditions
	err           errno
	id            string
	local, remote string // the addresses or names; "" if not known
	client        string // the address that a proxy has named
	server        string // as the request names it
	protocol      string
	version       string // of the protocol
	capture       string
	interned      *interned
	bound         *bound
	tally         *metrics.Tally // nil: the exchange is not measured
	phases        [3]protocol.Phase
}

var conditionsOfRole = [...]conditions{event.RoleUnknown: 0, event.RoleClient: isClient, event.RoleServer: isServer}

var kinds = [...]ptrace.SpanKind{
	event.RoleUnknown: ptrace.SpanKindInternal,
	event.RoleClient:  ptrace.SpanKindClient,
	event.RoleServer:  ptrace.SpanKindServer,
}

// read fills the report with a connection.
func (r *report) read(c *socket.Connection, h *recordDef, texts *addressTexts) {
	m := row(transportDefs[:], c.Transport)
	*r = report{
		connection: c, transportDef: m, conditions: isClientsPeer | h.conditions | m.conditions | entry(conditionsOfRole[:], c.Role),
		capture: nameOf(captureNames[:], c.Capture),
	}
	if m.conditions&overIP != 0 {
		r.remote = r.readAddress(c.Remote.Addr(), texts)
		r.local = r.readAddress(c.Local.Addr(), texts)
		r.conditions.add(hasRemotePort, c.Remote.Port() != 0)
		r.conditions.add(hasLocalPort, c.Local.Port() != 0)
	} else if c.Unix != nil {
		r.remote, r.local = sound(c.Unix.Remote), sound(c.Unix.Local)
		r.conditions.add(hasPeerPID, c.Unix.PeerPID != 0)
	}
	if h.err != nil {
		r.err = h.err(c)
	}
	if h != &opening { // as a rule it is known later only
		r.conditions |= conditionsOfTLS(c.TLS)
		r.protocol, r.version = sound(c.Protocol.Name), sound(c.Protocol.Version)
		r.conditions.add(hasProtocol, r.protocol != "")
		r.conditions.add(hasVersion, r.version != "")
	}
	r.conditions.add(hasRemoteAddress, r.remote != "")
	r.conditions.add(hasLocalAddress, r.local != "")
	r.conditions.add(hasPeerName, c.PeerName != "")
	r.conditions.add(hasNetNS, c.NetNS != 0)
	if h.conditions&hasEnded != 0 {
		if r.unmeasured() {
			r.conditions &^= wasEstablished
		}
		r.conditions.add(hasRTT, c.Stats.RTT != 0)
		r.conditions.add(hasSegments, !c.Stats.Uncounted)
		r.conditions.add(hasWay, c.End.Way != socket.WayUnknown && (m.conditions&isTCP != 0 || !isSegment(c.End.Way)))
		r.conditions.add(hasSide, c.End.By != socket.SideUnknown)
	}
	r.conditions.add(hasError, r.err.name != "")
}

// unmeasured says whether neither a duration nor counts are known of a connection that has ended: no hook has shown the end of a Unix socket
// (decision 9), and it was gone before the receiver looked at it for the first time, which it does once a minute.
func (r *report) unmeasured() bool {
	c := r.connection
	return c.Transport == event.UnixStream && c.End.Way == socket.WayUnknown && r.duration() <= 0
}

// isSegment says whether an end is named for a TCP segment. Connections of other transports have only the side that closed
// and the error.
func isSegment(w socket.Way) bool { return w == socket.WayFIN || w == socket.WayRST }

// readExchange adds an exchange to the report of its connection.
func (r *report) readExchange(x *protocol.Exchange, texts *addressTexts) {
	r.exchange, r.err.name, r.capture = x, sound(x.Error), nameOf(exchangeCaptureNames[:], x.Capture)
	if x.Errno != 0 {
		r.err.name = lookUpErrno(x.Errno).name
	}
	r.server, r.protocol, r.version = sound(x.Server), sound(x.Protocol), sound(x.Version)
	r.conditions.add(hasError, r.err.name != "")
	if x.Server != "" {
		r.conditions = r.conditions&^hasPeerName | hasServer
	}
	if x.Client.IsValid() {
		r.client = texts.of(x.Client.Addr())
		r.conditions |= hasClient
		if r.conditions&isServer != 0 {
			r.conditions &^= isClientsPeer
		}
		r.conditions.add(hasClientPort, x.Client.Port() != 0)
	}
	r.conditions.add(hasServerPort, x.Server != "" && x.ServerPort != 0)
	r.conditions &^= hasProtocol | hasVersion
	r.conditions.add(hasProtocol, x.Protocol != "")
	r.conditions.add(hasVersion, x.Version != "")
	r.conditions.add(isHTTP, x.Protocol == "http")
}

// readPhases adds the parts of what the exchange took.
func (r *report) readPhases() {
	c, x := r.connection, r.exchange
	r.conditions.add(asks, asksIn(x, c.Role))
	r.conditions.add(isAsked, !asksIn(x, c.Role) && c.Role != event.RoleUnknown)
	r.phases = x.Phases()
	r.conditions.add(hasRequestPhase, r.phases[0].Known)
	r.conditions.add(hasWaitPhase, r.phases[1].Known)
	r.conditions.add(hasResponsePhase, r.phases[2].Known)
	r.conditions.add(hasHandshake, c.FirstWithinTLS && c.TLS != nil && c.TLS.Handshake != 0)
	if !r.opensConnection() {
		return
	}
	r.conditions.add(hasResolving, r.conditions&asks != 0 && c.PeerLookup != 0)
	r.conditions.add(hasConnecting, r.conditions&asks != 0 && c.OpenedAt > c.StartedAt)
	r.conditions.add(hasQueued, r.conditions&isAsked != 0 && c.AcceptedAt != 0 && c.AcceptedAt >= c.OpenedAt)
}

// opensConnection reports whether the exchange is the first one of a connection over TCP of which all is known.
func (r *report) opensConnection() bool {
	c := r.connection
	return c.Exchanges == 1 && c.Capture == socket.CaptureComplete && c.Transport == event.TCP
}

// asksIn reports whether the end with a role has begun an exchange.
func asksIn(x *protocol.Exchange, role event.Role) bool {
	return role != event.RoleUnknown && (x.Initiator == protocol.FromClient) == (role == event.RoleClient)
}

// readAddress returns an address as text, or "" if it is not known: the zero Addr, 0.0.0.0 or ::.
func (r *report) readAddress(a netip.Addr, texts *addressTexts) string {
	if !a.IsValid() || a.IsUnspecified() {
		return ""
	}
	r.conditions.add(isIPv4, a.Is4())
	r.conditions.add(isIPv6, a.Is6())
	return texts.of(a)
}

func (r *report) addressSource() event.AddressSource {
	if r.conditions&overIP != 0 && r.remote == "" && r.local == "" {
		return event.AddressSourceUnknown
	}
	return r.connection.AddressSource
}

// endedAt is never before StartedAt: the wall clock may be set back in between, and backends reject such spans.
func (r *report) endedAt() int64 { return max(r.connection.EndedAt, r.connection.StartedAt) }

func (r *report) duration() int64 { return r.endedAt() - r.connection.StartedAt }

// severity of the log record. A failed or broken connection is a warning and not an error, because programs usually retry.
func (r *report) severity() (plog.SeverityNumber, string) {
	if r.err.name != "" {
		return plog.SeverityNumberWarn, "WARN"
	}
	return plog.SeverityNumberInfo, "INFO"
}
