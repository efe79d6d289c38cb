// Package http makes exchanges of HTTP messages of any version: span names, attributes and status by the semantic
// conventions of HTTP and of gRPC. The parsers of the versions are in its folders.
package http

import (
	"time"
	"unsafe"

	"github.com/socketflow/socketflow/internal/protocol"
)

// Limits of the texts that a message keeps. A longer text is cut, and the exchange marked truncated.
const (
	maxMethod    = 32 // the longest known method has 7
	maxScheme    = 16
	maxTarget    = 8 << 10 // RFC 9110, 4.1 wants at least 8000 bytes to be supported
	maxAuthority = 512     // a host name has at most 253 bytes (RFC 1035, 2.3.4); the rest is for user information
	maxValue     = 1 << 10 // of a header field
	maxValues    = 16      // of fields of one name
	maxKept      = 64 << 10
)

// piece is a part of Message.kept; or, if from is negative, the first to bytes of Message.shared[-1-from].
type piece struct{ from, to int }

func (p piece) empty() bool { return p.from == p.to }

// Message collects the facts about one request and its response while a parser reads them. The parser fills it; every byte
// slice that is passed in is copied. Messages are reused: see Pool.
type Message struct {
	// Set by the parser, and only cleared here.
	Start         protocol.Stamp // first byte of the request
	RequestEnd    protocol.Stamp // its last byte; Time 0: not known
	ResponseStart protocol.Stamp // first byte of the response; Time 0: there is none yet
	End           protocol.Stamp // last byte known to belong to the response (or request, if there is no response yet)
	// Capture is the degree so far; it is only ever raised.
	Capture protocol.Capture

	pool    *Pool
	session *protocol.Session
	account *Account
	size    int // counted in the account

	kept      []byte   // all copies, one after the other
	shared    []string // values of a header table, which hold their memory together with it
	method    piece
	target    piece
	scheme    piece
	authority piece
	host      piece
	userAgent piece
	listed    []field
	values    []uint8 // by slot, how many values there are

	version   string
	status    int
	failure   string // one of both is set if the exchange failed
	errno     uint32
	parent    protocol.TraceContext
	state     []byte // tracestate
	grpc      grpcStatus
	forwarded *forwarded // nil: nothing

	propagated *propagated // nil: nothing
	ids        requestIDs

	timeout     time.Duration // grpc-timeout; 0: none
	targetCut   bool
	cancelled   bool
	isGRPC      bool
	contentType bool // there was one
	body        media
	hosts       uint8
	parents     uint8
	stateBroken bool

	bodies [protocol.Directions]body

	next *Message
}

// Pool hands out cleared messages and takes them back. It is for one goroutine.
type Pool struct {
	free  *Message
	count int // of free ones

	settings  *protocol.Settings
	request   wanted
	response  wanted
	methods   methodNames
	routes    routes
	forwarded bool // what proxies say counts
	protocol  string
	gateway   bool // see NewGatewayPool

	propagation propagation
	carried     protocol.Carried // see Message.Continue

	names names
	out   []byte // attributes point into it from one Fill until the next
	entry string // see FromTable
}

// NewPool returns a pool for conversations with these settings, whose Config is a *Config.
func NewPool(settings *protocol.Settings) *Pool {
	config := settings.Config.(*Config)
	p := &Pool{
		settings: settings, methods: newMethodNames(config), routes: newRoutes(config), forwarded: config.Forwarded, propagation: newPropagation(config.Propagators),
		protocol: protocolName,
	}
	p.request, p.response = newWanted(&config.Headers, settings.Redaction)
	return p
}

// NewGatewayPool returns a pool for requests that a web server hands on in another protocol, as CGI defines them. Their Keys begin with those of HTTP. Whom the client
// has asked is the web server, so a span of that has the address of who it asks; and the URL is in parts at both ends, because it is not that server's.
func NewGatewayPool(settings *protocol.Settings, protocolName string) *Pool {
	p := NewPool(settings)
	p.protocol, p.gateway = protocolName, true
	return p
}

const (
	maxFree = 128     // messages that a Pool keeps
	maxIdle = 4 << 10 // bytes that a buffer keeps between messages; few messages need more, and those pay for an allocation
)

// Get returns a cleared message for a conversation. Its memory is counted in the account until it is put back.
func (p *Pool) Get(s *protocol.Session, account *Account) *Message {
	m := p.free
	if m == nil {
		m = &Message{pool: p}
	} else {
		p.free, m.next = m.next, nil
		p.count--
	}
	m.session, m.account = s, account
	m.count()
	return m
}

// Put takes a message back.
func (p *Pool) Put(m *Message) {
	m.account.Bytes -= m.size
	for _, s := range m.shared {
		m.account.release(s)
	}
	if cap(p.out) > maxIdle {
		p.out = nil
	}
	if p.count >= maxFree {
		return
	}
	kept, state, listed, values, carried := m.kept[:0], m.state[:0], m.listed[:0], m.values[:0], m.propagated
	if carried != nil {
		*carried = propagated{}
	}
	clear(m.shared)
	shared := m.shared[:0]
	if cap(kept) > maxIdle {
		kept = nil
	}
	if cap(listed) > maxValues {
		listed = nil
	}
	*m = Message{pool: p, kept: kept, shared: shared, state: state, listed: listed, values: values, propagated: carried, next: p.free}
	p.free = m
	p.count++
}

// keep copies b, or as much of it as limit allows.
func (m *Message) keep(b []byte, limit int) piece {
	if limit = min(limit, maxKept-len(m.kept)); len(b) > limit {
		b = cutText(b, limit)
		m.Raise(protocol.CaptureTruncated)
	}
	if len(b) >= minShared && len(b) <= len(m.pool.entry) && m.pool.entry[:len(b)] == string(b) {
		m.shared = append(m.shared, m.pool.entry)
		m.account.refer(m.pool.entry)
		return piece{-len(m.shared), len(b)}
	}
	from := len(m.kept)
	m.kept = append(m.kept, b...)
	m.count()
	return piece{from, len(m.kept)}
}

func (m *Message) bytes(p piece) []byte {
	if p.from < 0 {
		s := m.shared[-1-p.from]
		return unsafe.Slice(unsafe.StringData(s), len(s))[:p.to:p.to] // nobody writes to what bytes returns
	}
	return m.kept[p.from:p.to:p.to]
}

// Raise raises the degree of capture.
func (m *Message) Raise(c protocol.Capture) { m.Capture = max(m.Capture, c) }

// SetMethod sets the request's method as sent.
func (m *Message) SetMethod(method []byte) { m.method = m.keep(method, maxMethod) }

// Method is the method as sent (cut at a bound that all known methods keep).
func (m *Message) Method() []byte { return m.bytes(m.method) }

// SetTarget sets the request's target: origin form (/path?query), absolute form, authority form (CONNECT), or *.
// In HTTP/2 it is :path.
func (m *Message) SetTarget(target []byte) {
	m.target = m.keep(target, maxTarget)
	m.targetCut = m.target.to-m.target.from < len(target)
}

// SetScheme sets :scheme; without it the scheme is that of an absolute target, else "http" or, within TLS, "https".
func (m *Message) SetScheme(scheme []byte) {
	if len(scheme) <= maxScheme {
		m.scheme = m.keep(scheme, maxScheme)
	}
}

// SetAuthority sets :authority; without it the Host header counts.
func (m *Message) SetAuthority(authority []byte) {
	if len(authority) <= maxAuthority {
		m.authority = m.keep(authority, maxAuthority)
	}
}

// SetVersion sets network.protocol.version: "1.0", "1.1" or "2"; a constant.
func (m *Message) SetVersion(version string) { m.version = version }

// SetStatus sets the final response's status code. A number that is no status code (RFC 9110, 15) counts as none.
func (m *Message) SetStatus(code int) {
	if code >= firstStatus && code <= lastStatus {
		m.status = code
	}
}

// Status is the final response's code, 0 if there is none yet.
func (m *Message) Status() int { return m.status }

// GRPC reports whether the request's content-type is application/grpc, with or without a suffix (+proto ...).
func (m *Message) GRPC() bool { return m.isGRPC }

// Failed sets why there is no complete response: an HTTP/2 error code (CANCEL, REFUSED_STREAM ...); a constant or a copy.
func (m *Message) Failed(reason string) { m.failure, m.errno = reason, 0 }

// CutOff sets that there is no complete response because the connection ended. That is no failure of a client which closes once it has
// read the status: a probe, or the reader of a stream.
func (m *Message) CutOff(e *protocol.Ending) {
	if e.ByClient && m.status != 0 && !m.isGRPC {
		return
	}
	m.failure, m.errno = e.Failure(m.session.Side), e.Errno
}

// Cancelled sets that the client does not want the response any more. That is no error of HTTP (semantic conventions 1.43).
func (m *Message) Cancelled() { m.cancelled = true }

// Garbled sets that the server has sent what is no response.
func (m *Message) Garbled() { m.Failed(protocol.MalformedResponse) }

// broken reports whether there is no response because the connection ended (and not because its client gave up), or because its client has to end
// it.
func (m *Message) broken() bool {
	return m.errno != 0 || m.failure == protocol.ConnectionClosed || m.failure == protocol.MalformedResponse
}

func (m *Message) failed() bool { return m.failure != "" || m.errno != 0 }
