// Package postgres reads version 3 of PostgreSQL's protocol (https://www.postgresql.org/docs/current/protocol.html), which PgBouncer and
// databases that are compatible with PostgreSQL speak, too.
//
// Every statement of a simple query is an exchange, and so is every Execute, which begins with the Parse, Bind or Describe before it. What is
// only prepared is none, unless it fails. A notification is a message of its own. Rows, data of COPY, parameters, passwords and keys are not
// read.
package postgres

import (
	"unsafe"

	"go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/framing"
	"github.com/socketflow/socketflow/internal/protocol/pairing"
	"github.com/socketflow/socketflow/internal/sqltext"
)

const name = "postgresql"

// The attributes, by index in keys.
const (
	systemName = iota
	operationName
	collectionName
	namespace
	querySummary
	queryText
	procedureName
	batchSize
	returnedRows
	statusCode
)

var keys = []protocol.Key{
	systemName:     {Name: string(semconv.DBSystemNameKey), Metric: true},
	operationName:  {Name: string(semconv.DBOperationNameKey), Metric: true},
	collectionName: {Name: string(semconv.DBCollectionNameKey), Metric: true},
	namespace:      {Name: string(semconv.DBNamespaceKey), Metric: true},
	querySummary:   {Name: string(semconv.DBQuerySummaryKey)},
	queryText:      {Name: string(semconv.DBQueryTextKey)},
	procedureName:  {Name: string(semconv.DBStoredProcedureNameKey), Metric: true},
	batchSize:      {Name: string(semconv.DBOperationBatchSizeKey), Type: protocol.Int},
	returnedRows:   {Name: string(semconv.DBResponseReturnedRowsKey), Type: protocol.Int},
	statusCode:     {Name: string(semconv.DBResponseStatusCodeKey), Metric: true},
}

// Protocol returns the protocol.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name:       name,
		Transports: protocol.Streams,
		Detect:     detect,
		NewConfig: func() any {
			c := sqltext.DefaultConfig()
			return &c
		},
		Keys: func(any) []protocol.Key { return keys },
		Start: func(s *protocol.Settings) func(*protocol.Session) protocol.Parser {
			m := newMemory(s)
			return func(session *protocol.Session) protocol.Parser { return newParser(m, session) }
		},
	}
}

// memory is what the conversations of a goroutine share.
type memory struct {
	keys      *protocol.Keys
	limits    protocol.Limits
	reader    *sqltext.Reader
	carried   protocol.Carried // reused
	names     names
	buffers   framing.Pool
	cycles    pairing.Pool[cycle]
	exchanges []*exchange // for reuse
	exchange  protocol.Exchange
	request   protocol.Request
	text      []byte            // of attributes, until the exchange has been handed over
	codes     map[string]string // SQLSTATEs that were seen
	last      protocol.Stamp    // last byte of the message that is being read
}

func newMemory(s *protocol.Settings) *memory {
	config, ok := s.Config.(*sqltext.Config)
	if !ok {
		panic("postgres: the configuration is not one of PostgreSQL")
	}
	return &memory{
		keys: s.Keys, limits: s.Limits, reader: sqltext.NewReader(sqltext.PostgreSQL, *config), names: newNames(),
		codes: make(map[string]string),
	}
}

// parser implements protocol.Parser.
type parser struct {
	memory *memory
	sink   protocol.Sink
	side   protocol.Side
	order  pairing.Order[cycle]
	frames [protocol.Directions]framing.Prefixed
	now    protocol.Stamp // of the bytes that are being read
	requests
	replies
	prepared

	database []byte // of the connection; empty: not known
	quoting  sqltext.Quoting
	ending   *protocol.Ending
	garbage  framing.Garbage // of the client
	bulk     [protocol.Directions]bulk
	loss     protocol.Capture
	joined   bool
	proven   bool // a cycle was paired
	asked    bool // one has begun since the replies were lost
	garbled  bool // the server has sent what is no message
	over     bool // nothing is read any more
	rejected bool
}

func newParser(m *memory, s *protocol.Session) *parser {
	p := &parser{memory: m, sink: s.Sink, side: s.Side, joined: s.Joined}
	p.order = pairing.NewOrder[cycle](&m.cycles, p, s.Sink, m.limits.Outstanding, s.Joined)
	p.limit(maxPrepared)
	client, server := &p.frames[protocol.FromClient], &p.frames[protocol.FromServer]
	client.Pool, server.Pool = &m.buffers, &m.buffers
	client.Form, client.Measure, client.Credible = &startForm, p.measureStart, credibleRequest
	server.Form, server.Measure, server.Credible = &form, measureReply, p.credibleReply
	if s.Joined {
		p.typed()
		p.forget(protocol.CaptureJoined)
		client.Lose()
		server.Lose()
	}
	return p
}

// typed says that messages with a type follow from the client.
func (p *parser) typed() {
	client := &p.frames[protocol.FromClient]
	client.Form, client.Measure = &form, p.measureRequest
}

// Data implements protocol.Parser.
func (p *parser) Data(c *protocol.Chunk) {
	if p.over {
		return
	}
	f := &p.frames[c.Direction]
	p.now = c.Stamp
	switch {
	case c.Direction == protocol.FromServer:
		p.order.Heard(&c.Stamp)
	case !f.Between():
		p.order.Sent(&c.Stamp)
	}
	for rest := *c; !p.over; {
		switch f.Next(&rest) {
		case framing.Nothing:
			p.judge(c)
			return
		case framing.Whole:
			p.message(c.Direction, &f.Message)
		case framing.Invalid:
			p.malformed(c)
			return
		}
	}
}

// judge gives a conversation up in which nothing of the client has been read for long.
func (p *parser) judge(c *protocol.Chunk) {
	switch {
	case c.Direction != protocol.FromClient:
	case !p.frames[protocol.FromClient].Lost():
		p.garbage = framing.Garbage{}
	default:
		p.order.Sent(&c.Stamp)
		if p.garbage.Add(len(c.Bytes), p.proven) {
			p.stop()
			p.sink.Ignore()
		}
	}
}

func (p *parser) message(d protocol.Direction, m *framing.Prefix) {
	p.memory.last = m.Last
	p.loss = m.Loss.Capture()
	if kind := m.Header[0]; len(m.Header) == header && (kind == dataRow || kind == copyData) {
		p.bulk[d].add(len(m.Body) + int(m.Missing))
	}
	if d == protocol.FromClient {
		p.request(m)
	} else {
		p.reply(m)
	}
	p.loss = protocol.CaptureComplete
}

// malformed is called where a message begins with what cannot be one.
func (p *parser) malformed(c *protocol.Chunk) {
	p.sink.Error(protocol.Malformed)
	switch {
	case c.Direction == protocol.FromServer && p.proven && p.order.Certain():
		p.garbled = true
		p.lose(c.Direction, protocol.Skipped)
		p.garbled = false
	case !p.proven && !p.joined:
		p.rejected = true
		p.stop()
		p.sink.Reject()
		p.sink.Return(c)
	default:
		p.lose(c.Direction, protocol.Lost)
	}
}

// Gap implements protocol.Parser.
func (p *parser) Gap(d protocol.Direction, n uint64, at protocol.Stamp, why protocol.Loss) {
	if p.over {
		return
	}
	p.now = at
	if d == protocol.FromServer {
		p.order.Heard(&at)
	} else {
		p.order.Sent(&at)
	}
	f := &p.frames[d]
	behind := uint64(0)
	if rest, ok := f.Rest(); ok && rest < n {
		n, behind = rest, n-rest
	}
	if f.Gap(n, at, why) {
		p.message(d, &f.Message)
	}
	if at.Position += n; behind > 0 && !p.over && !(why == protocol.Truncated && d == protocol.FromClient && p.executesAtOnce(behind, &at)) {
		f.Gap(behind, at, why)
	}
	if f.Lost() && !p.over {
		if d == protocol.FromClient {
			p.typed()
		}
		p.lose(d, why)
	}
}

// lose says that it is not known where the messages of a direction begin.
func (p *parser) lose(d protocol.Direction, why protocol.Loss) {
	p.loss = why.Capture()
	p.frames[d].Lose()
	if d == protocol.FromClient {
		p.forget(max(p.loss, protocol.CaptureTruncated))
		p.cutRequests()
		p.order.LostRequests()
	} else {
		p.asked = false
		p.quoting = sqltext.Unknown
		p.cutReplies()
		p.order.LostResponses(why)
	}
	p.loss = protocol.CaptureComplete
}

// stop ends the reading of the conversation.
func (p *parser) stop() {
	p.over = true
	p.loss = protocol.CaptureGap
	if p.ending != nil {
		p.loss = p.ending.Capture()
	}
	p.cancelEnds()
	p.cutRequests()
	p.cutReplies()
	p.order.End()
	p.prepared.drop()
	p.database = nil
	for d := range p.frames {
		p.frames[d].Lose()
	}
}

// Close implements protocol.Parser.
func (p *parser) Close(e protocol.Ending) {
	if p.over {
		return
	}
	p.ending = &e
	p.now = e.At
	p.stop()
}

// Demand implements protocol.Parser.
func (p *parser) Demand(d protocol.Direction) protocol.Demand {
	if p.over || p.cancel != nil {
		return protocol.Demand{Skip: protocol.Forever}
	}
	f := &p.frames[d]
	demand := protocol.Demand{Skip: f.Skip()}
	if f.Form == &form && p.bulk[d].large {
		demand.Frames, demand.NextFrame = &form, protocol.UnknownFrame
		if n, ok := f.Rest(); ok {
			demand.NextFrame = n
		} else if f.Between() && !f.Lost() {
			demand.NextFrame = 0
		}
	}
	return demand
}

const cycleSize = int(unsafe.Sizeof(pairing.Item[cycle]{}))

// Held implements protocol.Parser.
func (p *parser) Held() int {
	n := p.order.Items()*cycleSize + p.outstanding*operationSize + p.held() + cap(p.database)
	for d := range p.frames {
		n += p.frames[d].Held()
	}
	return n
}
