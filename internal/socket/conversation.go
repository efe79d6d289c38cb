package socket

import (
	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
)

// Bounds of what is kept and asked for of a conversation.
const (
	// recognitionBytes of a direction are kept at most while its protocol is not known.
	recognitionBytes = 4096
	// recognitionChunks is how many beginnings of transfers are looked at, where the first one of the connection was
	// not seen, before the conversation is given up.
	recognitionChunks = 32
	// worthSkipping is how many bytes the kernel has to save before it is told that they are not needed.
	worthSkipping = 8 << 10
)

// conversation is what a connection's data says, as far as it is understood. It takes the bytes of system calls, puts them
// in order, finds the protocol they speak, and has its parser tell exchanges.
type conversation struct {
	table      *Table
	connection *connection
	parser     protocol.Parser // nil: not recognised yet, or given up
	protocol   int             // its index in Options.Protocols
	mute       bool            // given up: nothing is wanted any more
	joined     bool            // its beginning was not seen
	looked     int             // chunks that no protocol recognised
	streams    [event.Directions]stream
	kept       []keptChunk // before the protocol is known
	wanted     event.Want  // what the kernel was told last

	chunk protocol.Chunk // reused
}

// stream is one direction.
type stream struct {
	next      uint64             // position behind what was taken in
	direction protocol.Direction // once the protocol is known
	kept      int                // bytes in conversation.kept
}

// keptChunk is a chunk that waits for the protocol to be known.
type keptChunk struct {
	direction event.Direction
	bytes     []byte
	missing   uint64 // bytes behind them that were not captured
	why       protocol.Loss
	mark      protocol.Mark
}

// data takes in one call's bytes.
func (v *conversation) data(e *event.Event) {
	d := &e.Data
	stats := v.table.stats
	stats.Payload.Add(uint64(len(d.Payload)))
	if v.mute {
		v.table.want(v) // another socket has taken the slot
		return
	}
	s := &v.streams[d.Direction]
	mark := protocol.Mark{
		Time: e.Time, Position: d.Position, PID: e.Owner.PID, TID: d.TID, Start: e.Owner.Start, Word: d.Word,
	}
	payload, skipped, length := d.Payload, uint64(d.Skipped), uint64(d.Length)
	if d.Position < s.next {
		// Two threads used this direction at once, so that it cannot be known whose bytes came first.
		again := min(s.next-d.Position, length)
		stats.Overlapping.Add(again)
		length -= again
		if again <= skipped {
			skipped -= again
		} else {
			payload = payload[min(again-skipped, uint64(len(payload))):]
			skipped = 0
		}
		mark.Position = s.next
		if length == 0 {
			return
		}
	}
	if ahead := mark.Position - s.next; ahead > 0 {
		v.lose(d.Direction, ahead, gapTime(d.Silent, e.Time), lossOf(d.Missed))
	}
	if skipped > 0 {
		v.countMissing(skipped, protocol.Skipped)
		v.gap(d.Direction, skipped, mark, protocol.Skipped)
		mark.Position += skipped
	}
	missing := length - skipped - uint64(len(payload))
	why := lossOf(d.Missing)
	if v.parser == nil && !v.mute {
		v.recognise(d.Direction, payload, mark, missing, why)
		return
	}
	v.take(d.Direction, payload, mark)
	if missing > 0 {
		mark.Position += uint64(len(payload))
		v.countMissing(missing, why)
		v.gap(d.Direction, missing, mark, why)
	}
	v.adjust()
}

// take hands bytes to the parser.
func (v *conversation) take(d event.Direction, payload []byte, mark protocol.Mark) {
	s := &v.streams[d]
	s.next = mark.Position + uint64(len(payload))
	if v.parser == nil || len(payload) == 0 {
		return
	}
	v.chunk = protocol.Chunk{Direction: s.direction, Bytes: payload, Mark: mark}
	v.parser.Data(&v.chunk)
	v.chunk.Bytes = nil
}

// lose accounts for n bytes that follow and that the kernel did not tell of. The parser did not need those before
// Want.Until; of the others missed says why.
func (v *conversation) lose(d event.Direction, n, time uint64, why protocol.Loss) {
	s := &v.streams[d]
	mark := protocol.Mark{Time: time, Position: s.next}
	if until := v.wanted.Until[d]; until > s.next {
		skipped := min(until-s.next, n)
		v.countMissing(skipped, protocol.Skipped)
		v.gap(d, skipped, mark, protocol.Skipped)
		mark.Position += skipped
		n -= skipped
	}
	if n > 0 {
		v.countMissing(n, why)
		v.gap(d, n, mark, why)
	}
}

func (v *conversation) gap(d event.Direction, n uint64, mark protocol.Mark, why protocol.Loss) {
	s := &v.streams[d]
	s.next = mark.Position + n
	if v.parser != nil {
		v.parser.Gap(s.direction, n, mark, why)
	} else if why != protocol.Skipped {
		v.joined = true // what follows may be the middle of anything
		v.dropKept()
	}
}

func (v *conversation) countMissing(n uint64, why protocol.Loss) {
	switch why {
	case protocol.Skipped:
		v.table.stats.Skipped.Add(n)
	case protocol.Truncated:
		v.table.stats.Truncated.Add(n)
	case protocol.Lost:
		v.table.stats.Lost.Add(n)
	}
}

// lossOf is the gravest of the kernel's reasons. Without a reason the kernel does not know of the bytes itself: they were
// transferred in a way that the hooks do not see.
func lossOf(m event.Missing) protocol.Loss {
	if m == 0 || m&event.MissingRingFull != 0 {
		return protocol.Lost
	}
	return protocol.Truncated
}

func gapTime(silent, now uint64) uint64 {
	if silent != 0 {
		return silent
	}
	return now
}

// recognise looks at the beginning of a transfer.
func (v *conversation) recognise(d event.Direction, payload []byte, mark protocol.Mark, missing uint64, why protocol.Loss) {
	s := &v.streams[d]
	s.next = mark.Position + uint64(len(payload)) + missing
	if len(payload) == 0 {
		v.countMissing(missing, why)
		v.joined = true
		v.dropKept()
		return
	}
	first := !v.joined && mark.Position == uint64(s.kept)
	bytes := payload
	if s.kept > 0 {
		bytes = v.keptBytes(d, payload)
	}
	switch verdict := v.judge(d, bytes, first); {
	case verdict == protocol.Yes:
		v.keep(d, payload, mark, missing, why)
		v.begin()
	case verdict == protocol.Maybe && s.kept+len(payload) <= recognitionBytes:
		v.keep(d, payload, mark, missing, why)
	case verdict == protocol.Maybe || !v.joined:
		v.giveUp()
	default:
		v.countMissing(missing, why)
		v.dropKept()
		if v.looked++; v.looked >= recognitionChunks {
			v.giveUp()
		}
	}
}

// judge asks the protocols. Where the role is not known, both are tried, and the bytes decide.
func (v *conversation) judge(d event.Direction, bytes []byte, first bool) protocol.Verdict {
	maybe := protocol.No
	for _, role := range rolesOf(v.connection.flow.Role) {
		for i := range v.table.opts.Protocols {
			switch v.table.opts.Protocols[i].Detect(directionOf(d, role), bytes, first) {
			case protocol.Yes:
				v.protocol = i
				v.streams[event.Sent].direction = directionOf(event.Sent, role)
				v.streams[event.Received].direction = directionOf(event.Received, role)
				return protocol.Yes
			case protocol.Maybe:
				maybe = protocol.Maybe
			}
		}
	}
	return maybe
}

var (
	onlyClient = []event.Role{event.RoleClient}
	onlyServer = []event.Role{event.RoleServer}
	eitherRole = []event.Role{event.RoleClient, event.RoleServer}
)

func rolesOf(r event.Role) []event.Role {
	switch r {
	case event.RoleClient:
		return onlyClient
	case event.RoleServer:
		return onlyServer
	default:
		return eitherRole
	}
}

func directionOf(d event.Direction, r event.Role) protocol.Direction {
	if (d == event.Sent) == (r == event.RoleClient) {
		return protocol.FromClient
	}
	return protocol.FromServer
}

func (v *conversation) keep(d event.Direction, payload []byte, mark protocol.Mark, missing uint64, why protocol.Loss) {
	v.kept = append(v.kept, keptChunk{d, append([]byte(nil), payload...), missing, why, mark})
	v.streams[d].kept += len(payload)
}

func (v *conversation) keptBytes(d event.Direction, more []byte) []byte {
	out := make([]byte, 0, v.streams[d].kept+len(more))
	for _, k := range v.kept {
		if k.direction == d {
			out = append(out, k.bytes...)
		}
	}
	return append(out, more...)
}

func (v *conversation) dropKept() {
	for i := range v.kept {
		v.countMissing(v.kept[i].missing, v.kept[i].why)
	}
	v.kept = nil
	for d := range v.streams {
		v.streams[d].kept = 0
	}
}

// begin makes the parser of the protocol that was recognised, and hands it what was kept.
func (v *conversation) begin() {
	c := v.connection
	side := protocol.Server
	role := event.RoleServer
	if v.streams[event.Sent].direction == protocol.FromClient {
		side, role = protocol.Client, event.RoleClient
	}
	if c.flow.Role == event.RoleUnknown {
		c.flow.Role, c.flow.RoleSource = role, event.RoleSourceProtocol
	}
	v.parser = v.table.opts.Protocols[v.protocol].New(protocol.Conversation{
		Side: side, Local: c.flow.Local, Remote: c.flow.Remote, Joined: v.joined, Sink: v,
		Settings: &v.table.opts.Settings,
	})
	v.table.stats.Recognised.Add(1)
	v.wanted = event.Want{Run: v.table.opts.PayloadRun}
	for d := range v.wanted.Limit {
		v.wanted.Limit[d] = v.table.opts.PayloadLimit
	}
	v.table.want(v)
	kept := v.kept
	v.dropKept() // what is missing of it is counted there
	for i := range kept {
		k := &kept[i]
		v.take(k.direction, k.bytes, k.mark)
		if k.missing > 0 {
			k.mark.Position += uint64(len(k.bytes))
			v.gap(k.direction, k.missing, k.mark, k.why)
		}
	}
	v.adjust()
}

// giveUp has the kernel tell nothing more of the data.
func (v *conversation) giveUp() {
	v.dropKept()
	v.mute = true
	v.wanted.Until = [event.Directions]uint64{event.Never, event.Never}
	v.table.want(v)
	v.table.stats.Unrecognised.Add(1)
}

// adjust tells the kernel which bytes need not be captured.
func (v *conversation) adjust() {
	changed := false
	for d := range v.streams {
		s := &v.streams[d]
		limit := v.table.opts.PayloadLimit
		if enough := v.parser.Enough(s.direction); enough > 0 {
			limit = min(limit, uint32(enough))
		}
		if limit != v.wanted.Limit[d] {
			v.wanted.Limit[d] = limit
			changed = true
		}
		skip := v.parser.Skip(s.direction)
		if skip < worthSkipping {
			continue
		}
		until := uint64(event.Never - 1) // still, the time of the last byte is
		if skip < until-s.next {
			until = s.next + skip
		}
		if until != v.wanted.Until[d] {
			v.wanted.Until[d] = until
			changed = true
		}
	}
	if changed {
		v.table.want(v)
	}
}

// end is the end of both directions. What has been transferred since the kernel last told of data shows in the positions.
func (v *conversation) end(e *event.Ending, at uint64, errno uint32) {
	if v.mute {
		return
	}
	for d := range v.streams {
		s := &v.streams[d]
		if ahead := e.Position[d] - min(s.next, e.Position[d]); ahead > 0 {
			v.lose(event.Direction(d), ahead, gapTime(e.Silent[d], at), protocol.Lost)
		}
	}
	v.dropKept()
	if v.parser != nil {
		v.parser.Close(protocol.Ending{At: protocol.Mark{Time: at}, Errno: errno})
		v.parser = nil
	}
}

// abandon ends a conversation that is not followed any more.
func (v *conversation) abandon(at uint64) {
	if v.parser != nil {
		v.parser.Close(protocol.Ending{At: protocol.Mark{Time: at}, Unknown: true})
		v.parser = nil
	}
	v.dropKept()
}

// Exchanged tells of an exchange; part of protocol.Sink.
func (v *conversation) Exchanged(x *protocol.Exchange) {
	t, c := v.table, v.connection
	c.exchanges++
	t.stats.Exchanges[v.protocol].Add(1)
	t.fill(c)
	if x.Start.PID != 0 && x.Start.PID != c.owner.PID {
		t.out.Process = t.owner(process.ID{PID: x.Start.PID, Start: x.Start.Start})
	}
	start := t.clock.Unix(x.Start.Time)
	t.sink.Exchanged(&t.out, x, start, start+int64(max(x.End.Time, x.Start.Time)-x.Start.Time))
}

// Troubled counts; part of protocol.Sink.
func (v *conversation) Troubled(trouble protocol.Trouble) {
	if trouble < protocol.Troubles {
		v.table.stats.Troubles[trouble].Add(1)
	}
}
