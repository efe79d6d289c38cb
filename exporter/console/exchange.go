package console

import (
	"hash/maphash"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// first returns the first of the attributes that is there, as a text. Current names of the conventions come before those of earlier versions.
func first(attributes pcommon.Map, keys ...string) string {
	for _, key := range keys {
		if v, ok := attributes.Get(key); ok {
			if text := v.AsString(); text != "" {
				return text
			}
		}
	}
	return ""
}

func integer(attributes pcommon.Map, keys ...string) int64 {
	n, _ := strconv.ParseInt(first(attributes, keys...), 10, 64)
	return n
}

// isConnection reports whether a span is one of a connection, not of a request.
func isConnection(name string) bool {
	switch name {
	case "tcp.connection", "unix.connection", "udp.flow", "tcp.connect":
		return true
	}
	return false
}

// serving reports whether a span is of the side that serves.
func serving(kind ptrace.SpanKind) bool {
	return kind == ptrace.SpanKindServer || kind == ptrace.SpanKindConsumer
}

func asking(kind ptrace.SpanKind) bool {
	return kind == ptrace.SpanKindClient || kind == ptrace.SpanKindProducer
}

// spanLine makes a line of a span.
func spanLine(service string, s ptrace.Span) *line {
	l := &line{at: int64(s.EndTimestamp()), failed: s.Status().Code() == ptrace.StatusCodeError, index: -1}
	e := &l.asks // spans that are neither have one end only
	if serving(s.Kind()) {
		e = &l.serves
	}
	fillEnd(e, service, s.Attributes(), serving(s.Kind()))
	e.span = spanKey{s.TraceID(), s.SpanID()}
	e.parent = spanKey{s.TraceID(), s.ParentSpanID()}
	e.began, e.ended = int64(s.StartTimestamp()), int64(s.EndTimestamp())
	if isConnection(s.Name()) && e.connection != "" {
		l.describeConnection(s.Attributes(), s.Name() == "tcp.connect")
		return l
	}
	l.what = what(s)
	l.outcome = outcome(s, l.failed)
	if !asking(s.Kind()) && !serving(s.Kind()) {
		e.peer, e.peerPort, e.inside = "", 0, true
	}
	return l
}

// fillEnd takes over what the attributes of a span or record say about the two sides.
func fillEnd(e *end, service string, a pcommon.Map, serves bool) {
	e.seen = true
	e.service = service
	e.connection = first(a, "socketflow.connection.id")
	if serves {
		e.port = int(integer(a, "network.local.port", "net.sock.host.port", "server.port", "net.host.port"))
		e.peer = first(a, "client.address", "network.peer.address", "net.sock.peer.addr", "net.peer.ip")
		if e.port == 0 && first(a, "network.transport", "net.transport") == "unix" {
			e.service = join(e.service, first(a, "network.local.address"), 0)
		}
		return
	}
	e.peerPort = int(integer(a, "server.port", "net.peer.port", "network.peer.port", "net.sock.peer.port"))
	e.peer = first(a, "service.peer.name", "peer.service", "server.address", "net.peer.name", "network.peer.address", "net.sock.peer.addr",
		"net.peer.ip", "messaging.destination.name")
}

// what says what was asked for.
func what(s ptrace.Span) string {
	a := s.Attributes()
	if method := first(a, "http.request.method", "http.method"); method != "" {
		if original := first(a, "http.request.method_original"); original != "" {
			method = original
		}
		return method + " " + target(a)
	}
	if system := first(a, "db.system.name", "db.system"); system != "" {
		return label(system, first(a, "db.query.text", "db.statement"), s.Name())
	}
	if question := first(a, "dns.question.name"); question != "" {
		return label("dns", strings.TrimPrefix(s.Name(), "query ")+" "+question, "")
	}
	if system := first(a, "messaging.system"); system != "" {
		return label(system, s.Name(), "")
	}
	return s.Name()
}

func label(system, text, otherwise string) string {
	if text == "" {
		text = otherwise
	}
	return system + " " + text
}

// target is the path of an HTTP request, with its query.
func target(a pcommon.Map) string {
	if path := first(a, "url.path"); path != "" {
		if query := first(a, "url.query"); query != "" {
			return path + "?" + query
		}
		return path
	}
	if target := first(a, "http.target"); target != "" {
		return target
	}
	full := first(a, "url.full", "http.url")
	parsed, err := url.Parse(full)
	if err != nil || parsed.Host == "" {
		return full
	}
	return parsed.RequestURI()
}

// outcome is the status of a protocol, or what has failed.
func outcome(s ptrace.Span, failed bool) string {
	a := s.Attributes()
	status := first(a, "http.response.status_code", "http.status_code", "rpc.response.status_code", "rpc.grpc.status_code",
		"socketflow.dns.response.code", "db.response.status_code")
	fault := first(a, "error.type")
	switch {
	case status != "" && fault != "" && fault != status && !strings.HasSuffix(fault, "."+status):
		return status + " " + errorWord(fault) // the response came, and then something failed
	case status != "":
		return status
	case fault != "":
		return errorWord(fault)
	case failed:
		return "error"
	case asking(s.Kind()) || serving(s.Kind()):
		return "ok"
	}
	return ""
}

// errorWords are what people say.
var errorWords = map[string]string{
	"ECONNREFUSED": "refused",
	"ETIMEDOUT":    "timed out",
	"EHOSTUNREACH": "host unreachable",
	"ENETUNREACH":  "network unreachable",
	"ECONNRESET":   "reset",
	"EPIPE":        "reset",
}

func errorWord(fault string) string {
	if word := errorWords[fault]; word != "" {
		return word
	}
	return fault
}

// describeConnection makes the line one of a connection that has ended, or could not be opened.
func (l *line) describeConnection(a pcommon.Map, attempt bool) {
	l.kind = connection
	e := &l.asks
	if l.serves.seen {
		e = &l.serves
	}
	e.sent, e.received = integer(a, "socketflow.bytes.sent"), integer(a, "socketflow.bytes.received")
	fault := first(a, "error.type")
	l.failed = l.failed || fault != "" || attempt
	l.quiet = attempt
	transport := first(a, "network.transport", "net.transport")
	switch {
	case attempt:
		l.outcome = errorWord(fault)
	case l.opened:
		l.what = transport + " opened"
	case fault != "":
		l.what, l.outcome = transport, errorWord(fault)
	default:
		l.what = transport + " closed"
	}
	if name := first(a, "tls.client.server_name"); name != "" {
		l.what += " tls " + name
	}
	l.conversation = conversation(a, transport, l.opened, e.connection)
}

var seed = maphash.MakeSeed()

// conversation is a number that both ends of a connection have, if both addresses are known, and else all signals of one end.
func conversation(a pcommon.Map, transport string, opened bool, id string) uint64 {
	one := net.JoinHostPort(first(a, "network.local.address", "net.sock.host.addr"), first(a, "network.local.port", "net.sock.host.port"))
	other := net.JoinHostPort(first(a, "network.peer.address", "net.sock.peer.addr"), first(a, "network.peer.port", "net.sock.peer.port"))
	if strings.HasSuffix(one, ":") || strings.HasSuffix(other, ":") {
		one, other = id, ""
	} else if one > other {
		one, other = other, one
	}
	var h maphash.Hash
	h.SetSeed(seed)
	for _, text := range []string{transport, one, other, strconv.FormatBool(opened)} {
		h.WriteString(text)
		h.WriteByte(0)
	}
	return h.Sum64() | 1
}

// connectionEvents begin the names of events about connections: open, close, fail.
const connectionEvents = "socketflow.connection."

// recordLine makes a line of a log record: of a connection, if it is about one.
func recordLine(service string, r plog.LogRecord) *line {
	l := &line{kind: record, at: int64(r.Timestamp()), index: -1}
	if l.at == 0 {
		l.at = int64(r.ObservedTimestamp())
	}
	a := r.Attributes()
	name, about := strings.CutPrefix(r.EventName(), connectionEvents)
	if !about {
		l.asks = end{seen: true, service: service, parent: spanKey{r.TraceID(), r.SpanID()}, began: l.at, ended: l.at}
		l.failed = r.SeverityNumber() >= plog.SeverityNumberError
		l.what = r.Body().AsString()
		if l.what == "" {
			l.what = r.EventName()
		}
		l.outcome = r.SeverityText()
		l.quiet = true
		return l
	}
	serves := first(a, "socketflow.role.name") == "server"
	e := &l.asks
	if serves {
		e = &l.serves
	}
	fillEnd(e, service, a, serves)
	// Its span is that of the connection's last request, or one of its own, which has no children.
	seconds, _ := strconv.ParseFloat(first(a, "socketflow.duration"), 64)
	e.began, e.ended = l.at-int64(seconds*1e9), l.at
	l.opened = name == "open"
	l.describeConnection(a, name == "fail")
	return l
}

// volume says how much a connection has transferred, as the side that connected sees it.
func (l *line) volume() string {
	sent, received := l.asks.sent, l.asks.received
	if !l.asks.seen {
		sent, received = l.serves.received, l.serves.sent
	}
	if l.opened || l.quiet {
		return ""
	}
	return humanize.Bytes(uint64(max(sent, 0))) + " sent, " + humanize.Bytes(uint64(max(received, 0))) + " received"
}

// join puts a name and a port together.
func join(name, address string, port int) string {
	switch {
	case port != 0 && strings.Contains(name, ":"):
		return net.JoinHostPort(name, strconv.Itoa(port))
	case port != 0:
		return name + ":" + strconv.Itoa(port)
	case address != "":
		return name + ":" + address
	}
	return name
}

// names are the two sides of a line; to is empty for what has only one.
func (l *line) names() (from, to string) {
	switch {
	case l.asks.seen && l.serves.seen:
		port := l.serves.port
		if port == 0 {
			port = l.asks.peerPort
		}
		return l.asks.service, join(l.serves.service, "", port)
	case l.asks.seen:
		return l.asks.service, join(l.asks.peer, "", l.asks.peerPort)
	default:
		from = l.serves.peer
		if from == "" {
			from = "?"
		}
		return from, join(l.serves.service, "", l.serves.port)
	}
}
