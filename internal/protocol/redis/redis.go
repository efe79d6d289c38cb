// Package redis reads RESP, the protocol of Redis and of the servers that are compatible with it.
//
// Every command is an exchange, in pipelines and transactions too. What the server sends unasked is a message of its own: what is
// published to a subscriber, or the invalidation of a cached key. After MONITOR the server sends the commands of other clients,
// and after SYNC or PSYNC its data: neither is read.
package redis

import (
	"unsafe"

	"go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
)

const name = "redis"

// The attributes, by index in keys.
const (
	systemName = iota
	operationName
	namespace
	queryText
	procedureName
	batchSize
	statusCode
)

var keys = []protocol.Key{
	systemName:    {Name: string(semconv.DBSystemNameKey), Metric: true},
	operationName: {Name: string(semconv.DBOperationNameKey), Metric: true},
	namespace:     {Name: string(semconv.DBNamespaceKey), Metric: true},
	queryText:     {Name: string(semconv.DBQueryTextKey)},
	procedureName: {Name: string(semconv.DBStoredProcedureNameKey), Metric: true},
	batchSize:     {Name: string(semconv.DBOperationBatchSizeKey), Type: protocol.Int},
	statusCode:    {Name: string(semconv.DBResponseStatusCodeKey), Metric: true},
}

// Protocol returns the protocol.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name:       name,
		Transports: protocol.Streams,
		Detect:     detect,
		Keys:       func(any) []protocol.Key { return keys },
		Start: func(s *protocol.Settings) func(*protocol.Session) protocol.Parser {
			m := &memory{keys: s.Keys, limits: s.Limits, codes: make(map[string]string)}
			return func(session *protocol.Session) protocol.Parser { return newParser(m, session) }
		},
	}
}

// memory is what the conversations of a goroutine share.
type memory struct {
	keys    *protocol.Keys
	limits  protocol.Limits
	buffers framing.Pool
	items   pairing.Pool[exchange]
	scratch
	exchange protocol.Exchange
	request  protocol.Request
	number   []byte            // texts of attributes, until the exchange has been handed over
	status   []byte            // as above
	codes    map[string]string // error codes that were seen
}

const noDatabase = -1 // which one it is is not known

// parser implements protocol.Parser.
type parser struct {
	memory   *memory
	sink     protocol.Sink
	side     protocol.Side
	order    pairing.Order[exchange]
	streams  [protocol.Directions]reader
	now      protocol.Stamp // of the bytes that are being read
	requests requests
	replies  replies

	database int64           // that commands use
	queued   int64           // that a queued SELECT has named
	ending   protocol.Ending // Close has set it
	loss     protocol.Capture
	joined   bool
	proven   bool // a reply was paired
	asked    bool // a command has begun since the replies were lost
	over     bool // nothing is read any more
	rejected bool
}

func newParser(m *memory, s *protocol.Session) *parser {
	p := &parser{memory: m}
	p.Reuse(s)
	return p
}

// Reuse implements protocol.Reusable.
func (p *parser) Reuse(s *protocol.Session) {
	m := p.memory
	*p = parser{memory: m, sink: s.Sink, side: s.Side, queued: noDatabase, joined: s.Joined}
	p.order = pairing.NewOrder[exchange](&m.items, p, s.Sink, m.limits.Outstanding, s.Joined)
	p.requests.parser, p.replies.parser = p, p
	for d := range p.streams {
		r := &p.streams[d]
		r.scratch = &m.scratch
		r.lines, r.body = framing.NewLines(&m.buffers), framing.NewBody(&m.buffers)
		r.reset()
		if s.Joined {
			r.Lose()
		}
	}
	p.streams[protocol.FromClient].limit = m.limits.HeadBytes
	if s.Joined {
		p.database, p.replies.unsure = noDatabase, true
	}
}

func (p *parser) handler(d protocol.Direction) handler {
	if d == protocol.FromClient {
		return &p.requests
	}
	return &p.replies
}

// begins reports whether a message begins where a call's bytes do, after the framing was lost.
func (p *parser) begins(d protocol.Direction, b []byte) bool {
	if d == protocol.FromClient {
		return judgeArray(b) == protocol.Certain
	}
	// A client asks again only after the reply to what it has asked before.
	return isPush(b) || p.asked && isReply(b)
}

// Data implements protocol.Parser.
func (p *parser) Data(c *protocol.Chunk) {
	if p.over {
		return
	}
	r, h := &p.streams[c.Direction], p.handler(c.Direction)
	p.now = c.Stamp
	switch {
	case c.Direction == protocol.FromServer:
		p.order.Heard(&c.Stamp)
	case !r.between():
		p.order.Sent(&c.Stamp)
	}
	if r.Lost() && p.begins(c.Direction, c.Bytes) {
		r.Found()
		if c.Direction == protocol.FromServer {
			p.replies.garbled = false
		}
	}
	for i := 0; i < len(c.Bytes) && !r.Lost() && !p.over; {
		var ok bool
		if i, ok = r.read(c, i, h); ok {
			continue
		}
		p.sink.Error(protocol.Malformed)
		switch {
		case c.Direction == protocol.FromServer && p.certain():
			p.garbled()
		case !p.proven && !p.joined:
			p.reject(c)
			return
		default:
			if c.Direction == protocol.FromClient {
				p.requests.discard()
			}
			p.lose(c.Direction, protocol.Lost)
		}
	}
	if c.Direction == protocol.FromClient && r.Lost() {
		p.order.Sent(&c.Stamp)
	}
}

// Gap implements protocol.Parser.
func (p *parser) Gap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	if p.over {
		return
	}
	r := &p.streams[d]
	p.now = at
	if d == protocol.FromServer {
		p.replies.garbled = false
		p.order.Heard(&at)
	} else {
		p.order.Sent(&at)
	}
	p.loss = max(p.loss, why.Capture())
	hidden := r.gap(n, &at, p.handler(d))
	p.loss = protocol.CaptureComplete
	if hidden > 0 && !p.over {
		p.lose(d, why)
	}
}

// lose says that the framing of a direction is not known any more.
func (p *parser) lose(d protocol.Direction, why protocol.Loss) {
	p.loss = why.Capture()
	if d == protocol.FromClient {
		p.requests.cut()
		p.order.LostRequests()
		p.database, p.queued, p.replies.unsure = noDatabase, noDatabase, true
	} else {
		p.asked = false
		p.replies.cut()
		p.order.LostResponses(why)
	}
	p.streams[d].reset()
	p.streams[d].Lose()
	p.loss = protocol.CaptureComplete
}

// certain reports whether the client speaks RESP for certain, and no loss explains what the server has sent.
func (p *parser) certain() bool { return (p.proven || p.requests.arrays) && p.order.Certain() }

// garbled says that the server has sent what is no reply: to what is outstanding there is none, until one can be read again.
func (p *parser) garbled() {
	p.replies.garbled = true
	p.lose(protocol.FromServer, protocol.Skipped)
}

// reject says that this is not RESP, because something malformed came before anything was paired.
func (p *parser) reject(c *protocol.Chunk) {
	p.rejected = true
	p.stop()
	p.sink.Reject()
	p.sink.Return(c)
}

// stop ends the reading of the conversation.
func (p *parser) stop() {
	p.over = true
	p.loss = protocol.CaptureGap
	if e := p.replies.ending; e != nil {
		p.loss = e.Capture()
	}
	p.requests.drop()
	p.replies.cut()
	p.order.End()
	for d := range p.streams {
		p.streams[d].reset()
	}
}

// Close implements protocol.Parser.
func (p *parser) Close(e protocol.Ending) {
	if p.over {
		return
	}
	p.ending = e
	p.replies.ending = &p.ending
	p.now = e.At
	p.stop()
}

// Demand implements protocol.Parser.
func (p *parser) Demand(d protocol.Direction) protocol.Demand {
	r := &p.streams[d]
	switch {
	case p.over:
		return protocol.Demand{Skip: protocol.Forever}
	case r.inBody && !r.Lost():
		return protocol.Demand{Skip: r.body.Skip()}
	}
	return protocol.Demand{}
}

const itemSize = int(unsafe.Sizeof(pairing.Item[exchange]{})) + usualText

// Held implements protocol.Parser.
func (p *parser) Held() int {
	n := p.order.Items() * itemSize
	for d := range p.streams {
		n += p.streams[d].held()
	}
	return n
}
