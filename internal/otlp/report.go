package otlp

import (
	"net/netip"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

// happening is a thing that is told of a connection.
type happening struct {
	event    string
	span     func(*medium) string // its name; nil if there is none to make yet
	facts    facts                // that follow from it
	err      func(*socket.Connection) errno
	sentence func([]byte, *report) []byte
}

// The happenings.
var (
	opening = happening{event: eventOpen, facts: ofConnection, sentence: appendOpened}
	closing = happening{
		event: eventClose, span: func(m *medium) string { return m.span },
		facts: ofConnection | hasEnded | wasEstablished, err: errorOfClosing, sentence: appendClosed,
	}
	failure = happening{
		event: eventFail, span: func(m *medium) string { return m.attempt },
		facts: ofConnection | hasEnded, err: errorOfFailure, sentence: appendFailed,
	}
	exchanging = happening{}
)

// report is what is told of one connection, read once for both signals, or of an exchange on it.
type report struct {
	connection    *socket.Connection
	exchange      *protocol.Exchange // nil: it is the connection that is told
	medium        *medium
	group         *group
	facts         facts
	err           errno
	id            string
	local, remote string // the addresses, or names; "" where not known
	capture       string
	interned      *interned
}

var factsOfRole = [...]facts{event.RoleUnknown: 0, event.RoleClient: isClient, event.RoleServer: isServer}

var kinds = [...]ptrace.SpanKind{
	event.RoleUnknown: ptrace.SpanKindInternal,
	event.RoleClient:  ptrace.SpanKindClient,
	event.RoleServer:  ptrace.SpanKindServer,
}

// read fills the report with a connection.
func (r *report) read(c *socket.Connection, h *happening, texts *addressTexts) {
	m := row(media[:], c.Transport)
	*r = report{
		connection: c, medium: m, facts: h.facts | m.facts | entry(factsOfRole[:], c.Role),
		capture: nameOf(captureNames[:], c.Capture),
	}
	if m.facts&overIP != 0 {
		r.remote = r.readAddress(c.Remote.Addr(), texts)
		r.local = r.readAddress(c.Local.Addr(), texts)
		r.facts.add(hasRemotePort, c.Remote.Port() != 0)
		r.facts.add(hasLocalPort, c.Local.Port() != 0)
	} else if c.Unix != nil {
		r.remote, r.local = c.Unix.Remote, c.Unix.Local
		r.facts.add(hasPeerPID, c.Unix.PeerPID != 0)
	}
	if h.err != nil {
		r.err = h.err(c)
	}
	r.facts.add(hasRemoteAddress, r.remote != "")
	r.facts.add(hasLocalAddress, r.local != "")
	r.facts.add(hasNetNS, c.NetNS != 0)
	if h.facts&hasEnded != 0 {
		r.facts.add(hasRTT, c.Stats.RTT != 0)
		r.facts.add(hasSegments, !c.Stats.Uncounted)
		r.facts.add(hasWay, c.End.Way != socket.WayUnknown && (m.facts&isTCP != 0 || !isSegment(c.End.Way)))
		r.facts.add(hasSide, c.End.By != socket.SideUnknown)
	}
	r.facts.add(hasError, r.err.name != "")
}

// isSegment: only TCP has such segments. Elsewhere a connection that was closed or reset ends like that, and who did it and
// with which error is all there is to tell.
func isSegment(w socket.Way) bool { return w == socket.WayFIN || w == socket.WayRST }

// readExchange fills the report with an exchange on the connection that it was filled with.
func (r *report) readExchange(x *protocol.Exchange) {
	r.exchange, r.err.name, r.capture = x, x.Error, nameOf(exchangeCaptureNames[:], x.Capture)
	if x.Errno != 0 {
		r.err.name = lookUpErrno(x.Errno).name
	}
	r.facts.add(hasError, r.err.name != "")
	r.facts.add(hasServer, x.Server != "")
	r.facts.add(hasServerPort, x.Server != "" && x.ServerPort != 0)
	r.facts.add(hasProtocol, x.Protocol != "")
	r.facts.add(hasVersion, x.Version != "")
}

// readAddress returns an address as text, "" if there is none: the zero Addr, 0.0.0.0 and :: are what is left where none
// was read.
func (r *report) readAddress(a netip.Addr, texts *addressTexts) string {
	if !a.IsValid() || a.IsUnspecified() {
		return ""
	}
	r.facts.add(isIPv4, a.Is4())
	r.facts.add(isIPv6, a.Is6())
	return texts.of(a)
}

func (r *report) addressSource() event.AddressSource {
	if r.facts&overIP != 0 && r.remote == "" && r.local == "" {
		return event.AddressSourceUnknown
	}
	return r.connection.AddressSource
}

// endedAt is never before StartedAt: the wall clock may be set back in between, and backends refuse such spans.
func (r *report) endedAt() int64 { return max(r.connection.EndedAt, r.connection.StartedAt) }

func (r *report) duration() int64 { return r.endedAt() - r.connection.StartedAt }

// severity of the log record. A connection that failed or broke is worth a look and seldom more: programs try again.
func (r *report) severity() (plog.SeverityNumber, string) {
	if r.err.name != "" {
		return plog.SeverityNumberWarn, "WARN"
	}
	return plog.SeverityNumberInfo, "INFO"
}
