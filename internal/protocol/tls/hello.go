package tls

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
)

// Extensions (4.2, and IANA's registry).
const (
	extServerName        = 0  // RFC 6066, 3
	extALPN              = 16 // RFC 7301
	extPreSharedKey      = 41
	extEarlyData         = 42
	extSupportedVersions = 43
)

const (
	version13  = 0x0304
	maxOffered = 16 // application protocols of a client that are remembered
)

// retryRandom is the random of a HelloRetryRequest (4.1.3): of a hello that asks for another one from the client.
var retryRandom = []byte("\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c")

// versions are the names of versions, as OpenTelemetry's conventions divide them.
var versions = map[uint16]struct{ name, version string }{
	0x0300: {"ssl", "3"}, 0x0301: {"tls", "1.0"}, 0x0302: {"tls", "1.1"}, 0x0303: {"tls", "1.2"}, version13: {"tls", "1.3"},
}

// asked is what a client's hello says that is needed to read the server's.
type asked struct {
	known     bool // up to the session
	session   [maxSession]byte
	length    int  // of the session's id
	earlyData bool // the client may send data ahead of the server's hello
}

// resumes reports whether a server's session is the one that the client has asked for.
func (a *asked) resumes(session []byte) bool {
	return len(session) > 0 && bytes.Equal(session, a.session[:a.length])
}

// readClientHello reads a hello without its header, up to where it is cut. It returns false if it is malformed.
func readClientHello(b []byte, cut bool, facts *protocol.TLS) (a asked, ok bool) {
	f := fields{b: b}
	f.take(2 + randomBytes)
	session := f.vector8()
	if len(session) > maxSession {
		return a, false
	}
	a.known, a.length = !f.short, copy(a.session[:], session)
	f.vector16() // cipher suites
	f.vector8()  // compression methods
	ok = !f.short && f.extensions(func(kind int, data []byte) bool {
		e := fields{b: data}
		switch kind {
		case extServerName:
			facts.ServerName = serverName(&e)
		case extALPN:
			facts.Offered = nextProtocols(&e)
		case extEarlyData:
			a.earlyData = true
		}
		return !e.short
	})
	return a, ok || cut
}

// answered is what a server's hello says, beside what is emitted.
type answered struct {
	retry   bool // it asks for another hello of the client, and decides nothing
	version uint16
}

// readServerHello reads a whole hello without its header. It returns false if it is malformed.
func readServerHello(b []byte, a *asked, facts *protocol.TLS) (s answered, ok bool) {
	f := fields{b: b}
	s.version = f.uint16()
	s.retry = bytes.Equal(f.take(randomBytes), retryRandom)
	session := f.vector8()
	cipher := f.uint16()
	f.take(1) // compression method
	if f.short || len(session) > maxSession {
		return s, false
	}
	chosen, byKey := "", false
	if !f.extensions(func(kind int, data []byte) bool {
		e := fields{b: data}
		switch kind {
		case extSupportedVersions:
			s.version = e.uint16()
		case extPreSharedKey:
			byKey = true
		case extALPN:
			if all := nextProtocols(&e); len(all) == 1 {
				chosen = all[0]
			}
		}
		return !e.short
	}) {
		return s, false
	}
	if s.retry {
		return s, true
	}
	facts.Answered, facts.Cipher = true, cipherName(cipher)
	facts.Protocol, facts.Version = versions[s.version].name, versions[s.version].version
	facts.NextProtocol = chosen
	if s.version != version13 {
		facts.Resumed = a.known && a.resumes(session)
		facts.Anew = a.known && !facts.Resumed
		return s, true
	}
	facts.Resumed, facts.Anew = byKey, !byKey // the session id means nothing (4.1.3)
	return s, true
}

// extensions calls each with the extensions of a hello, and returns false if one is malformed. A hello may have none.
func (f *fields) extensions(each func(kind int, data []byte) bool) bool {
	if len(f.b) == 0 {
		return true
	}
	length := int(f.uint16())
	all := fields{b: f.b[:min(length, len(f.b))]}
	for len(all.b) > 0 {
		kind := int(all.uint16())
		data := all.vector16()
		if all.short || !each(kind, data) {
			return false
		}
	}
	return !f.short && length == len(f.b)
}
