package memcached

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/ascii"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

// reader reads a direction of the text protocol: lines, some of which are followed by data.
type reader struct {
	framing.Sync
	lines  framing.Lines
	body   framing.Body
	inBody bool
}

func (r *reader) reset() {
	r.lines.Reset()
	r.body.Reset()
	r.inBody = false
}

const (
	maxReply = 512     // bytes of a line of the server that are read: a key has up to 250
	maxData  = 1 << 30 // bytes of a value: -I allows 1 GiB at most
	lineEnd  = 2       // behind data
)

// readLines reads a call's bytes.
func (p *parser) readLines(c *protocol.Chunk) {
	d := c.Direction
	r, limit := &p.lines[d], maxReply
	if d == protocol.FromClient {
		limit = p.memory.limits.HeadBytes
	}
	if r.Lost() && p.begins(d, c.Bytes) {
		r.Found()
	}
	for i := 0; i < len(c.Bytes) && !r.Lost() && !p.over; {
		if r.inBody {
			_, n, complete := r.body.Data(c.Bytes[i:])
			if i += n; complete {
				last := c.At(i - 1)
				p.dataEnds(d, &last)
			}
			continue
		}
		l := &p.memory.line
		n, complete := r.lines.Read(c, i, limit, l)
		if i += n; !complete {
			return
		}
		last := c.At(i - 1)
		ok := false
		if d == protocol.FromClient {
			ok = p.command(l, &last)
		} else {
			ok = p.replyLine(l, &last)
		}
		if !ok {
			p.malformed(d)
		}
	}
}

// missLines takes missing bytes, and returns how many of them do not belong to data.
func (p *parser) missLines(d protocol.Direction, n uint64, at *protocol.Stamp) uint64 {
	r := &p.lines[d]
	if !r.inBody || r.Lost() {
		return n
	}
	_, taken, complete := r.body.Gap(n)
	if complete {
		last := *at
		last.Position += taken - 1
		p.dataEnds(d, &last)
		if d == protocol.FromServer && n-taken >= uint64(len(valuesEnd)) && p.hasAll() {
			taken += uint64(len(valuesEnd))
			last.Position += uint64(len(valuesEnd))
			p.replied(&last)
		}
	}
	return n - taken
}

// valuesEnd is the line behind values.
const valuesEnd = "END\r\n"

// hasAll reports whether the reply to a get has as many values as there are keys: all that can follow is its end. A server sends a large value,
// and the end, in one call, of which only the beginning is captured.
func (p *parser) hasAll() bool {
	x := p.reply.item
	return x != nil && p.reply.state == stateValues && p.order.Certain() && x.Value.requested && !x.Value.full && x.Value.keys > 0 &&
		x.Value.rows == int64(x.Value.keys)
}

// dataEnds is called behind the last byte of data.
func (p *parser) dataEnds(d protocol.Direction, last *protocol.Stamp) {
	p.lines[d].inBody = false
	if d == protocol.FromServer {
		if p.reply.state == stateData {
			p.replied(last)
		}
		return
	}
	x := p.sending
	if p.sending = nil; x != nil {
		p.requested(x, last)
	}
}

// begins reports whether a message begins where a call's bytes do.
func (p *parser) begins(d protocol.Direction, b []byte) bool {
	line, ended := firstLine(b)
	if !ended {
		return false
	}
	if d == protocol.FromClient {
		var w words
		return w.read(line) && w.command != other
	}
	return p.asked && isReply(line)
}

func firstLine(b []byte) (line []byte, ended bool) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return b, false
	}
	return bytes.TrimSuffix(b[:end], []byte("\r")), true
}

// words is a command as a line has it.
type words struct {
	command *command
	count   int    // words, noreply not included
	noreply bool   // no reply is to come
	quiet   bool   // of a meta command
	opaque  []byte // of a meta command, and whether its reply has the key
	key     []byte
	named   bool
	data    int64 // bytes that follow; -1: none do
}

// read reads a line, and reports whether it can be a command.
func (w *words) read(line []byte) bool {
	*w = words{command: other, data: -1}
	name, rest := cutWord(line)
	if len(name) <= maxName {
		if known := commands[string(name)]; known != nil {
			w.command = known
		}
	}
	for w.count = 1; len(rest) > 0; w.count++ {
		var word []byte
		word, rest = cutWord(rest)
		if len(rest) == 0 && w.count > 0 && string(word) == "noreply" && !w.command.meta {
			w.noreply = true
			break
		}
		w.take(word)
	}
	if w.count < w.command.least || w.count > w.command.most || w.command.data > 0 && w.data < 0 {
		w.command, w.data = other, -1
	}
	return printable(line)
}

// take takes a word behind the name.
func (w *words) take(word []byte) {
	c := w.command
	switch {
	case w.count == c.data:
		if n, ok := ascii.Number(word); ok && n <= maxData {
			w.data = n
		}
	case c.meta && w.count == 1:
		w.key = word
	case c.meta && word[0] == 'q':
		w.quiet = true
	case c.meta && word[0] == 'O':
		w.opaque = word
	case c.meta && word[0] == 'k':
		w.named = true
	}
}

// cutWord returns the first word of a line, and what follows the blanks behind it.
func cutWord(line []byte) (word, rest []byte) {
	line = bytes.TrimLeft(line, " ")
	end := bytes.IndexByte(line, ' ')
	if end < 0 {
		return line, nil
	}
	return line[:end], bytes.TrimLeft(line[end:], " ")
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// command reads a line of the client.
func (p *parser) command(l *framing.Line, last *protocol.Stamp) bool {
	var w words
	if !w.read(l.Bytes) {
		return false
	}
	c := w.command
	mute := w.noreply || c.reply == replyNone
	x := p.add(c, &l.Start, mute, w.quiet)
	if x != nil {
		e := &x.Value
		appendText(e, c, l.Bytes)
		if w.quiet {
			e.token = append(e.token, w.opaque...)
			if len(w.opaque) == 0 && w.named {
				e.token = append(append(e.token, 'k'), w.key...)
			}
			if e.vague = len(e.token) == 0; e.vague {
				p.vague++
			}
		}
		if l.Cut() {
			e.capture = max(e.capture, protocol.CaptureTruncated)
			p.sink.Error(protocol.HeadTooLong)
		}
	}
	if w.data >= 0 {
		p.hushed = p.hushed || mute
		r := &p.lines[protocol.FromClient]
		r.inBody = true
		r.body.Begin(uint64(w.data)+lineEnd, 0)
		p.sending = x
		return true
	}
	if x != nil {
		p.requested(x, last)
	}
	return true
}

// appendText appends a command with its keys. All else is replaced by a question mark.
func appendText(e *exchange, c *command, line []byte) {
	e.text = append(e.text, c.text...)
	_, rest := cutWord(line)
	hidden := false
	for i := 1; len(rest) > 0 && !e.full; i++ {
		var word []byte
		word, rest = cutWord(rest)
		switch {
		case i >= c.keys.from && i < c.keys.to && !(len(rest) == 0 && string(word) == "noreply"):
			e.appendKey(word)
			hidden = false
		case !hidden:
			e.text = append(e.text, " ?"...)
			hidden = true
		}
	}
}
