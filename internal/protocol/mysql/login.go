package mysql

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/sqltext"
)

// Capabilities that server and client have agreed on.
const (
	canConnectWithSchema = 1 << 3
	canCompress          = 1 << 5
	canProtocol41        = 1 << 9
	canTLS               = 1 << 11
	canSecure            = 1 << 15
	canMethods           = 1 << 19 // of the login
	canLongData          = 1 << 21 // of the login
	canTrack             = 1 << 23 // the state of the session
	canReplaceEOF        = 1 << 24
	canCompressZstd      = 1 << 26
	canAttributes        = 1 << 27 // of statements
)

const protocolVersion = 10 // since MySQL 3.21

// greeting is what of the server's first packet is of use.
type greeting struct {
	capabilities uint64
	status       uint16
	mariaDB      bool
}

func readGreeting(b []byte) (g greeting, ok bool) {
	f := fields{rest: b}
	if f.number(1) != protocolVersion {
		return g, false
	}
	version := f.line()
	f.number(4) // the connection's number
	f.take(8)   // data of the login's method
	if filler := f.number(1); f.over || len(version) == 0 || !printable(version) || filler != 0 {
		return g, false
	}
	g.capabilities = f.number(2)
	if ok = !f.over; !ok || len(f.rest) == 0 {
		return g, ok
	}
	f.number(1) // character set
	g.status = uint16(f.number(2))
	g.capabilities |= f.number(2) << 16
	g.mariaDB = bytes.Contains(version, []byte("MariaDB"))
	return g, !f.over
}

// loginRequest is what of a client's first packet, or of COM_CHANGE_USER, is of use. Names of users and secrets are not.
type loginRequest struct {
	capabilities uint64
	schema       []byte
	tls          bool // no more than that the client goes on in TLS
	mariaDB      bool
}

const (
	fillerBytes   = 19
	tlsBytes      = 32 // of a packet that asks for TLS
	shortTLSBytes = 5  // as it was before MySQL 4.1
)

func readLogin(b []byte, length uint64) (l loginRequest, ok bool) {
	f := fields{rest: b}
	if l.capabilities = f.number(2); l.capabilities&canProtocol41 == 0 {
		f.number(3) // longest packet
		if l.tls = l.capabilities&canTLS != 0 && length == shortTLSBytes; !l.tls {
			f.line()
			f.line()
			l.schema = f.line()
		}
		return l, !f.over
	}
	l.capabilities |= f.number(2) << 16
	f.number(5) // longest packet, character set
	f.take(fillerBytes)
	l.mariaDB = f.number(4) != 0 // its own capabilities
	if f.over {
		return l, false
	}
	if l.tls = l.capabilities&canTLS != 0 && length == tlsBytes; l.tls {
		return l, true
	}
	if user := f.line(); !printable(user) {
		return l, false
	}
	skipSecret(&f, l.capabilities)
	if l.capabilities&canConnectWithSchema != 0 {
		l.schema = f.line()
	}
	return l, true
}

func skipSecret(f *fields, capabilities uint64) {
	switch {
	case capabilities&canLongData != 0:
		f.text()
	case capabilities&canSecure != 0:
		f.take(f.number(1))
	default:
		f.line()
	}
}

// schemaOfUser is the database that COM_CHANGE_USER names.
func schemaOfUser(b []byte, capabilities uint64) (schema []byte, ok bool) {
	f := fields{rest: b}
	f.line() // the user
	skipSecret(&f, capabilities&canSecure)
	schema = f.line()
	return schema, !f.over
}

// knownness is what is known of a choice.
type knownness uint8

const (
	open knownness = iota
	yes
	no
)

// agree notes what client and server have agreed on: what both can. Some clients ask for what the server has not offered, and go by its
// offer. Within TLS that is not known: it came before.
func (p *parser) agree(l *loginRequest) {
	p.capabilities, p.agreed = l.capabilities, true
	if p.greeted {
		p.capabilities &= p.offered
	}
	switch {
	case p.capabilities&canReplaceEOF == 0:
		p.replacesEOF = no
	case p.greeted:
		p.replacesEOF = yes
	}
	if l.mariaDB {
		p.system = systemMariaDB
	}
}

// attributed reports whether there are attributes before a statement. Where it is not known whether both ends can, the bytes decide.
func (p *parser) attributed(b []byte) bool {
	switch {
	case p.agreed && p.capabilities&canAttributes == 0:
		return false
	case p.agreed && p.greeted:
		return true
	}
	return mayHaveAttributes(b)
}

// tracks reports whether an OK may have the state of the session.
func (p *parser) tracks() bool { return !p.agreed || p.capabilities&canTrack != 0 }

// note notes what the server says of its state.
func (p *parser) note(status uint16) {
	p.quoting = sqltext.Escaping
	if status&statusNoBackslash != 0 {
		p.quoting = sqltext.Plain
	}
}
