package fastcgi

import (
	"encoding/binary"

	"github.com/socketflow/socketflow/internal/protocol"
)

// Types of records (specification, 8).
const (
	typeBegin     = 1
	typeAbort     = 2
	typeEnd       = 3
	typeParams    = 4
	typeStdin     = 5
	typeStdout    = 6
	typeStderr    = 7
	typeData      = 8
	typeGetValues = 9
	typeValues    = 10 // GET_VALUES_RESULT
	typeUnknown   = 11 // UNKNOWN_TYPE
)

const (
	version     = 1
	headerBytes = 8 // of a record: version, type, id (2), length (2), padding, reserved
	fixedBytes  = 8 // of the bodies of BEGIN_REQUEST and END_REQUEST
)

// record is the header of one, and where it is.
type record struct {
	kind    byte
	id      uint16
	length  int // without padding
	padding int
	first   protocol.Stamp
}

// readHeader reads the header of a record that a direction may have.
func readHeader(b []byte, d protocol.Direction) (r record, ok bool) {
	r = record{kind: b[1], id: binary.BigEndian.Uint16(b[2:]), length: int(binary.BigEndian.Uint16(b[4:])), padding: int(b[6])}
	switch r.kind {
	case typeBegin:
		ok = d == protocol.FromClient && r.id != 0 && r.length == fixedBytes
	case typeAbort, typeParams, typeStdin, typeData:
		ok = d == protocol.FromClient && r.id != 0
	case typeEnd:
		ok = d == protocol.FromServer && r.id != 0 && r.length == fixedBytes
	case typeStdout, typeStderr:
		ok = d == protocol.FromServer && r.id != 0
	case typeGetValues:
		ok = d == protocol.FromClient && r.id == 0
	case typeValues, typeUnknown:
		ok = d == protocol.FromServer && r.id == 0
	}
	return r, ok && b[0] == version
}

// role of who answers (specification, 6).
type role uint16

const (
	roleUnknown role = iota
	responder
	authorizer
	filter
)

var roleNames = [...][]byte{responder: []byte("responder"), authorizer: []byte("authorizer"), filter: []byte("filter")}

// isBegin reports whether bytes are those of a BEGIN_REQUEST, as far as they go. Bytes that are reserved are zero.
func isBegin(b []byte) bool {
	form := [...]struct{ mask, value byte }{
		{0xff, version}, {0xff, typeBegin}, {}, {}, {0xff, 0}, {0xff, fixedBytes}, {0xf8, 0}, {0xff, 0},
		{0xff, 0}, {0xfc, 0}, {0xfe, 0}, {0xff, 0}, {0xff, 0}, {0xff, 0}, {0xff, 0}, {0xff, 0},
	}
	for i := range min(len(b), len(form)) {
		if b[i]&form[i].mask != form[i].value {
			return false
		}
	}
	return (len(b) < 4 || b[2]|b[3] != 0) && (len(b) < 10 || b[9] != 0) // id, role
}

// protocolStatuses are why a request was refused (specification, 5.5), but for the first, which says that it was not.
var protocolStatuses = [...]string{"", "CANT_MPX_CONN", "OVERLOADED", "UNKNOWN_ROLE"}

// isEnd reports whether bytes are those of an END_REQUEST, as far as they go.
func isEnd(b []byte) bool {
	r, ok := record{}, len(b) >= headerBytes
	if ok {
		r, ok = readHeader(b, protocol.FromServer)
	}
	if !ok || r.kind != typeEnd || b[7] != 0 || r.padding > 7 {
		return false
	}
	for i, c := range b[headerBytes:min(len(b), headerBytes+fixedBytes)] {
		if i == 4 && int(c) >= len(protocolStatuses) || i > 4 && c != 0 {
			return false
		}
	}
	return true
}

// stream is how far a direction has been read.
type stream struct {
	record
	header [headerBytes]byte
	have   int // bytes of the header
	left   int // bytes of the body to come
	rest   int // bytes of padding to come
	body   [fixedBytes]byte
	got    int  // bytes of body
	torn   bool // a byte of the body is missing
	lost   bool // where the next record begins is not known
	stale  bool // the record that has begun is about a request that has ended
}

// inBody reports whether the header of a record is known, and not all of the rest has come.
func (s *stream) inBody() bool { return s.have == headerBytes }

func (s *stream) begin(r record) {
	first := s.first
	s.record, s.left, s.rest, s.got, s.torn = r, r.length, r.padding, 0, false
	s.first = first
}
