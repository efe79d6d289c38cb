package mysql

import (
	"unsafe"

	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/sqltext"
)

const (
	// maxStatements is how many prepared statements of a connection are remembered. Servers allow some 16,000 of all connections.
	maxStatements = 1 << 10
	// spareStatements are kept for reuse by the conversations of a goroutine: some clients prepare each statement, and close it at once.
	spareStatements = 128
)

// statement is one that is prepared. Its text is that of all statements that are the same but for what may not be emitted.
type statement struct {
	id    uint32
	text  *sqltext.Statement
	doubt protocol.Capture // of the reply that has given it its number
	// parameters is how many it has.
	parameters uint64
	links      intrusive.Links[statement]
}

const statementBytes = int(unsafe.Sizeof(statement{})) + 16 // in the index

// statements are the prepared statements of a connection, by the numbers that the server has given them, which are not used again.
type statements struct {
	free      *intrusive.Free[statement]
	known     map[uint32]*statement
	used      intrusive.List[statement] // least recently used first
	forgotten bool                      // there were more
}

// add returns a new statement with a number. If there are too many, the one that was used least recently is forgotten.
func (s *statements) add(id uint32) *statement {
	if s.known == nil {
		s.known = make(map[uint32]*statement)
	}
	if len(s.known) >= maxStatements {
		s.forgotten = true
		s.remove(s.used.First().id)
	}
	s.remove(id)
	x := s.free.Take()
	if x == nil {
		x = new(statement)
	}
	x.id = id
	s.known[id] = x
	s.used.Append(&x.links, x)
	return x
}

// get returns a statement that is used; nil: it is not known.
func (s *statements) get(id uint32) *statement {
	x := s.known[id]
	if x != nil {
		s.used.Remove(&x.links)
		s.used.Append(&x.links, x)
	}
	return x
}

// remove forgets a statement that is closed.
func (s *statements) remove(id uint32) {
	x := s.known[id]
	if x == nil {
		return
	}
	delete(s.known, id)
	s.used.Remove(&x.links)
	if x.text = nil; s.free.Len() < spareStatements {
		s.free.Put(&x.links, x)
	}
}

// clear forgets all statements, as the server does.
func (s *statements) clear() {
	for s.used.Len() > 0 {
		s.remove(s.used.First().id)
	}
	s.known = nil
}

func (s *statements) held() int { return len(s.known) * statementBytes }
