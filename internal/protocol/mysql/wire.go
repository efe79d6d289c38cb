package mysql

import (
	"bytes"
	"encoding/binary"
)

// The first bytes of packets of the server.
const (
	headOK    = 0x00
	headMore  = 0x01 // of a login: data of its method
	headLocal = 0xfb // the content of a file is wanted
	headEOF   = 0xfe // no more rows; of a login: another method
	headError = 0xff
)

// The lengths of packets that begin with headEOF. In place of that packet newer servers send one with the content of an OK.
const (
	eofBytes   = 5
	leastOK    = 7
	mostRowEnd = maxPacket - 1 // a row that begins with this byte has a value of 16 MiB at least
)

// Flags of the server's status.
const (
	statusMore        = 1 << 3 // another result follows
	statusCursor      = 1 << 6 // the rows have to be asked for
	statusNoBackslash = 1 << 9
	statusSession     = 1 << 14 // the state of the session has changed
)

const sessionSchema = 1 // the kind of change that has the database's name

// fields reads the fields of a packet one after the other. Where they are not all there, they are zero, and over is true.
type fields struct {
	rest []byte
	over bool
}

func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.rest)) {
		f.rest, f.over = nil, true
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

// number reads a number of up to 8 bytes.
func (f *fields) number(size uint64) uint64 {
	var b [8]byte
	copy(b[:], f.take(size))
	return binary.LittleEndian.Uint64(b[:])
}

// length reads a number whose first byte says how many follow.
func (f *fields) length() uint64 {
	switch first := f.number(1); first {
	case 0xfc:
		return f.number(2)
	case 0xfd:
		return f.number(3)
	case 0xfe:
		return f.number(8)
	case 0xfb, 0xff: // NULL, and nothing
		f.over = true
		return 0
	default:
		return first
	}
}

// text reads a length, and so many bytes.
func (f *fields) text() []byte { return f.take(f.length()) }

// line reads up to a NUL, or the end.
func (f *fields) line() []byte {
	b := f.rest
	end := bytes.IndexByte(b, 0)
	if end < 0 {
		f.rest = nil
		return b
	}
	f.rest = b[end+1:]
	return b[:end]
}

// printable reports whether bytes are text in one line, in any encoding that has ASCII in it.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// done is what the server says at the end of a result.
type done struct {
	status uint16
	schema []byte // that is used from now on
	moved  bool   // there is a schema: the state of the session was sent
	known  bool   // all of it could be read
}

// readOK reads an OK, which begins with headOK, or with headEOF in place of the packet that has this name.
func readOK(b []byte, tracked bool) (d done) {
	f := fields{rest: b}
	f.take(1)
	f.length() // rows
	f.length() // last inserted id
	d.status = uint16(f.number(2))
	f.number(2) // warnings
	if d.known = !f.over; !d.known || !tracked || d.status&statusSession == 0 {
		return d
	}
	f.text() // for people
	changes := fields{rest: f.text()}
	for len(changes.rest) > 0 && !changes.over {
		kind := changes.number(1)
		if data := (fields{rest: changes.text()}); kind == sessionSchema && !changes.over {
			d.schema, d.moved = data.text(), !data.over
		}
	}
	return d
}

// readEOF reads the older packet at the end of rows.
func readEOF(b []byte) done {
	f := fields{rest: b}
	f.take(3)
	d := done{status: uint16(f.number(2))}
	d.known = !f.over
	return d
}

// failure is an error of the server.
type failure struct {
	code  uint16
	state [5]byte // SQLSTATE; zero: it has none
}

// progress is the code of a report of MariaDB that is no error.
const progress = 0xffff

func readError(b []byte) (e failure, ok bool) {
	f := fields{rest: b}
	f.take(1)
	e.code = uint16(f.number(2))
	if len(f.rest) > len(e.state) && f.rest[0] == '#' {
		copy(e.state[:], f.rest[1:])
	}
	return e, !f.over
}
