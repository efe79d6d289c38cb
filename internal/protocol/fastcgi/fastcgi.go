// Package fastcgi reads FastCGI (FastCGI Specification 1.0, https://fastcgi-archives.github.io/FastCGI_Specification.html): the requests that a web server hands on to
// PHP-FPM or any other responder, authorizer or filter.
//
// An exchange is what the web server has of an HTTP request: so it has the attributes of HTTP, those of package http.
package fastcgi

import (
	"go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/http"
)

const name = "fastcgi"

// The attributes beside those of HTTP, by index behind them.
const (
	roleName = iota
	scriptName
	scriptFile
	appStatus
	protocolStatus
	stderrSize
)

var ownKeys = []protocol.Key{
	roleName:       {Name: "socketflow.fastcgi.role"},
	scriptName:     {Name: "socketflow.fastcgi.script.name"},
	scriptFile:     {Name: string(semconv.CodeFilePathKey)},
	appStatus:      {Name: "socketflow.fastcgi.app_status", Type: protocol.Int},
	protocolStatus: {Name: "socketflow.fastcgi.protocol_status"},
	stderrSize:     {Name: "socketflow.fastcgi.stderr.size", Type: protocol.Int},
}

// Protocol returns the protocol. Its configuration is that of HTTP.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name:       name,
		Transports: protocol.Streams,
		Detect:     detect,
		Signatures: signatures(),
		NewConfig:  http.NewConfig,
		Keys:       func(config any) []protocol.Key { return append(http.Keys(config), ownKeys...) },
		Start: func(s *protocol.Settings) func(*protocol.Session) protocol.Parser {
			m := newMemory(s)
			return func(session *protocol.Session) protocol.Parser { return newParser(m, session) }
		},
	}
}

// signatures are how the connections of nginx, Apache and lighttpd begin: with a request with the id 1 to a responder, which closes the
// connection behind the response or keeps it. Many connections have one request, whose body may be long before the protocol is recognised:
// behind a part that was not captured it is not known where records begin.
func signatures() (all []protocol.Signature) {
	const flags = 10
	for keep := range byte(2) {
		s := protocol.Signature{Client: [protocol.SignatureBytes]byte{version, typeBegin, 0, 1, 0, fixedBytes, 0, 0, 0, byte(responder)}}
		s.Client[flags] = keep
		all = append(all, s)
	}
	return all
}

// memory is what the conversations of a goroutine share.
type memory struct {
	settings  *protocol.Settings
	headBytes int
	limit     int // of requests of a connection
	firstKey  int // index of the first of ownKeys
	messages  *http.Pool
	buffers   framing.Pool
	clients   clients

	line     framing.Line
	chunk    protocol.Chunk
	exchange protocol.Exchange
	begun    protocol.Request
	target   []byte // of a request without REQUEST_URI
	field    []byte // name of a header field
	script   []byte // attributes, until the exchange has been handed over, as is status
	status   []byte
}

// defaultHead bounds parameters, and heads of responses, if the settings do not.
const defaultHead = 16 << 10

func newMemory(s *protocol.Settings) *memory {
	m := &memory{settings: s, headBytes: s.HeadBytes, limit: max(s.Outstanding, 1), firstKey: len(s.Keys.All()) - len(ownKeys)}
	m.messages = http.NewGatewayPool(s, name)
	if m.headBytes <= 0 {
		m.headBytes = defaultHead
	}
	return m
}
