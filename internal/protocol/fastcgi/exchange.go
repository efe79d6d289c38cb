package fastcgi

import (
	"net/netip"
	"unsafe"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/http"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
)

// request is one that is under way, and what is known of the response to it.
type request struct {
	message  *http.Message
	exchange protocol.ID
	role     role
	client   netip.AddrPort // who the web server has it from

	params framing.Carry
	lines  framing.Lines // of the response's head
	script []byte        // name, and then path
	// scriptEnd is how long the name is.
	scriptEnd int

	head      headState
	headBytes int
	redirect  redirect
	stderr    uint64
	app       uint32 // from END_REQUEST, as is status
	status    byte

	arrived     uint64 // time of the first byte of the response
	held        int    // bytes that are counted
	asked       bool   // BEGIN_REQUEST has been seen; otherwise the response was seen first
	described   bool   // the parameters have been read
	requested   bool   // the request is complete, or its end will not be known
	ended       bool   // END_REQUEST has been seen
	aborted     bool
	garbled     bool                      // the head of the response is none
	interleaved bool                      // others were under way when it began
	hurt        [protocol.Directions]bool // what this direction had may have been lost
}

type entry = pairing.Entry[uint16, request]

const (
	entryBytes  = int(unsafe.Sizeof(entry{}))
	maxIdleText = 2 << 10
)

// add adds a request. If there are too many, the oldest is dropped.
func (p *parser) add(id uint16) *entry {
	if p.open.Full() {
		p.evict(p.open.Oldest())
	}
	e := p.open.Add(id, 0)
	script := e.Value.script[:0]
	if cap(script) > maxIdleText {
		script = nil
	}
	m := p.memory
	e.Value = request{message: m.messages.Get(&p.session, &p.account), params: framing.NewCarry(&m.buffers), lines: framing.NewLines(&m.buffers), script: script}
	p.count(&e.Value)
	return e
}

// count brings what a request holds up to date.
func (p *parser) count(x *request) {
	held := entryBytes + x.params.Held() + x.lines.Held() + cap(x.script)
	p.held += held - x.held
	x.held = held
}

// evict drops a request to make room. Its response may come yet: it is not that to a later one with its id.
func (p *parser) evict(e *entry) {
	if e.Value.ended && e.Value.asked { // only the end of the request is missing
		p.finish(e)
		return
	}
	p.unsure = true
	if e.Value.asked {
		p.sink.Error(protocol.TooMany)
	} else {
		p.sink.Error(protocol.Unpaired)
	}
	p.drop(e)
}

func (p *parser) drop(e *entry) {
	if e.Value.asked {
		p.sink.Forget(e.Value.exchange)
	}
	p.remove(e)
}

func (p *parser) remove(e *entry) {
	x := &e.Value
	x.params.Reset()
	x.lines.Reset()
	p.held -= x.held
	p.memory.messages.Put(x.message)
	x.message = nil
	p.open.Remove(e)
}

// forEach visits all requests, which it may remove, in their order.
func (p *parser) forEach(visit func(*entry)) {
	for range p.open.Len() {
		e := p.open.Oldest()
		p.open.Renew(e, 0)
		visit(e)
	}
}

// begin begins a request whose BEGIN_REQUEST has been read. An earlier one of its id has ended.
func (p *parser) begin(s *stream) {
	e := p.open.Get(s.id)
	if e != nil && e.Value.asked {
		p.supersede(e)
		answers := &p.streams[protocol.FromServer]
		answers.stale = answers.have > 0 && (!answers.inBody() || answers.id == s.id)
		e = nil
	}
	if e != nil && e.Value.arrived < s.first.Began { // it was there before the request was sent
		p.sink.Error(protocol.Unpaired)
		p.drop(e)
		e = nil
	}
	m := p.memory
	m.begun = protocol.Request{Initiator: protocol.FromClient, Start: s.first, Interleaved: p.open.Len() > 1 || e == nil && p.open.Len() > 0}
	if e == nil {
		e = p.add(s.id)
	}
	x := &e.Value
	x.asked, x.interleaved = true, m.begun.Interleaved
	x.message.Start, x.message.End = s.first, latest(x.message.End, s.first)
	if !s.torn {
		x.role = role(s.body[0])<<8 | role(s.body[1])
	}
	x.exchange = p.sink.Begin(&m.begun)
	for d := range p.unhurt {
		p.unhurt[d] = true
	}
}

func latest(a, b protocol.Stamp) protocol.Stamp {
	if a.Time >= b.Time {
		return a
	}
	return b
}

// supersede ends a request whose id the client uses again: the end of its response has not been seen.
func (p *parser) supersede(e *entry) {
	if !e.Value.ended {
		e.Value.message.Raise(protocol.CaptureGap)
		p.endAt(&e.Value, &p.now)
	}
	p.finish(e)
}

// endAt ends an exchange whose last byte was not seen.
func (p *parser) endAt(x *request, at *protocol.Stamp) {
	position := x.message.End.Position
	x.message.End = *at
	x.message.End.Position = position
}

// describeOnce reads the parameters, which are complete, or of which no more will be known.
func (p *parser) describeOnce(x *request) {
	if x.described {
		return
	}
	x.described = true
	p.readParams(x, x.params.Bytes())
	x.params.Reset()
	p.count(x)
	x.message.Continue(p.sink, x.exchange)
}

// endRequest notes that a request is complete with a byte.
func (p *parser) endRequest(e *entry, last *protocol.Stamp) {
	x := &e.Value
	if x.requested || !x.asked {
		return
	}
	p.describeOnce(x)
	x.requested = true
	x.message.RequestEnd = *last
	x.message.EndBody(protocol.FromClient)
	if x.interleaved {
		p.sink.Requested(x.exchange, &x.message.RequestEnd)
	}
	if x.ended {
		p.finish(e)
	}
}

// endResponse notes that END_REQUEST has been read.
func (p *parser) endResponse(e *entry, s *stream, last *protocol.Stamp) {
	x := &e.Value
	x.ended = true
	x.message.End = *last
	if s.torn {
		x.message.Raise(protocol.CaptureGap)
	} else {
		x.app = uint32(s.body[0])<<24 | uint32(s.body[1])<<16 | uint32(s.body[2])<<8 | uint32(s.body[3])
		x.status = s.body[4]
	}
	switch {
	case x.status != 0:
		x.message.Failed(statusName(x.status))
	case x.garbled, !x.aborted && !x.hurt[protocol.FromServer] && x.head <= headRead: // without a whole head a web server has no response
		x.message.Garbled()
	}
	if x.head == headWhole {
		x.message.EndBody(protocol.FromServer)
	}
	if x.asked && (x.requested || x.aborted) {
		p.finish(e)
	}
}

func statusName(status byte) string {
	if int(status) < len(protocolStatuses) {
		return protocolStatuses[status]
	}
	return "_OTHER"
}

// finish hands over an exchange and removes its request.
func (p *parser) finish(e *entry) {
	x, m := &e.Value, p.memory
	p.describeOnce(x)
	out := &m.exchange
	x.message.Fill(out)
	if p.session.Side == protocol.Server && !out.Client.IsValid() {
		out.Client = x.client
	}
	p.putOwn(out, x)
	p.sink.End(x.exchange, out)
	p.remove(e)
}

// putOwn sets the attributes beside those of HTTP.
func (p *parser) putOwn(out *protocol.Exchange, x *request) {
	first := p.memory.firstKey
	if x.role > roleUnknown && int(x.role) < len(roleNames) {
		out.SetText(first+roleName, roleNames[x.role])
	}
	rules := p.memory.settings.Redaction
	to := p.memory.script[:0]
	if name := x.script[:x.scriptEnd]; len(name) > 0 {
		to = rules.AppendPath(to, name)
		out.SetText(first+scriptName, to)
	}
	if file, from := x.script[x.scriptEnd:], len(to); len(file) > 0 {
		to = rules.AppendPath(to, file)
		out.SetText(first+scriptFile, to[from:])
	}
	p.memory.script = to
	if x.app != 0 {
		out.SetInt(first+appStatus, int64(int32(x.app)))
	}
	if x.status != 0 {
		p.memory.status = append(p.memory.status[:0], statusName(x.status)...)
		out.SetText(first+protocolStatus, p.memory.status)
	}
	if x.stderr != 0 {
		out.SetInt(first+stderrSize, int64(min(x.stderr, 1<<62)))
	}
}
