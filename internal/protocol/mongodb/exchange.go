package mongodb

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
)

// exchange is a command, and what is known of its replies.
type exchange struct {
	command *command // nil: it is not known

	start, requestEnd, replyStart protocol.Stamp
	result                        result // of the replies so far; no end: there was none

	id         protocol.ID
	database   []byte
	collection []byte
	text       []byte
	batch      int64
	gaps       uint64 // of replies, when it began
	capture    protocol.Capture

	legacy    bool // of an early opcode, about a collection
	requested bool // the request is complete
	replied   bool // so are the replies
	mixed     bool // it is about several collections
}

type entry = pairing.Entry[uint32, exchange]

const (
	maxIdleText = 4 << 10
	maxCodes    = 1 << 10
	maxSummary  = 1 << 12
	otherError  = "_OTHER"
)

var systemValue = []byte(name)

// setDatabase notes the name of the database.
func (e *exchange) setDatabase(b []byte) {
	if b != nil {
		e.database = append(e.database[:0], toText(b)...)
	}
}

// setCollection notes the name of the collection.
func (e *exchange) setCollection(b []byte) { e.collection = append(e.collection[:0], toText(b)...) }

// list notes a namespace that a command is about. It has a collection if it is about one only.
func (e *exchange) list(b []byte) {
	database, collection, ok := bytes.Cut(b, []byte{'.'})
	switch {
	case !ok || e.mixed:
	case len(e.collection) > 0 && !(bytes.Equal(e.collection, collection) && bytes.Equal(e.database, database)):
		e.mixed = true
		e.collection, e.database = e.collection[:0], e.database[:0]
	default:
		e.setCollection(collection)
		e.setDatabase(database)
	}
}

// isListed reports whether the command names the namespaces that it is about: its own database is another then.
func (e *exchange) isListed() bool {
	return e.command != nil && e.command.bulk && (e.mixed || len(e.collection) > 0)
}

// toText makes bytes valid UTF-8.
func toText(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	return bytes.ToValidUTF8(b, []byte("\uFFFD"))
}

// ask begins the exchange of the message that is being read.
func (p *parser) ask() *entry {
	r := &p.readers[protocol.FromClient]
	p.endDoubtful()
	if earlier := p.waiting.Get(r.id); earlier != nil { // the client uses the id once more: it has stopped waiting
		if !p.doubts(earlier) {
			p.sink.Error(protocol.Unpaired)
		}
		p.unanswered(earlier)
	}
	if p.waiting.Full() {
		p.sink.Error(protocol.TooMany)
		p.forget(p.waiting.Oldest())
	}
	p.pipelines = p.pipelines || p.waiting.Len() > 0
	x := p.waiting.Add(r.id, 0)
	e := &x.Value
	*e = exchange{database: e.database[:0], collection: e.collection[:0], text: e.text[:0], start: r.first, gaps: p.gaps}
	m := p.memory
	m.request = protocol.Request{Initiator: protocol.FromClient, Start: r.first}
	e.id = p.sink.Begin(&m.request)
	return x
}

// doubts reports whether the reply to a request may be among those that were lost.
func (p *parser) doubts(x *entry) bool {
	return x.Value.gaps != p.gaps || p.readers[protocol.FromServer].lost
}

// endDoubtful ends what has been asked before replies were lost. A client that sends one command at a time goes on only after the reply.
func (p *parser) endDoubtful() {
	for x := p.waiting.Oldest(); x != nil && p.doubts(x) && !p.pipelines; x = p.waiting.Oldest() {
		p.unanswered(x)
	}
}

// asked ends a request.
func (p *parser) asked(x *entry, mute bool) {
	r, e := &p.readers[protocol.FromClient], &x.Value
	e.requestEnd, e.requested = r.last, true
	e.capture = max(e.capture, r.loss)
	p.texts += cap(e.text)
	early := p.early.Get(x.ID)
	switch {
	case mute:
		e.result.end = r.last
		p.emit(x, "", 0)
	case e.replied:
		p.emit(x, "", 0)
	case early != nil && early.Value.end.Time >= e.start.Began:
		e.replyStart = early.Value.start
		p.answer(x, &early.Value)
		p.early.Remove(early)
	}
}

// answered is the request that a reply names; nil: it is not known.
func (p *parser) answered(id uint32) *entry {
	if s := p.stream; s != nil && (s.Value.result.id == id || s.ID == id) {
		return s
	}
	if x := p.waiting.Get(id); x != nil {
		return x
	}
	if s := p.stream; s != nil && s.Value.gaps != p.gaps && p.waiting.Len() == 1 { // replies of the stream were lost
		return s
	}
	return nil
}

// replied takes a reply that is complete.
func (p *parser) replied(r *reply) {
	in := &p.readers[protocol.FromServer]
	r.end, r.capture = in.last, in.loss
	if r.answers == nil { // the request may have come meanwhile
		r.answers = p.answered(in.responseTo)
	}
	if x := r.answers; x != nil {
		p.paired = true
		if x.Value.replyStart.Time == 0 {
			x.Value.replyStart = r.start
		}
		p.answer(x, &r.result)
		return
	}
	switch {
	case p.session.Joined && !p.paired: // to what was asked before
		return
	case p.early.Full():
		p.sink.Error(protocol.Unpaired)
		p.early.Remove(p.early.Oldest())
	}
	responds := in.responseTo
	if known := p.early.Get(responds); known != nil {
		p.sink.Error(protocol.Unpaired)
		p.early.Remove(known)
	}
	p.early.Add(responds, 0).Value = r.result
}

// answer adds a reply to an exchange, and ends it if no other follows.
func (p *parser) answer(x *entry, r *result) {
	e := &x.Value
	known := &e.result
	rows, code := known.rows+r.rows, known.code
	failed, listed := known.failed || r.failed, known.listed || r.listed
	e.result = *r
	e.result.rows, e.result.failed, e.result.listed = rows, failed, listed
	if code != 0 {
		e.result.code = code
	}
	e.capture = max(e.capture, r.capture)
	if e.gaps != p.gaps && p.stream == x {
		e.capture = max(e.capture, protocol.CaptureGap)
	}
	e.gaps = p.gaps
	if r.more && !r.garbled {
		p.stream = x
		return
	}
	if p.stream == x {
		p.stream = nil
	}
	e.replied = true
	if r.garbled {
		p.emit(x, protocol.MalformedResponse, 0)
		return
	}
	if e.requested { // otherwise it is handed over at the end of the request
		p.emit(x, "", 0)
	}
}

// unanswered ends an exchange whose reply was not seen, or not the last one.
func (p *parser) unanswered(x *entry) {
	e := &x.Value
	failure, errno := "", uint32(0)
	switch {
	case p.rejected || !e.requested && e.command == nil && !e.legacy:
		p.forget(x)
		return
	case e.result.end.Time != 0 && p.ending != nil && !p.ending.Unknown && p.ending.Errno == 0:
		// A stream of replies ends with the connection.
	case p.garbled:
		failure = protocol.MalformedResponse
	case p.ending != nil && !p.ending.Unknown && !p.doubts(x):
		failure, errno = p.ending.Failure(p.session.Side), p.ending.Errno
	case p.ending != nil && p.ending.Unknown:
		e.capture = max(e.capture, p.ending.Capture())
	default:
		e.capture = max(e.capture, p.lossOfReplies, protocol.CaptureTruncated)
	}
	if e.result.end.Time == 0 || failure != "" || errno != 0 {
		position := e.result.end.Position
		e.result.end = p.now
		e.result.end.Position = position
	}
	p.emit(x, failure, errno)
}

// forget drops an exchange.
func (p *parser) forget(x *entry) {
	p.sink.Forget(x.Value.id)
	p.release(x)
}

// release takes an entry back.
func (p *parser) release(x *entry) {
	if p.stream == x {
		p.stream = nil
	}
	if p.request.entry == x {
		p.request.abandon()
	}
	if p.reply.answers == x {
		p.reply.answers = nil
	}
	e := &x.Value
	if e.requested {
		p.texts -= cap(e.text)
	}
	if cap(e.text) > maxIdleText {
		e.text = nil
	}
	p.waiting.Remove(x)
}

// emit hands over an exchange and releases it.
func (p *parser) emit(x *entry, failure string, errno uint32) {
	e, m := &x.Value, p.memory
	if p.request.entry == x { // it goes on
		e.text = p.request.text.end()
		p.request.entry = nil
	}
	out := &m.exchange
	out.Reset(m.keys)
	out.Protocol, out.Initiator, out.Name = name, protocol.FromClient, name
	out.Start, out.RequestEnd, out.ResponseStart, out.End = e.start, e.requestEnd, e.replyStart, e.result.end
	if !e.requested {
		out.RequestEnd = protocol.Stamp{}
	}
	out.Capture, out.Error, out.Errno = e.capture, failure, errno
	out.SetText(systemName, systemValue)
	p.describe(out, e)
	if e.batch > 1 { // a batch of one is none, by the conventions
		out.SetInt(batchSize, e.batch)
	}
	if e.result.listed && !e.result.failed {
		out.SetInt(returnedRows, e.result.rows)
	}
	if e.result.failed {
		code := m.code(e.result.code)
		if e.result.code != 0 {
			m.status = strconv.AppendInt(m.status[:0], int64(e.result.code), 10)
			out.SetText(statusCode, m.status)
		}
		if failure == "" && errno == 0 {
			out.Error = code
		}
	}
	p.sink.End(e.id, out)
	p.release(x)
}

// describe says what was asked.
func (p *parser) describe(out *protocol.Exchange, e *exchange) {
	if len(e.database) > 0 {
		out.SetText(namespace, e.database)
	}
	if len(e.collection) > 0 {
		out.SetText(collectionName, e.collection)
	}
	if len(e.text) > 0 {
		out.SetText(queryText, e.text)
	}
	c := e.command
	if c == nil {
		return
	}
	out.Name = c.name
	out.SetText(operationName, c.text)
	if c == other {
		return
	}
	m := p.memory
	m.summary = append(m.summary[:0], c.text...)
	if len(e.collection) > 0 {
		m.summary = append(append(m.summary, ' '), e.collection...)
	}
	out.SetText(querySummary, m.summary)
	out.Name = m.summaryOf(m.summary)
}

// summaryOf is a summary as a string.
func (m *memory) summaryOf(b []byte) string {
	if known, ok := m.summaries[string(b)]; ok {
		return known
	}
	if len(m.summaries) >= maxSummary {
		clear(m.summaries)
	}
	made := string(b)
	m.summaries[made] = made
	return made
}

// code is the text of an error's code.
func (m *memory) code(n int32) string {
	if n == 0 {
		return otherError
	}
	if known, ok := m.codes[n]; ok {
		return known
	}
	if len(m.codes) >= maxCodes {
		return otherError
	}
	made := strconv.Itoa(int(n))
	m.codes[n] = made
	return made
}
