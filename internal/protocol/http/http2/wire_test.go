package http2

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/http"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

const (
	last = true // END_STREAM
	more = false
)

// step is what one system call transferred; missing bytes are a gap.
type step struct {
	from    protocol.Direction
	bytes   []byte
	missing bool
	why     protocol.Loss
	over    int // further missing bytes
}

// wire builds a conversation, in the order in which the kernel saw it. It is written by another implementation than the one
// under test.
type wire struct {
	steps          []step
	client, server *end
}

// end is one end of the wire.
type end struct {
	w       *wire
	from    protocol.Direction
	out     bytes.Buffer
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
}

func newWire() *wire {
	w := &wire{}
	w.client, w.server = newEnd(w, protocol.FromClient), newEnd(w, protocol.FromServer)
	return w
}

func newEnd(w *wire, from protocol.Direction) *end {
	e := &end{w: w, from: from}
	e.framer = http2.NewFramer(&e.out, nil)
	e.framer.AllowIllegalWrites = true
	e.encoder = hpack.NewEncoder(&e.block)
	return e
}

// send makes a step of the written bytes.
func (e *end) send() {
	e.w.steps = append(e.w.steps, step{from: e.from, bytes: slices.Clone(e.out.Bytes())})
	e.out.Reset()
}

func (e *end) raw(b ...byte) {
	e.out.Write(b)
	e.send()
}

// begin is how every conversation begins.
func (w *wire) begin() {
	w.client.raw([]byte(preface)...)
	w.client.settings()
	w.server.settings()
	w.client.ack()
	w.server.ack()
}

func (e *end) settings(s ...http2.Setting) {
	e.must(e.framer.WriteSettings(s...))
}

func (e *end) ack() { e.must(e.framer.WriteSettingsAck()) }

func (e *end) must(err error) {
	if err != nil {
		panic(err)
	}
	e.send()
}

// encode returns a block of fields: name, value, name, value. Some are never indexed (RFC 7541, 6.2.3).
func (e *end) encode(fields ...string) []byte {
	e.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		field := hpack.HeaderField{Name: fields[i], Value: fields[i+1]}
		field.Sensitive = field.Name == "secret" || field.Name == "authorization"
		if err := e.encoder.WriteField(field); err != nil {
			panic(err)
		}
	}
	return slices.Clone(e.block.Bytes())
}

func (e *end) headers(id uint32, last bool, fields ...string) {
	e.must(e.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: e.encode(fields...), EndStream: last, EndHeaders: true,
	}))
}

// inPieces sends a header block as a HEADERS frame and CONTINUATION frames.
func (e *end) inPieces(id uint32, last bool, size int, fields ...string) {
	block := e.encode(fields...)
	n := min(size, len(block))
	e.must(e.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: block[:n], EndStream: last, EndHeaders: n == len(block),
	}))
	for block = block[n:]; len(block) > 0; block = block[n:] {
		n = min(size, len(block))
		e.must(e.framer.WriteContinuation(id, n == len(block), block[:n]))
	}
}

func requestFields(method, path string, fields ...string) []string {
	return append([]string{":method", method, ":scheme", "http", ":authority", "shop.test", ":path", path}, fields...)
}

func (e *end) request(id uint32, last bool, method, path string, fields ...string) {
	e.headers(id, last, requestFields(method, path, fields...)...)
}

func (e *end) get(id uint32, path string) { e.request(id, last, "GET", path) }

func (e *end) call(id uint32, path string) {
	e.request(id, more, "POST", path, "content-type", "application/grpc+proto", "te", "trailers")
}

func (e *end) response(id uint32, last bool, status string, fields ...string) {
	e.headers(id, last, append([]string{":status", status}, fields...)...)
}

func (e *end) data(id uint32, size int, last bool) {
	e.must(e.framer.WriteData(id, last, bytes.Repeat([]byte("x"), size)))
}

func (e *end) reset(id uint32, code http2.ErrCode) { e.must(e.framer.WriteRSTStream(id, code)) }

func (e *end) goAway(id uint32) { e.must(e.framer.WriteGoAway(id, 0, []byte("bye"))) }

func (e *end) ping() { e.must(e.framer.WritePing(false, [8]byte{1})) }

// swap exchanges the last two steps: they were seen in the other order.
func (w *wire) swap() {
	n := len(w.steps)
	w.steps[n-1], w.steps[n-2] = w.steps[n-2], w.steps[n-1]
}

// join makes the last two steps one.
func (w *wire) join() {
	n := len(w.steps)
	w.steps[n-2].bytes = append(w.steps[n-2].bytes, w.steps[n-1].bytes...)
	w.steps = w.steps[:n-1]
}

// lose makes the bytes from a to b of the last step a gap; b < 0: to its end.
func (w *wire) lose(why protocol.Loss, a, b int) {
	s := w.steps[len(w.steps)-1]
	w.steps = w.steps[:len(w.steps)-1]
	if b < 0 {
		b = len(s.bytes)
	}
	for _, piece := range []step{
		{from: s.from, bytes: s.bytes[:a]},
		{from: s.from, bytes: s.bytes[a:b], missing: true, why: why},
		{from: s.from, bytes: s.bytes[b:]},
	} {
		if len(piece.bytes) > 0 {
			w.steps = append(w.steps, piece)
		}
	}
}

// connectionReset is Linux's ECONNRESET.
const connectionReset = 104

// observer formats each exchange that a parser emits in a line.
type observer struct {
	protocoltest.Discard
	emitted     []string
	full        []protocol.Exchange // without attributes
	parseErrors [protocol.ParseErrors]int
}

var captureNames = [...]string{"", " truncated", " gap", " joined", " cut"}

func (o *observer) End(_ protocol.ID, x *protocol.Exchange) {
	words := []string{}
	for _, key := range []string{
		"http.request.method", "rpc.method", "url.path", "url.full", "http.response.status_code", "rpc.response.status_code",
	} {
		if value, found := protocoltest.Attributes(x)[key]; found {
			words = append(words, fmt.Sprint(value))
		}
	}
	line := strings.Join(words, " ")
	if x.Error != "" {
		line += " !" + x.Error
	}
	if x.Errno == connectionReset {
		line += " !ECONNRESET"
	}
	o.emitted = append(o.emitted, line+captureNames[x.Capture])
	full := *x
	full.AttrSet = protocol.AttrSet{}
	o.full = append(o.full, full)
}

func (o *observer) Error(t protocol.ParseError) { o.parseErrors[t]++ }

// troubled lists the parse errors in one line.
func (o *observer) troubled() string {
	var words []string
	for t, n := range o.parseErrors {
		if n > 0 {
			words = append(words, fmt.Sprint(protocol.ParseError(t), " ", n))
		}
	}
	return strings.Join(words, ", ")
}

// The time of a step is its number in milliseconds; so is that of an ending.
const (
	millisecond = 1e6
	endingTime  = 1e15
)

// replay gives a parser the steps. pieces says where one is split: it returns the length of the next piece.
func replay(p protocol.Parser, steps []step, pieces func(rest int) int) {
	y := player{parser: p}
	for _, s := range steps {
		y.play(s, pieces)
	}
}

// player replays a conversation and keeps its position.
type player struct {
	parser   protocol.Parser
	position [protocol.Directions]uint64
	number   uint64
}

func (y *player) play(s step, pieces func(rest int) int) {
	y.number++
	m := protocol.Stamp{Time: y.number * millisecond, PID: 7, Position: y.position[s.from]}
	if s.missing {
		n := uint64(len(s.bytes) + s.over)
		y.parser.Gap(s.from, n, m, s.why)
		y.position[s.from] += n
		return
	}
	for b := s.bytes; len(b) > 0; {
		n := pieces(len(b))
		m.Position = y.position[s.from]
		y.parser.Data(&protocol.Chunk{Direction: s.from, Bytes: slices.Clone(b[:n]), Stamp: m})
		y.position[s.from] += uint64(n)
		b = b[n:]
	}
}

func whole(rest int) int  { return rest }
func single(rest int) int { return min(rest, 1) }

// conversation is one under test.
type conversation struct {
	protocol.Session
	config http.Config
	limits protocol.Limits
}

func (c *conversation) parser() *parser {
	settings := protocoltest.Settings(Protocol(), &c.config, c.limits)
	return newParser(&c.Session, NewShared(settings), &http.Account{})
}

func observed(o *observer) conversation {
	return conversation{
		Session: protocol.Session{Side: protocol.Server, Sink: o}, limits: protocol.Limits{HeadBytes: 2048, Outstanding: 100},
	}
}

// observe returns what a parser emits for a conversation that is closed in good order.
func observe(c conversation, w *wire, e protocol.Ending, pieces func(int) int) *observer {
	o := c.Sink.(*observer)
	p := c.parser()
	replay(p, w.steps, pieces)
	e.At.Time = endingTime
	p.Close(e)
	return o
}

func check(t *testing.T, o *observer, want []string, parseErrors string) {
	t.Helper()
	if !slices.Equal(o.emitted, want) {
		t.Errorf("emitted\n  %s\nwant\n  %s", strings.Join(o.emitted, "\n  "), strings.Join(want, "\n  "))
	}
	if got := o.troubled(); got != parseErrors {
		t.Errorf("parseErrors %q, want %q", got, parseErrors)
	}
}
