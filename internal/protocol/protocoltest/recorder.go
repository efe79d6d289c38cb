// Package protocoltest plays conversations to parsers and records what they find.
package protocoltest

import (
	"fmt"
	"slices"

	"github.com/socketflow/socketflow/internal/protocol"
)

// Exchange is a copy of an exchange that a parser has handed over.
type Exchange struct {
	protocol.Exchange
	ID         protocol.ID
	Attributes map[string]any // by name: string, int64 or []string
}

// Recorder is a Sink that keeps everything. It panics if a parser breaks the rules of Sink.
type Recorder struct {
	Exchanges []Exchange
	Errors    [protocol.ParseErrors]int
	Open      map[protocol.ID]protocol.Request // begun, and neither ended nor forgotten
	Requests  map[protocol.ID]protocol.Stamp   // the last bytes of interleaved ones
	Carried   map[protocol.ID]protocol.Carried // also by those that have ended
	Switched  *protocol.Switch                 // nil: the parser has not switched
	Rejected  bool
	Returned  [protocol.Directions][]byte // after the switch; a gap is written as <n>
	Named     []protocol.Resolution       // copies
	TLS       *protocol.TLS               // a copy of the last; nil: none
	Ignored   bool                        // the rest cannot be read

	last protocol.ID
}

var _ protocol.Sink = (*Recorder)(nil)

// Begin implements protocol.Sink.
func (r *Recorder) Begin(x *protocol.Request) protocol.ID {
	if r.Open == nil {
		r.Open = make(map[protocol.ID]protocol.Request)
	}
	r.last++
	r.Open[r.last] = *x
	return r.last
}

// Continue implements protocol.Sink.
func (r *Recorder) Continue(id protocol.ID, c *protocol.Carried) {
	if _, open := r.Open[id]; !open {
		panic(fmt.Sprintf("exchange %d carries %+v without having begun", id, c))
	}
	if r.Carried == nil {
		r.Carried = make(map[protocol.ID]protocol.Carried)
	}
	r.Carried[id] = *c
}

// Requested implements protocol.Sink.
func (r *Recorder) Requested(id protocol.ID, last *protocol.Stamp) {
	begun, open := r.Open[id]
	if _, ended := r.Requests[id]; !open || !begun.Interleaved || ended {
		panic(fmt.Sprintf("the request of exchange %d ends with %+v: it has begun: %t, interleaved: %t, has ended: %t", id, last, open, begun.Interleaved, ended))
	}
	if r.Requests == nil {
		r.Requests = make(map[protocol.ID]protocol.Stamp)
	}
	r.Requests[id] = *last
}

// End implements protocol.Sink.
func (r *Recorder) End(id protocol.ID, x *protocol.Exchange) {
	begun, open := r.Open[id]
	if !open {
		panic(fmt.Sprintf("exchange %d ends without having begun", id))
	}
	if begun.Kind != x.Kind || begun.Initiator != x.Initiator {
		panic(fmt.Sprintf("exchange %d has begun as %+v and ends as %+v", id, begun, x))
	}
	r.Forget(id)
	r.add(id, x)
}

// Forget implements protocol.Sink.
func (r *Recorder) Forget(id protocol.ID) {
	if _, open := r.Open[id]; !open {
		panic(fmt.Sprintf("exchange %d is forgotten without having begun", id))
	}
	delete(r.Open, id)
}

// Single implements protocol.Sink.
func (r *Recorder) Single(x *protocol.Exchange) {
	r.last++
	r.add(r.last, x)
}

func (r *Recorder) add(id protocol.ID, x *protocol.Exchange) {
	if x.End.Time < x.Start.Began {
		panic(fmt.Sprintf("%s ends before it begins", x.Name))
	}
	kept := Exchange{Exchange: *x, ID: id, Attributes: Attributes(x)}
	kept.AttrSet = protocol.AttrSet{Keys: x.Keys, Mask: x.Mask}
	kept.Links = slices.Clone(x.Links)
	r.Exchanges = append(r.Exchanges, kept)
}

// Error implements protocol.Sink.
func (r *Recorder) Error(e protocol.ParseError) { r.Errors[e]++ }

// Resolved implements protocol.Sink.
func (r *Recorder) Resolved(n *protocol.Resolution) {
	kept := *n
	kept.Name, kept.Addresses = slices.Clone(n.Name), slices.Clone(n.Addresses)
	r.Named = append(r.Named, kept)
}

// Secured implements protocol.Sink.
func (r *Recorder) Secured(t *protocol.TLS) {
	kept := *t
	kept.Offered = slices.Clone(t.Offered)
	r.TLS = &kept
}

// Ignore implements protocol.Sink.
func (r *Recorder) Ignore() { r.Ignored = true }

// Switch implements protocol.Sink.
func (r *Recorder) Switch(s protocol.Switch) { r.Switched = &s }

// Reject implements protocol.Sink.
func (r *Recorder) Reject() { r.Rejected = true }

// Return implements protocol.Sink.
func (r *Recorder) Return(c *protocol.Chunk) {
	if r.Switched == nil && !r.Rejected {
		panic("bytes are returned before there is a switch")
	}
	r.Returned[c.Direction] = append(r.Returned[c.Direction], c.Bytes...)
}

// ReturnGap implements protocol.Sink.
func (r *Recorder) ReturnGap(d protocol.Direction, n uint64, _ protocol.Stamp, _ protocol.Loss) {
	r.Returned[d] = fmt.Appendf(r.Returned[d], "<%d>", n)
}

// New returns a parser of a protocol with its default configuration, unless change alters it, and what records it.
func New(p protocol.Protocol, session protocol.Session, limits protocol.Limits, change func(config any)) (protocol.Parser, *Recorder) {
	var config any
	if p.NewConfig != nil {
		config = p.NewConfig()
	}
	if change != nil {
		change(config)
	}
	r := &Recorder{}
	session.Sink = r
	return p.Start(Settings(p, config, limits))(&session), r
}

// Player feeds a parser, and keeps positions and time. Every call is a microsecond after the one before.
type Player struct {
	Parser   protocol.Parser
	Time     uint64 // of the last call
	Position [protocol.Directions]uint64
	Thread   uint32 // that makes the calls
}

func (p *Player) stamp(d protocol.Direction) protocol.Stamp {
	p.Time += 1000
	return protocol.Stamp{Time: p.Time, Began: p.Time, Position: p.Position[d], PID: 1, TID: max(p.Thread, 1), Start: 7}
}

// Data transfers bytes in one call.
func (p *Player) Data(d protocol.Direction, bytes string) {
	c := protocol.Chunk{Direction: d, Bytes: []byte(bytes), Stamp: p.stamp(d)}
	p.Parser.Data(&c)
	for i := range c.Bytes { // a parser that keeps the slice is found out
		c.Bytes[i] = 0xee
	}
	p.Position[d] += uint64(len(bytes))
}

// Pieces transfers bytes in calls of n bytes each.
func (p *Player) Pieces(d protocol.Direction, bytes string, n int) {
	for len(bytes) > n {
		p.Data(d, bytes[:n])
		bytes = bytes[n:]
	}
	p.Data(d, bytes)
}

// Gap transfers n bytes that are missing.
func (p *Player) Gap(d protocol.Direction, n uint64, why protocol.Loss) {
	p.Parser.Gap(d, n, p.stamp(d), why)
	p.Position[d] += n
}

// Close ends the conversation.
func (p *Player) Close(errno uint32) {
	p.Parser.Close(protocol.Ending{At: p.stamp(protocol.FromClient), Errno: errno})
}
