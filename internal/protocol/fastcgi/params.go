package fastcgi

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math"
	"net/netip"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
)

// nextParam splits the first name-value pair off (specification, 3.4): lengths of one byte, or of four if the highest bit is set. It returns false
// if the pair is not whole.
func nextParam(b []byte) (name, value, rest []byte, ok bool) {
	n, b, ok := paramLength(b)
	if !ok {
		return nil, nil, nil, false
	}
	v, b, ok := paramLength(b)
	if !ok || n > len(b) || v > len(b)-n {
		return nil, nil, nil, false
	}
	return b[:n], b[n:][:v], b[n+v:], true
}

func paramLength(b []byte) (n int, rest []byte, ok bool) {
	switch {
	case len(b) == 0:
		return 0, nil, false
	case b[0]&0x80 == 0:
		return int(b[0]), b[1:], true
	case len(b) < 4:
		return 0, nil, false
	default:
		return int(binary.BigEndian.Uint32(b) &^ (1 << 31)), b[4:], true
	}
}

// meta are the parameters that say what the request is (RFC 3875, 4.1, and those that web servers add). They point to where they were read.
type meta struct {
	method, uri, scriptName, scriptFile, pathInfo, query []byte
	scheme, https                                        []byte
	host                                                 []byte // HTTP_HOST
	serverName, serverPort                               []byte
	remoteAddr, remotePort                               []byte
}

// place is where a parameter of meta belongs; nil: it is not of interest.
func (m *meta) place(name []byte) *[]byte {
	switch string(name) {
	case "REQUEST_METHOD":
		return &m.method
	case "REQUEST_URI":
		return &m.uri
	case "SCRIPT_NAME":
		return &m.scriptName
	case "SCRIPT_FILENAME":
		return &m.scriptFile
	case "PATH_INFO":
		return &m.pathInfo
	case "QUERY_STRING":
		return &m.query
	case "REQUEST_SCHEME":
		return &m.scheme
	case "HTTPS":
		return &m.https
	case "SERVER_NAME":
		return &m.serverName
	case "SERVER_PORT":
		return &m.serverPort
	case "REMOTE_ADDR":
		return &m.remoteAddr
	case "REMOTE_PORT":
		return &m.remotePort
	default:
		return nil
	}
}

// readParams gives a message what the parameters say. What is behind the first pair that is not whole is not known.
func (p *parser) readParams(x *request, all []byte) {
	var m meta
	whole := true
	for len(all) > 0 {
		var name, value []byte
		if name, value, all, whole = nextParam(all); !whole {
			break
		}
		if to := m.place(name); to != nil {
			*to = value
			continue
		}
		if field := p.fieldName(name); len(field) > 0 {
			if string(field) == "host" {
				m.host = value
			}
			x.message.RequestHeader(field, value)
		}
	}
	if !whole && !x.params.Cut() { // otherwise it is known already
		p.sink.Error(protocol.Malformed)
		x.message.Raise(protocol.CaptureTruncated)
	}
	p.describe(x, &m)
}

// maxField bounds the names of header fields.
const maxField = 128

// fieldName is the header field that a parameter stands for (RFC 3875, 4.1.18), in lower case; empty: it is none. Underscores may have been dashes.
func (p *parser) fieldName(name []byte) []byte {
	switch {
	case string(name) == "CONTENT_TYPE", string(name) == "CONTENT_LENGTH":
	case bytes.HasPrefix(name, fieldPrefix):
		name = name[len(fieldPrefix):]
	default:
		return nil
	}
	if len(name) > maxField {
		return nil
	}
	field := p.memory.field[:0]
	for _, c := range name {
		if c == '_' {
			c = '-'
		}
		field = append(field, ascii.Lower(c))
	}
	p.memory.field = field
	return field
}

var fieldPrefix = []byte("HTTP_")

// describe sets what the request is.
func (p *parser) describe(x *request, m *meta) {
	x.message.SetMethod(m.method)
	if target := p.targetOf(m); len(target) > 0 {
		x.message.SetTarget(target)
	}
	switch {
	case len(m.scheme) > 0:
		x.message.SetScheme(m.scheme)
	case len(m.https) > 0 && !ascii.Is(m.https, "off"):
		x.message.SetScheme(schemeHTTPS)
	}
	if len(m.host) == 0 {
		p.nameServer(x, m)
	}
	x.client = p.memory.clients.of(m)
	x.keepScript(m)
}

var schemeHTTPS = []byte("https")

// isTarget reports whether a text can be a request's target (RFC 9112, 3.2): anything else is no path.
func isTarget(b []byte) bool {
	if len(b) == 0 || b[0] != '/' && string(b) != "*" && !bytes.HasPrefix(b, []byte("http://")) && !bytes.HasPrefix(b, []byte("https://")) {
		return false
	}
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// targetOf is REQUEST_URI, as the client has sent it; or else it is made of what the web server has understood, which is decoded.
func (p *parser) targetOf(m *meta) []byte {
	if isTarget(m.uri) {
		return m.uri
	}
	out := p.memory.target[:0]
	for _, part := range [...][]byte{m.scriptName, m.pathInfo} {
		for _, c := range part {
			switch c {
			case '?', '#', '%':
				out = append(out, '%', hexDigits[c>>4], hexDigits[c&0xf])
			default:
				out = append(out, c)
			}
		}
	}
	if len(out) > 0 && len(m.query) > 0 {
		out = append(append(out, '?'), m.query...)
	}
	p.memory.target = out
	if cap(out) > maxIdleText {
		p.memory.target = nil
	}
	if !isTarget(out) {
		return nil
	}
	return out
}

const hexDigits = "0123456789ABCDEF"

// nameServer sets the host that the web server says it is, where the request names none, with the port that belongs to it. nginx writes what
// its configuration has: "_" stands for any name.
func (p *parser) nameServer(x *request, m *meta) {
	if len(m.serverName) == 0 || string(m.serverName) == "_" {
		return
	}
	literal := bytes.IndexByte(m.serverName, ':') >= 0 && m.serverName[0] != '['
	out := p.memory.field[:0]
	if literal {
		out = append(out, '[')
	}
	out = append(out, m.serverName...)
	if literal {
		out = append(out, ']')
	}
	if len(m.serverPort) > 0 {
		out = append(append(out, ':'), m.serverPort...)
	}
	p.memory.field = out
	x.message.SetAuthority(out)
}

// clients caches the addresses of recent clients, because they recur.
type clients [64]struct {
	text    string
	address netip.Addr
}

// maxAddress is the length of the longest IPv6 address with a zone that counts.
const maxAddress = 64

var seed = maphash.MakeSeed()

// of is who the web server says has sent the request. What is no address is none: nginx writes "unix:" if the client has come by a Unix socket.
func (c *clients) of(m *meta) netip.AddrPort {
	if len(m.remoteAddr) == 0 || len(m.remoteAddr) > maxAddress {
		return netip.AddrPort{}
	}
	known := &c[maphash.Bytes(seed, m.remoteAddr)%uint64(len(c))]
	if known.text != string(m.remoteAddr) {
		known.text = string(m.remoteAddr)
		address, _ := netip.ParseAddr(known.text)
		known.address = address.Unmap().WithZone("")
	}
	port, ok := ascii.Number(m.remotePort)
	if !ok || port > math.MaxUint16 || len(m.remotePort) > len("65535") {
		port = 0
	}
	return netip.AddrPortFrom(known.address, uint16(port))
}

// keepScript keeps which script is executed. Apache writes where it has sent the request before the path of the file.
func (x *request) keepScript(m *meta) {
	file := m.scriptFile
	if bytes.HasPrefix(file, []byte("proxy:")) { // proxy:fcgi://127.0.0.1:9000/srv/a.php, proxy:unix:/run/a|fcgi://localhost/srv/a.php
		_, file, _ = bytes.Cut(file, []byte("fcgi://"))
		file = file[max(bytes.IndexByte(file, '/'), 0):]
	}
	file, _, _ = bytes.Cut(file, []byte{'?'}) // Apache: of the query, which may have secrets
	x.script = append(x.script[:0], m.scriptName[:min(len(m.scriptName), maxScript)]...)
	x.scriptEnd = len(x.script)
	x.script = append(x.script, file[:min(len(file), maxScript)]...)
}

// maxScript bounds the name and the path of a script.
const maxScript = 1 << 10
