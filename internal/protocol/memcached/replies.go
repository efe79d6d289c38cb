package memcached

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// state is how a reply of the text protocol goes on.
type state uint8

const (
	stateBegins state = iota
	stateValues       // with another value, or the end
	stateLines        // with another line, or the end
	stateData         // with data, which ends it
)

// replyWords are the first words of replies, and how each goes on. Errors are in errorWords.
var replyWords = map[string]state{
	"VALUE": stateValues, "CONFIG": stateValues, "VA": stateData,
	"STAT": stateLines, "ITEM": stateLines, "mg": stateLines,
	"END": stateBegins, "STORED": stateBegins, "NOT_STORED": stateBegins, "EXISTS": stateBegins, "NOT_FOUND": stateBegins, "DELETED": stateBegins,
	"TOUCHED": stateBegins, "OK": stateBegins, "VERSION": stateBegins, "RESET": stateBegins, "HD": stateBegins, "EN": stateBegins, "NS": stateBegins,
	"EX": stateBegins, "NF": stateBegins, "MN": stateBegins, "ME": stateBegins,
	"BUSY": stateBegins, "BADCLASS": stateBegins, "NOSPARE": stateBegins, "NOTFULL": stateBegins, "UNSAFE": stateBegins, "SAME": stateBegins,
}

// errorWords are those of errors, and their texts.
var errorWords = map[string]string{"ERROR": "ERROR", "CLIENT_ERROR": "CLIENT_ERROR", "SERVER_ERROR": "SERVER_ERROR"}

// dumped is how lines of "lru_crawler metadump" begin.
var dumped = []byte("key=")

// goesOn says how a reply goes on that begins with a line; false: none does.
func goesOn(line []byte) (s state, ok bool) {
	word, _ := cutWord(line)
	if s, ok = replyWords[string(word)]; ok {
		return s, true
	}
	if _, isError := errorWords[string(word)]; isError {
		return stateBegins, true
	}
	if bytes.HasPrefix(line, dumped) {
		return stateLines, true
	}
	_, isNumber := ascii.Number(word) // of incr and decr, and blanks behind it
	return stateBegins, isNumber
}

// isReply reports whether a line can be the first of a reply.
func isReply(line []byte) bool {
	s, ok := goesOn(line)
	if ok && (s == stateValues || s == stateData) {
		_, ok = dataBytes(line)
	}
	return ok && printable(line)
}

// dataBytes is how many bytes of data follow a line.
func dataBytes(line []byte) (n uint64, ok bool) {
	word, rest := cutWord(line)
	if string(word) != "VA" {
		_, rest = cutWord(rest) // the key
		_, rest = cutWord(rest) // flags
	}
	word, _ = cutWord(rest)
	count, ok := ascii.Number(word)
	return uint64(count), ok && count <= maxData
}

// replyLine reads a line of the server.
func (p *parser) replyLine(l *framing.Line, last *protocol.Stamp) bool {
	line := l.Bytes
	word, _ := cutWord(line)
	switch p.reply.state {
	case stateValues:
		return p.value(word, line, last)
	case stateLines:
		if s := string(word); s == "END" || s == "EN" || errorWords[s] != "" {
			p.refuse(word)
			p.replied(last)
		}
		return true
	case stateBegins, stateData:
	}
	s, ok := goesOn(line)
	if !ok {
		return false
	}
	if p.strays(line) {
		return true
	}
	p.pairLine(line, word, &l.Start)
	switch p.reply.state = s; s {
	case stateValues:
		return p.value(word, line, last)
	case stateData:
		return p.data(line)
	case stateLines:
		return true
	case stateBegins:
	}
	p.refuse(word)
	p.count(word)
	p.replied(last)
	return true
}

// value reads a line of a reply to a get.
func (p *parser) value(word, line []byte, last *protocol.Stamp) bool {
	switch s := string(word); {
	case s == "VALUE" || s == "CONFIG":
		return p.data(line)
	case s == "END" || errorWords[s] != "":
		p.refuse(word)
		p.replied(last)
		return true
	}
	return false
}

// data reads a line that data follows.
func (p *parser) data(line []byte) bool {
	n, ok := dataBytes(line)
	if !ok {
		return false
	}
	if x := p.reply.item; x != nil {
		x.Value.rows++
	}
	r := &p.lines[protocol.FromServer]
	r.inBody = true
	r.body.Begin(n+lineEnd, 0)
	return true
}

// refuse notes an error, if the word is that of one.
func (p *parser) refuse(word []byte) {
	if x := p.reply.item; x != nil {
		x.Value.code = errorWords[string(word)]
	}
}

// count counts what a meta get without a value has found.
func (p *parser) count(word []byte) {
	if x := p.reply.item; x != nil && string(word) == "HD" {
		x.Value.rows = 1
	}
}

// badData is what the server says of data that does not end where the command says, even if it is not to reply.
var badData = []byte("CLIENT_ERROR bad data chunk")

// strays reports whether a line is a reply to a command that has asked for none.
func (p *parser) strays(line []byte) bool {
	if !p.hushed || !bytes.HasPrefix(line, badData) {
		return false
	}
	next := p.order.Next()
	return next == nil || next.Value.command != nil && next.Value.command.data == 0
}

// pairLine finds the command that a reply belongs to, which begins with a line.
func (p *parser) pairLine(line, word []byte, start *protocol.Stamp) {
	p.hushed = false
	next := p.order.Next()
	for next != nil && next.Value.quiet && !next.Value.fits(line, word) {
		p.order.Remove(next)
		p.silent(next)
		next = p.order.Next()
	}
	if next != nil && next.Value.vague && p.vague > 1 { // of several it may be that of any
		p.muddled = true
		p.reply = answer{}
		return
	}
	p.muddled = false
	p.respond(start)
}

// respond pairs the reply that begins with the command that is next.
func (p *parser) respond(start *protocol.Stamp) {
	x, early := p.order.Response()
	p.reply = answer{item: x}
	if x == nil {
		return
	}
	if early {
		p.newItem(x)
	}
	x.Value.replyStart = *start
	x.Value.capture = max(x.Value.capture, x.Value.doubt)
}

// suppressed are the replies that quiet commands do not get.
var suppressed = map[string]string{"mg": "EN", "ms": "HD", "md": "HD NF", "ma": "HD NF"}

// fits reports whether a reply can be that to a quiet command.
func (e *exchange) fits(line, word []byte) bool {
	switch s := string(word); {
	case errorWords[s] != "":
		return true
	case s == "MN" || s == "ME" || len(word) != 2 || bytes.Contains([]byte(suppressed[e.command.name]), word):
		return false
	}
	named := false
	for _, rest := cutWord(line); len(rest) > 0; {
		if word, rest = cutWord(rest); bytes.Equal(word, e.token) {
			return true
		}
		named = named || word[0] == 'O' || word[0] == 'k'
	}
	return len(e.token) == 0 && !named
}
