package postgres

import (
	"hash/maphash"
	"unsafe"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
	"github.com/socketflow/socketflow/internal/sqltext"
)

const (
	maxPrepared = 1024 // named statements of a connection, and portals
	unnamed     = 0    // hash of the empty name
)

// names are known by their hash, so that none is kept.
type names struct{ seed maphash.Seed }

func newNames() names { return names{maphash.MakeSeed()} }

func (n *names) hash(b []byte) uint64 {
	if len(b) == 0 {
		return unnamed
	}
	return max(maphash.Bytes(n.seed, b), unnamed+1)
}

// statement is what a name stands for.
type statement struct {
	text     *sqltext.Statement
	dropping dropping
	drops    uint64 // the name, if it is one

	parent protocol.TraceContext // that its comment carries
	cycle  uint64                // that has prepared it
}

// dropping is what a statement makes of the names of others.
type dropping uint8

const (
	keeps dropping = iota
	dropsOne
	dropsAll
)

// table has statements by name.
type table = pairing.ByID[uint64, statement]

// prepared has the statements and portals of a connection. What was prepared before the connection was joined, or was forgotten, is not known.
type prepared struct {
	statements, portals table
	texts               int              // bytes of both
	unknown             protocol.Capture // of an exchange whose statement is not known; CaptureComplete: all are known
}

func (t *prepared) limit(n int) { t.statements.Limit, t.portals.Limit = n, n }

const entrySize = int(unsafe.Sizeof(pairing.Entry[uint64, statement]{})) + 32 // with its place in the index

func (t *prepared) held() int {
	return (t.statements.Entries()+t.portals.Entries())*entrySize + t.texts
}

func (t *prepared) drop() {
	for _, all := range [...]*table{&t.statements, &t.portals} {
		for e := all.Oldest(); e != nil; e = all.Oldest() {
			all.Remove(e)
		}
		*all = table{Limit: all.Limit}
	}
	t.texts = 0
}

// forget forgets everything, for a reason.
func (t *prepared) forget(why protocol.Capture) {
	t.drop()
	t.unknown = max(t.unknown, why)
}

// find returns the statement of a name in a table.
func find(t *table, name uint64) (statement, bool) {
	e := t.Get(name)
	if e == nil {
		return statement{}, false
	}
	t.Renew(e, 0)
	return e.Value, true
}

// define gives a name to a statement, and returns the one that had it.
func (p *parser) define(t *table, name uint64, s statement) (previous statement, had bool) {
	e := t.Get(name)
	if had = e != nil; had {
		previous = e.Value
		t.Renew(e, 0)
	} else {
		if t.Full() {
			p.sink.Error(protocol.TooMany)
			p.unknown = max(p.unknown, protocol.CaptureTruncated)
			p.remove(t, t.Oldest().ID)
		}
		e = t.Add(name, 0)
	}
	p.texts += size(s) - size(previous)
	e.Value = s
	return previous, had
}

// use returns the statement of a name for a portal. The parent in its comment is that of one portal: of an unnamed statement, which is
// prepared to be executed once, of its first one, and of a named one if the same cycle has prepared it. Whoever executes it later may be
// somebody else.
func (p *parser) use(name uint64) (s statement, known bool) {
	if s, known = find(&p.statements, name); !s.parent.Valid() {
		return s, known
	}
	p.statements.Get(name).Value.parent = protocol.TraceContext{}
	if name != unnamed && s.cycle != p.cycles {
		s.parent = protocol.TraceContext{}
	}
	return s, true
}

// size is how many bytes of text a statement has.
func size(s statement) int {
	if s.text == nil {
		return 0
	}
	return len(s.text.Text)
}

func (p *parser) remove(t *table, name uint64) {
	if e := t.Get(name); e != nil {
		p.texts -= size(e.Value)
		e.Value = statement{}
		t.Remove(e)
	}
}

// removeAll removes all names of a table.
func (p *parser) removeAll(t *table) {
	for e := t.Oldest(); e != nil; e = t.Oldest() {
		p.remove(t, e.ID)
	}
}

// undo gives a name back that the server has not given to a statement, or has not taken from it. Names are undone in reverse order. If the
// client has sent another cycle meanwhile, which may have used the name, too, it is not known what it stands for.
func (p *parser) undo(x *item, o *operation) {
	latest := (!p.opened || p.open == x) && p.order.Outstanding() <= 1
	switch {
	case !o.named:
	case o.had && latest:
		p.define(&p.statements, o.name, o.previous)
	default:
		p.remove(&p.statements, o.name)
	}
}

// unsettle notes that it is not known whether the server has given a name to a statement. If another had it, it may still have it.
func (p *parser) unsettle(o *operation) {
	if o.named && o.had {
		p.remove(&p.statements, o.name)
	}
}

// perform follows what a statement that is executed makes of the names of others.
func (p *parser) perform(s *statement) {
	switch s.dropping {
	case dropsOne:
		p.remove(&p.statements, s.drops)
	case dropsAll:
		p.prepared.drop()
	}
}

// read reads a statement.
func (p *parser) read(sql []byte, cut bool) statement {
	s := statement{text: p.memory.reader.ReadAs(p.quoting, sql, cut)}
	switch string(s.text.Operation) {
	case "DISCARD":
		s.dropping = dropsAll
	case "DEALLOCATE", "PREPARE":
		if word := p.memory.nameIn(sql); string(word) == "all" || word == nil || cut {
			s.dropping = dropsAll
		} else {
			s.dropping, s.drops = dropsOne, p.memory.names.hash(word)
		}
	}
	return s
}

// nameIn returns the name behind DEALLOCATE or PREPARE; nil: it is not written in a usual way.
func (m *memory) nameIn(sql []byte) []byte {
	_, rest := nextWord(sql)
	word, rest := nextWord(rest)
	if ascii.Is(word, "prepare") {
		word, _ = nextWord(rest)
	}
	if n := len(word); n > 2 && word[0] == '"' && word[n-1] == '"' {
		return word[1 : n-1]
	}
	m.text = m.text[:0]
	for _, c := range word { // a name without quotation marks is folded
		if !ascii.IsLetter(c) && !ascii.IsDigit(c) && c != '_' {
			return nil
		}
		m.text = append(m.text, ascii.Lower(c))
	}
	if len(m.text) == 0 {
		return nil
	}
	return m.text
}

// nextWord returns the first word of a text, and what follows it.
func nextWord(b []byte) (word, rest []byte) {
	for len(b) > 0 && b[0] <= ' ' {
		b = b[1:]
	}
	n := 0
	for n < len(b) && b[n] > ' ' && b[n] != ';' && b[n] != '(' {
		n++
	}
	return b[:n], b[n:]
}
