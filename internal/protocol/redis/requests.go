package redis

import (
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// requests reads the commands of the client.
type requests struct {
	*parser
	item      *item    // nil: the command is not an exchange
	command   *command // nil: its name has not been read
	container *command // whose subcommand is read next
	count     int      // arguments, without the name
	argument  int      // number of the one that is read
	keys      int64    // that follow
	texts     int      // arguments in the text
	full      bool     // no more go into it

	muted    bool // after CLIENT REPLY OFF: there are no replies
	skipping int  // commands without a reply, because of CLIENT REPLY SKIP
	unpushed bool // the command was begun without a reply to come
	arrays   bool // a command was an array, as no other protocol has them
}

const (
	maxText      = 1 << 10 // bytes of db.query.text
	maxArguments = 32      // in it
	maxArgument  = 256     // bytes of one
)

// begin starts a command of so many words.
func (q *requests) begin(words int, start *protocol.Stamp) {
	q.command, q.container, q.count, q.argument, q.keys, q.texts, q.full = nil, nil, words-1, 0, 0, 0, false
	q.asked = true
	q.unpushed = q.muted || q.skipping > 0
	if q.unpushed {
		q.item = q.memory.items.Get()
		q.newItem(q.item).outside = true
	} else {
		doubt := q.order.Doubt()
		x, early := q.order.Request(start, func(x *item) bool { return x.Value.replied && x.Value.end.Time < start.Began })
		if doubt != protocol.CaptureComplete && q.order.Doubt() == protocol.CaptureComplete {
			q.database, q.queued = noDatabase, noDatabase // another command's reply may have said which one
		}
		if q.item = x; x == nil {
			return
		}
		if !early {
			q.newItem(x)
		}
		x.Value.outside = early
	}
	x := &q.item.Value
	if x.doubt = q.order.Doubt(); x.outside && !q.unpushed {
		q.paired(q.item)
	}
	x.start = *start
	q.memory.request = protocol.Request{Initiator: protocol.FromClient, Start: *start}
	x.id, x.begun = q.sink.Begin(&q.memory.request), true
}

// line implements handler: a command may be a line of words ("inline").
func (q *requests) line(l *framing.Line) bool {
	if len(l.Bytes) == 0 {
		return true // Redis ignores empty lines
	}
	if l.Bytes[0] == '*' || !printable(l.Bytes) {
		return false
	}
	words := 0
	for _, rest := nextWord(l.Bytes); ; _, rest = nextWord(rest) {
		words++
		if len(rest) == 0 {
			break
		}
	}
	q.begin(words, &l.Start)
	if q.item != nil && l.Cut() {
		q.item.Value.capture = protocol.CaptureTruncated
		q.sink.Error(protocol.HeadTooLong)
	}
	for rest := l.Bytes; len(rest) > 0; {
		var word []byte
		word, rest = nextWord(rest)
		q.want(uint64(len(word)))
		q.leaf('$', word, false)
	}
	q.done()
	return true
}

// head implements handler.
func (q *requests) head(line []byte, n int64) (int, bool) {
	r := &q.streams[protocol.FromClient]
	if r.depth() == 0 {
		if line[0] != '*' || string(line) == "*?" {
			return 0, false
		}
		if n > 0 { // Redis ignores empty ones
			q.begin(int(n), &r.start)
		}
		return 0, true
	}
	if line[0] != '$' || n < 0 {
		return 0, false
	}
	q.arrays = true
	return q.want(uint64(n)), true
}

// want is how many bytes of the next word are wanted.
func (q *requests) want(length uint64) int {
	switch {
	case q.command == nil:
		return int(min(length, maxName+1))
	case q.class() == 'v':
		return 0
	}
	return int(min(length, maxArgument))
}

// class is what may be emitted of the next argument.
func (q *requests) class() byte {
	if q.keys > 0 {
		return 'k'
	}
	return q.command.class(q.argument+1, q.count)
}

// leaf implements handler: it is given a word of a command.
func (q *requests) leaf(_ byte, value []byte, cut bool) {
	if q.item != nil && cut {
		q.item.Value.capture = max(q.item.Value.capture, q.loss)
	}
	if q.command == nil {
		if q.name(value, cut) {
			return
		}
	}
	class := q.class()
	q.argument++
	switch {
	case q.keys > 0:
		q.keys--
	case class == 'n' && !cut:
		q.keys, _ = ascii.Number(value)
		q.keys = min(q.keys, int64(q.count-q.argument))
	case class == 's' && ascii.Is(value, "streams"):
		q.keys = int64(q.count-q.argument) / 2
		class = 'k'
	case class == 's':
		class = 'v'
	}
	if q.item == nil {
		if q.command.effect == mutes && q.argument == 1 {
			q.mute(value)
		}
		return
	}
	x := &q.item.Value
	switch {
	case q.command.effect == selects && q.argument == 1 && !cut:
		if n, ok := ascii.Number(value); ok {
			x.index = n
		}
	case q.command.effect == mutes && q.argument == 1:
		q.mute(value)
	}
	from := len(x.text)
	x.text = q.appendArgument(x.text, value, class, cut)
	if class == 'p' && string(value) == string(x.text[min(from+1, len(x.text)):]) {
		x.procedure = [2]int{from + 1, len(x.text)}
	}
}

// name reads a word of the command's name, and reports whether it was one.
func (q *requests) name(word []byte, cut bool) bool {
	c := q.container
	found := lookup(c, word)
	switch {
	case cut:
		found = nil
	case c == nil && found != nil && found.container && q.count > 0:
		q.container = found
		return true
	}
	q.command = found
	isName := c == nil || found != nil
	if c != nil {
		if q.command = c; found != nil {
			q.command = found
			q.count--
		}
	} else if found == nil {
		q.command = other
	}
	if q.item == nil {
		if q.command.effect == selects {
			q.database = noDatabase
		}
		return isName
	}
	x := &q.item.Value
	x.command, x.arguments = q.command, q.count
	x.text = append(x.text[:0], q.command.name...)
	if q.command == other {
		x.text = append(x.text[:0], '?') // it may be anything, also a command that was renamed so that it cannot be guessed
	}
	return isName
}

// done implements handler.
func (q *requests) done() {
	c, x := q.command, q.item
	if c == nil {
		if q.container == nil {
			return // an empty command
		}
		c = q.container
	}
	q.item = nil
	if q.skipping > 0 {
		q.skipping--
	}
	if x == nil {
		return
	}
	x.Value.requestEnd, x.Value.requested = q.memory.last, true
	if c.effect == follows {
		q.order.Remove(x)
		q.Dropped(x)
		q.stop()
		return
	}
	silent := c.effect == mutes && (q.muted || q.skipping > 0)
	switch {
	case silent && !q.unpushed:
		q.order.Remove(x)
	case q.unpushed && !silent && c.effect == mutes: // CLIENT REPLY ON is answered again
		x.Value.outside = false
		q.order.Append(x)
		return
	case !q.unpushed:
		if x.Value.replied || c.effect >= subscribe && q.replies.claim(x) {
			q.finish(x)
		}
		return
	}
	q.unsettle(c)
	x.Value.end = q.memory.last
	q.emit(x, "", 0)
}

// mute follows CLIENT REPLY.
func (q *requests) mute(mode []byte) {
	switch {
	case ascii.Is(mode, "off"):
		q.muted = true
	case ascii.Is(mode, "on"):
		q.muted, q.skipping = false, 0
	case ascii.Is(mode, "skip") && !q.muted:
		q.skipping = 2 // itself, and the next one
	}
}

// cut ends the command that is being read, because its rest is missing.
func (q *requests) cut() {
	x := q.item
	if q.item = nil; x == nil {
		return
	}
	e := &x.Value
	e.requested, e.capture = true, max(e.capture, q.loss)
	if e.command == nil {
		if e.command = q.container; e.command == nil {
			e.command = other
		}
	}
	switch {
	case q.unpushed:
		e.end = q.now
		q.emit(x, "", 0)
	case e.replied:
		q.finish(x)
	}
}

// discard forgets a malformed command without a name.
func (q *requests) discard() {
	if x := q.item; x != nil && x.Value.command == nil && q.container == nil && !x.Value.outside {
		q.order.Remove(x)
		q.Dropped(x)
	}
}

// drop ends the command that is being read at the end of the conversation.
func (q *requests) drop() {
	if x := q.item; x != nil && (x.Value.outside || x.Value.replied) {
		q.Unanswered(x)
	}
}
