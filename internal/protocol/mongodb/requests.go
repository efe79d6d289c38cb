package mongodb

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
)

// role is what the members of a document, or an array, are.
type role uint8

const (
	rolePlain     role = iota
	roleCommand        // the first names the command
	roleBatch          // operations
	roleInserted       // documents that are stored: they are counted, and not shown
	roleListed         // documents with a namespace each
	roleNamespace      // of such a document
	roleExplained      // the first has the name of a collection
)

// request is the one that is being read. It implements handler.
type request struct {
	p     *parser
	entry *entry // nil: it is not followed
	text  writer

	started bool // the exchange has begun
	mute    bool // the server is not to reply
	members int  // elements of the command that have come
	roles   [maxDepth + 2]role
	opened  [maxDepth + 2]bool // the text has what is there

	sequence []byte // the name of the sequence whose documents come
	within   bool   // they do
	shown    bool   // a document has come
}

// begin starts with a message whose header has come.
func (r *request) begin(op opcode, l *layout) {
	r.entry, r.started, r.mute, r.within = nil, false, l.mute, false
	if op != opMsg {
		r.start(opcodes[op])
	}
}

// start begins the exchange.
func (r *request) start(c *command) {
	r.started, r.members, r.shown = true, 0, false
	r.entry = r.p.ask()
	e := &r.entry.Value
	e.command = c
	r.text.begin(e.text, r.p.memory.config.QueryTextLength)
	e.text = nil
}

// abandon forgets the exchange.
func (r *request) abandon() {
	r.entry = nil
	r.text.end()
}

// flags implements handler.
func (r *request) flags(f uint32) bool {
	if r.started {
		return true
	}
	if f&flagsRequired&^(flagChecksum|flagMoreToCome) != 0 {
		return false
	}
	r.mute = f&flagMoreToCome != 0
	r.start(nil)
	return true
}

// counted implements handler.
func (*request) counted(uint32) {}

// namespace implements handler.
func (r *request) namespace(b []byte) {
	e := r.followed()
	if e == nil {
		return
	}
	database, collection, _ := bytes.Cut(b, []byte{'.'})
	e.setDatabase(database)
	if string(collection) == "$cmd" && e.command == opcodes[opQuery] {
		e.command = nil // the document names it
		return
	}
	e.legacy = true
	e.setCollection(collection)
}

// followed is the exchange; nil: it is not followed.
func (r *request) followed() *exchange {
	if r.entry == nil {
		return nil
	}
	return &r.entry.Value
}

// document implements handler.
func (r *request) document(sequence []byte, _ *walker) {
	e := r.followed()
	if e == nil {
		return
	}
	r.opened[1], r.shown = false, true
	if sequence == nil {
		r.leaveSequence()
		if r.roles[1] = roleCommand; e.legacy {
			r.roles[1] = rolePlain
		}
		return
	}
	if !r.within || !bytes.Equal(sequence, r.sequence) {
		r.leaveSequence()
		r.sequence, r.within = append(r.sequence[:0], sequence...), true
		r.opened[0] = r.text.member(sequence) && r.text.open(true)
	}
	r.roles[1] = rolePlain
	switch string(sequence) {
	case "documents": // of an insert: the command may come behind its documents
		r.roles[1] = roleInserted
		e.batch++
		return
	case "nsInfo":
		r.roles[1] = roleNamespace
	case "updates", "deletes", "ops":
		e.batch++
	}
	r.opened[1] = r.opened[0] && r.text.member(nil) && r.text.open(false)
}

// ended implements handler.
func (r *request) ended() {
	switch {
	case !r.within || r.entry == nil:
	case r.opened[1]:
		r.text.close()
	case r.roles[1] == roleInserted && r.opened[0] && r.text.member(nil):
		r.text.hidden()
	}
	r.opened[1] = false
}

func (r *request) leaveSequence() {
	if r.within && r.opened[0] && r.entry != nil {
		r.text.close()
	}
	r.within, r.opened[0] = false, false
}

// first reads the name of the command.
func (r *request) first(e *exchange, name []byte) {
	if e.command = commands[string(name)]; e.command == nil {
		e.command = other
	}
}

// left reports whether an element of a command is not in its text: those of the session, and those that any command may have.
func left(name []byte) bool {
	return len(name) == 0 || name[0] == '$' || string(name) == "lsid" || string(name) == "txnNumber"
}

// enter implements visitor.
func (r *request) enter(w *walker) bool {
	e := r.followed()
	if e == nil {
		return false
	}
	in, inside := r.roles[w.depth], rolePlain
	n := w.Name()
	switch in {
	case roleInserted:
		if w.depth > 1 {
			e.batch++
		}
		return false
	case roleBatch:
		e.batch++
	case roleListed:
		inside = roleNamespace
	case roleCommand:
		if r.members++; r.members == 1 {
			if name := string(n); name == "$query" || name == "query" && w.depth == 1 && !isCommand(n) {
				r.members = 0
				r.roles[w.depth+1], r.opened[w.depth+1] = roleCommand, false
				return true
			}
			r.first(e, n)
			if string(n) == "explain" {
				inside = roleExplained
			}
		}
		if left(n) {
			return false
		}
		switch c := e.command; {
		case c.batch == string(n) && c.inserts:
			inside = roleInserted
		case c.batch == string(n) && c.batch != "":
			inside = roleBatch
		case c.bulk && string(n) == "nsInfo":
			inside = roleListed
		}
	case rolePlain, roleNamespace, roleExplained:
	}
	return r.show(e, w, inside)
}

// show writes what is entered, or what stands for it. It reports whether its members are wanted.
func (r *request) show(e *exchange, w *walker, inside role) bool {
	n := w.Name()
	wanted := inside != rolePlain
	room := r.text.member(n)
	hides := r.isSecret(n) || e.command != nil && (e.command.secret || e.command.bulk && string(n) == "document") || w.deep()
	switch {
	case room && inside == roleInserted:
		if r.text.open(true) {
			r.text.member(nil)
			r.text.hidden()
			r.text.close()
		}
		room = false
	case room && hides:
		r.text.hidden()
		room = false
	case room:
		room = r.text.open(w.kind == typeArray)
	}
	r.roles[w.depth+1], r.opened[w.depth+1] = inside, room
	return (room || wanted) && !w.deep()
}

// leave implements visitor.
func (r *request) leave(w *walker) {
	if r.opened[w.depth+1] && r.entry != nil {
		r.text.close()
	}
	r.opened[w.depth+1] = false
}

// scalar implements visitor.
func (r *request) scalar(w *walker) {
	e := r.followed()
	if e == nil {
		return
	}
	n, named := w.Name(), false
	switch r.roles[w.depth] {
	case roleInserted:
		return
	case roleCommand:
		if r.members++; r.members == 1 {
			r.first(e, n)
			named = e.command.collection
		} else {
			named = string(n) == "collection" && e.command.name == "getMore"
		}
		if string(n) == "$db" && !e.isListed() {
			e.setDatabase(w.text())
		}
		if left(n) {
			return
		}
	case roleNamespace:
		if string(n) == "ns" {
			e.list(w.text())
		}
	case roleExplained:
		named = isCommand(n) && commands[string(n)].collection
	case rolePlain, roleBatch, roleListed:
	}
	if named && w.text() != nil {
		e.setCollection(w.text())
	} else {
		named = false
	}
	switch {
	case !r.text.member(n):
	case named:
		r.text.quoted(w.text())
	case r.p.memory.config.RawQueryText && !r.isSecret(n) && e.command != nil && !e.command.secret && e.command.name != "explain":
		r.text.raw(w)
	default:
		r.text.hidden()
	}
}

// isSecret reports whether the value of an element is never emitted.
func (r *request) isSecret(name []byte) bool {
	return secretNames[string(name)] || r.p.memory.redaction.IsSecretName(name)
}

// end ends the request. Broken: its content is not as it has to be.
func (r *request) end(broken bool) {
	e := r.followed()
	if e == nil {
		return
	}
	r.leaveSequence()
	e.text = r.text.end()
	if !r.shown || broken {
		e.text = e.text[:0]
	}
	x := r.entry
	r.entry = nil
	if broken {
		r.p.sink.Error(protocol.Malformed)
		if e.command == nil {
			r.p.forget(x)
			return
		}
	}
	r.p.asked(x, r.mute)
}
