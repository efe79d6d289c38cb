package tls

import (
	"time"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
)

const (
	maxHello   = framing.MaxIdle // bytes that are read of a hello
	maxRecords = 256             // of both directions, after which the handshake is not followed any more
)

// parser follows the records of a connection until it is known what has become of the handshake.
type parser struct {
	sink    protocol.Sink
	facts   protocol.TLS
	begun   bool // facts have been handed over
	over    bool // nothing more can be learned
	asked   asked
	version uint16 // as the server has chosen it; 0: not known
	records int
	asking  uint64 // when the client began to send its hello, CLOCK_MONOTONIC, ns; 0: that was not seen
	now     uint64 // when the latest bytes that were read had been transferred, likewise
	ends    [protocol.Directions]end
}

// end is what a side has sent.
type end struct {
	chain
	spoken  bool // a record has begun
	awaited byte // type of the hello that is to come; 0: none
	hello   framing.Carry
	changed bool // its cipher has changed: what follows is encrypted
	// finished: with a record that shows that it is content with the other's part of the handshake.
	finished bool
}

func newParser(sink protocol.Sink, pool *framing.Pool) *parser {
	p := &parser{sink: sink}
	for d, message := range [...]byte{protocol.FromClient: clientHello, protocol.FromServer: serverHello} {
		p.ends[d].awaited, p.ends[d].hello = message, framing.NewCarry(pool)
	}
	return p
}

// Data implements protocol.Parser.
func (p *parser) Data(c *protocol.Chunk) {
	d := c.Direction
	e := &p.ends[d]
	p.now = max(p.now, c.Time)
	if d == protocol.FromClient && !e.spoken && p.asking == 0 {
		p.asking = c.Began
	}
	for b := c.Bytes; len(b) > 0 && !e.broken && !p.over; {
		var body []byte
		var began, sound bool
		body, b, began, sound = e.next(b)
		switch {
		case !sound:
			p.misread(d)
		case began:
			p.begin(d)
		case len(body) > 0:
			p.read(d, body, &c.Stamp)
		}
	}
}

// misread handles that no record begins where one has to.
func (p *parser) misread(d protocol.Direction) {
	if d == protocol.FromServer && !p.ends[d].spoken {
		p.facts.Failed = true // the server does not speak TLS
	} else {
		p.sink.Error(protocol.Malformed)
	}
	p.finish()
}

// begin looks at the header of a record, for what it shows of the handshake.
func (p *parser) begin(d protocol.Direction) {
	if p.records++; p.records > maxRecords {
		p.sink.Error(protocol.HeadTooLong)
		p.finish()
		return
	}
	e := &p.ends[d]
	e.spoken = true
	if p.version == version13 || !p.facts.Answered {
		p.begin13(d, e)
	} else {
		p.begin12(e)
	}
	p.judge()
}

// begin12 looks at a record up to TLS 1.2: behind the change of its cipher the first one of a side is the end of its handshake.
func (p *parser) begin12(e *end) {
	switch kind := e.record.kind; {
	case kind == changeCipherSpec:
		e.changed = true
	case kind == alert && e.changed:
		p.facts.Failed = true
	case kind == handshake && e.changed, kind == applicationData:
		e.finished = true
	}
}

// begin13 looks at a record of TLS 1.3, in which everything behind the hellos is application data: of the client it is the rest of the
// handshake, or an alert, or data that was sent early.
func (p *parser) begin13(d protocol.Direction, e *end) {
	switch {
	case d == protocol.FromServer || e.record.kind != applicationData || e.finished:
	case p.asked.earlyData && !p.facts.Answered:
	case isAlert(e.record.length):
		p.facts.Failed = !p.asked.earlyData // which may be as short
	default:
		e.finished = true
	}
}

// isAlert reports whether an encrypted record is as long as an alert without padding: two bytes and the type, and what the cipher adds, which
// is 16 bytes or 8 (5.2, RFC 6655). No message of a client's handshake is so short.
func isAlert(length int) bool { return length == 3+16 || length == 3+8 }

// judge ends the parsing if the handshake has.
func (p *parser) judge() {
	client, server := &p.ends[protocol.FromClient], &p.ends[protocol.FromServer]
	switch {
	case p.facts.Failed:
	case !p.facts.Answered:
		return
	case client.finished && (server.finished || p.version == version13):
		p.facts.Established = true
		if p.asked.known {
			p.facts.Handshake = time.Duration(p.now - min(p.asking, p.now))
		}
	case !client.broken && !server.broken:
		return
	}
	p.finish()
}

// read reads a part of a record's body.
func (p *parser) read(d protocol.Direction, body []byte, at *protocol.Stamp) {
	e := &p.ends[d]
	switch {
	case e.record.kind == alert && e.record.length == 2 && e.rest+len(body) == 2 && body[0] == fatal:
		p.facts.Failed = true
		p.judge()
	case e.record.kind == handshake && e.awaited != 0:
		e.hello.Add(body, maxHello, at)
		p.readHello(d, false)
	}
}

const fatal = 2 // level of an alert (6)

// readHello reads the awaited hello if it is whole, as long as it may be, or cut.
func (p *parser) readHello(d protocol.Direction, cut bool) {
	e := &p.ends[d]
	b := e.hello.Bytes()
	if len(b) < messageHeader {
		return
	}
	length := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	tooLong := messageHeader+length > maxHello && len(b) == maxHello
	whole := len(b) >= messageHeader+length
	if !whole && !tooLong && !cut && b[0] == e.awaited {
		return
	}
	if tooLong {
		p.sink.Error(protocol.HeadTooLong)
	}
	ok := b[0] == e.awaited
	e.awaited = 0
	if ok {
		ok = p.readMessage(d, b[messageHeader:min(messageHeader+length, len(b))], !whole)
	}
	e.hello.Reset()
	if !ok {
		p.sink.Error(protocol.Malformed)
		p.finish()
	}
}

// readMessage reads a hello, of which the end is missing if it is cut. It returns false if it is malformed.
func (p *parser) readMessage(d protocol.Direction, b []byte, cut bool) (ok bool) {
	facts := p.facts
	if d == protocol.FromClient {
		if p.asked, ok = readClientHello(b, cut, &facts); !ok {
			return false
		}
	} else {
		if cut {
			p.ends[d].broken = true // it says nothing for certain, and no other one follows
			p.finish()
			return true
		}
		answer, ok := readServerHello(b, &p.asked, &facts)
		if !ok {
			return false
		}
		if answer.retry {
			p.ends[protocol.FromClient].awaited, p.ends[protocol.FromServer].awaited = clientHello, serverHello
			return true
		}
		p.version = answer.version
	}
	p.facts = facts
	p.begun = true
	p.sink.Secured(&p.facts)
	p.judge()
	return true
}

// finish hands over what is known, and ends the parsing.
func (p *parser) finish() {
	if p.over {
		return
	}
	p.over = true
	p.drop()
	if p.begun {
		p.sink.Secured(&p.facts)
	}
	p.sink.Ignore()
}

func (p *parser) drop() {
	for d := range p.ends {
		p.ends[d].hello.Reset()
	}
}

// Gap implements protocol.Parser.
func (p *parser) Gap(d protocol.Direction, n uint64, _ protocol.Stamp, _ protocol.Loss) {
	e := &p.ends[d]
	within := !e.hello.Empty() || e.rest > 0 && e.record.kind == handshake
	e.miss(n)
	if e.awaited != 0 && (within || e.broken) {
		p.readHello(d, true)
		e.awaited = 0
		e.hello.Reset()
	}
	switch {
	case p.over:
	case e.awaited == 0 && d == protocol.FromServer && !p.facts.Answered: // and never will have
		p.finish()
	default:
		p.judge()
	}
}

// Close implements protocol.Parser.
func (p *parser) Close(e protocol.Ending) {
	p.drop()
	if !p.begun {
		return
	}
	// If it had been established, that would have ended the parsing.
	p.facts.Failed = !e.Unknown && !p.ends[protocol.FromClient].broken && !p.ends[protocol.FromServer].broken
	p.sink.Secured(&p.facts)
}

// Demand implements protocol.Parser.
func (p *parser) Demand(d protocol.Direction) protocol.Demand {
	switch e := &p.ends[d]; {
	case e.broken:
		return protocol.Demand{Skip: protocol.Forever}
	case p.facts.Answered:
		return e.demand()
	}
	return protocol.Demand{}
}

// Held implements protocol.Parser.
func (p *parser) Held() int {
	return p.ends[protocol.FromClient].hello.Held() + p.ends[protocol.FromServer].hello.Held()
}
