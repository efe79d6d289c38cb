// Package sqltext says what of a statement in SQL may be emitted: its text without literals and comments, its operation, and what it is about.
package sqltext

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"unsafe"
)

// Dialect is how statements are written.
type Dialect uint8

// The dialects. MariaDB's is MySQL's.
const (
	PostgreSQL Dialect = iota
	MySQL
)

// Quoting is what a connection has shown about backslashes in literals between ordinary quotation marks.
type Quoting uint8

// The quotings.
const (
	// Unknown: a literal in which it would matter is the last that is read of the statement.
	Unknown  Quoting = iota
	Plain            // a backslash is a character like others: standard_conforming_strings is on, NO_BACKSLASH_ESCAPES is set
	Escaping         // it changes what the next character means
)

// The bounds and the default of Config.QueryTextLength.
const (
	minLength     = 64
	maxLength     = 64 << 10
	defaultLength = 2 << 10
)

// Config is what can be configured of any protocol whose requests are in SQL.
type Config struct {
	// RawQueryText makes db.query.text a statement as it was sent, with its literals and comments. A statement that has to do with passwords
	// or keys is obfuscated nevertheless. Default: false.
	RawQueryText bool `mapstructure:"raw_query_text"`

	// QueryTextLength is how many bytes db.query.text has at most: 64 to 65536. Default: 2048.
	QueryTextLength int `mapstructure:"query_text_length"`
}

// DefaultConfig is the default configuration.
func DefaultConfig() Config { return Config{QueryTextLength: defaultLength} }

// Validate reports a length out of bounds.
func (c *Config) Validate() error {
	if c.QueryTextLength < minLength || c.QueryTextLength > maxLength {
		return fmt.Errorf("query_text_length: write a number of bytes from %d to %d, not %d", minLength, maxLength, c.QueryTextLength)
	}
	return nil
}

// Statement is what may be emitted of a statement. It is not changed, and is the same for statements that differ in what may not be
// emitted: it can be kept, and compared by its address.
type Statement struct {
	// Text is valid UTF-8, bounded, and never cut within a literal. Where something is left out it has " ...".
	Text []byte
	// Certain is how many bytes of Text are before the first literal or quoted name. Behind it there may be words of a literal if the server
	// says that the statement is not well-formed: then a quotation mark may be missing.
	Certain    int
	Operation  []byte // the command, in upper case; empty: none is known
	Procedure  []byte // the stored procedure that is called; empty: none
	Collection []byte // the only table or view that the statement is about; empty: none is known, or there are several
	Summary    string // operations and what they are about, at most 255 bytes; empty: no operation is known
}

// Bounds of what a Reader remembers.
const (
	recent    = 1 << 10 // statements as they were sent, by hash
	shapeSize = 4 << 20 // bytes of Statements
)

// Reader reads the statements of any number of connections. It is not for concurrent use.
type Reader struct {
	dialect Dialect
	config  Config
	seed    maphash.Seed
	recent  [recent]recentStatement
	shapes  map[uint64]*Statement
	size    int // bytes of shapes
	obfuscator
}

// recentStatement is one as it was sent. Its text is not kept, because it may have secrets.
type recentStatement struct {
	hash      uint64
	length    int
	quoting   Quoting
	cut       bool
	statement *Statement
}

// NewReader returns a reader.
func NewReader(d Dialect, c Config) *Reader {
	return &Reader{dialect: d, config: c, seed: maphash.MakeSeed(), shapes: make(map[uint64]*Statement)}
}

// Read reads one statement. Cut: it goes on with bytes that are not known.
func (r *Reader) Read(sql []byte, cut bool) *Statement { return r.ReadAs(Unknown, sql, cut) }

// ReadAs is Read for a connection with a known quoting.
func (r *Reader) ReadAs(q Quoting, sql []byte, cut bool) *Statement {
	hash := maphash.Bytes(r.seed, sql)
	known := &r.recent[hash%recent]
	if known.statement == nil || known.hash != hash || known.length != len(sql) || known.quoting != q || known.cut != cut {
		*known = recentStatement{hash, len(sql), q, cut, r.read(q, sql, cut)}
	}
	return known.statement
}

func (r *Reader) read(q Quoting, sql []byte, cut bool) *Statement {
	o := &r.obfuscator
	o.read(r.dialect, q, sql, cut, r.config.QueryTextLength)
	text := o.text
	if r.config.RawQueryText && !o.secret {
		text = o.raw(sql)
		o.certain = len(text)
	}
	hash := r.shape(text)
	if s := r.shapes[hash]; s != nil {
		return s
	}
	if r.size > shapeSize { // to forget all is cheaper than to know which were used last, and hardly ever needed
		clear(r.shapes)
		r.recent, r.size = [recent]recentStatement{}, 0
	}
	s := &Statement{ // invalid UTF-8 is longer then, so that fewer bytes are certain than might be
		Text:       bytes.ToValidUTF8(text, []byte("\uFFFD")),
		Certain:    o.certain,
		Operation:  o.description.operation,
		Procedure:  bytes.ToValidUTF8(o.description.procedure, []byte("\uFFFD")),
		Collection: bytes.ToValidUTF8(o.description.collection(), []byte("\uFFFD")),
		Summary:    string(bytes.ToValidUTF8(o.description.summary, []byte("\uFFFD"))),
	}
	r.shapes[hash] = s
	r.size += int(unsafe.Sizeof(*s)) + len(s.Text) + len(s.Operation) + len(s.Procedure) + len(s.Collection) + len(s.Summary)
	return s
}

// shape is the hash of the Statement that has been read.
func (r *Reader) shape(text []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	h.WriteByte(byte(r.certain))
	h.WriteByte(byte(r.certain >> 8))
	for _, part := range [...][]byte{text, r.description.summary, r.description.operation, r.description.collection()} {
		h.Write(part)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// Split returns the first of the statements in a text, without the semicolon behind it, and the others; nil: there are none. Empty: the
// first is nothing but blanks and comments.
func Split(d Dialect, q Quoting, sql []byte) (first, others []byte, empty bool) {
	empty = true
	l := lexer{dialect: d, quoting: q, sql: sql}
	var b body
	for {
		t := l.next()
		switch {
		case t.kind == end:
			return sql, nil, empty
		case t.kind == mark && sql[t.start] == ';' && !b.inside():
			return sql[:t.start], sql[t.end:], empty
		}
		empty = false
		b.add(d, sql[t.start:t.end], t.kind)
	}
}
