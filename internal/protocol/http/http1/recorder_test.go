package http1

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// A conversation is a list of steps. Each is a system call, at the time of its place in the list, from 1 on.
type step struct {
	direction protocol.Direction
	bytes     string
	missing   uint64 // bytes that are missing instead
	why       protocol.Loss
	ending    *protocol.Ending
}

func client(bytes string) step { return step{direction: protocol.FromClient, bytes: bytes} }
func server(bytes string) step { return step{direction: protocol.FromServer, bytes: bytes} }

func clientGap(n uint64, why protocol.Loss) step {
	return step{direction: protocol.FromClient, missing: n, why: why}
}

func serverGap(n uint64, why protocol.Loss) step {
	return step{direction: protocol.FromServer, missing: n, why: why}
}

// closes ends the conversation in good order, or with an error.
func closes(name string) step { return step{ending: &protocol.Ending{Errno: errnos[name]}} }

var errnos = map[string]uint32{"": 0, "EPIPE": 32, "ECONNRESET": 104}

func forgotten() step { return step{ending: &protocol.Ending{Unknown: true}} }
func stopped() step   { return step{ending: &protocol.Ending{Unknown: true, Cut: true}} }

// recorder records what a parser emits: "1-2 GET /path 200 truncated !ECONNRESET", and parse errors by their names.
type recorder struct {
	protocoltest.Discard
	emitted   []string
	exchanges int
	stamps    [][2]protocol.Stamp
	switched  bool
	returned  [protocol.Directions]string
	bodies    [][protocol.Directions]protocol.Size
}

var captures = [...]string{
	protocol.CaptureComplete: "", protocol.CaptureTruncated: " truncated", protocol.CaptureGap: " gap",
	protocol.CaptureJoined: " joined", protocol.CaptureCut: " cut",
}

func (r *recorder) End(_ protocol.ID, x *protocol.Exchange) {
	r.exchanges++
	r.stamps = append(r.stamps, [2]protocol.Stamp{x.Start, x.End})
	r.bodies = append(r.bodies, [protocol.Directions]protocol.Size{x.RequestBody, x.ResponseBody})
	var b strings.Builder
	fmt.Fprintf(&b, "%d-%d %s", x.Start.Time, x.End.Time, x.Name)
	for i, key := range []string{"url.path", "url.query", "http.response.status_code"} {
		if value, found := protocoltest.Attributes(x)[key]; found {
			fmt.Fprint(&b, []string{" ", "?", " "}[i], value)
		}
	}
	b.WriteString(captures[x.Capture])
	if x.Error != "" {
		b.WriteString(" !" + x.Error)
	}
	for name, errno := range errnos {
		if errno != 0 && errno == x.Errno {
			b.WriteString(" !" + name)
		}
	}
	r.emitted = append(r.emitted, b.String())
}

func (r *recorder) Error(t protocol.ParseError) { r.emitted = append(r.emitted, t.String()) }

func (r *recorder) Switch(protocol.Switch) { r.switched = true }

func (r *recorder) Return(c *protocol.Chunk) { r.returned[c.Direction] += string(c.Bytes) }

func (r *recorder) ReturnGap(d protocol.Direction, n uint64, _ protocol.Stamp, _ protocol.Loss) {
	r.returned[d] += fmt.Sprintf("<%d>", n)
}

// scene is a conversation under test.
type scene struct {
	recorder
	parser    *parser
	positions [protocol.Directions]uint64
}

var testLimits = protocol.Limits{HeadBytes: 1024, Outstanding: 8}

// start returns what makes parsers that share memory.
func start(limits protocol.Limits) func(*protocol.Session) protocol.Parser {
	p := Protocol()
	return p.Start(protocoltest.Settings(p, nil, limits))
}

func newScene(joined bool) *scene { return newSceneWith(start(testLimits), joined) }

func newSceneWith(parserOf func(*protocol.Session) protocol.Parser, joined bool) *scene {
	s := &scene{}
	s.parser = parserOf(&protocol.Session{Side: protocol.Server, Joined: joined, Sink: s}).(*parser)
	return s
}

// play gives the parser a step in pieces of at most n bytes.
func (s *scene) play(at uint64, t step, n int) {
	if s.switched { // what follows is no longer the parser's
		s.returned[t.direction] += t.bytes
		return
	}
	stamp := protocol.Stamp{Time: at, Began: at, Position: s.positions[t.direction], PID: 7}
	switch {
	case t.ending != nil:
		e := *t.ending
		e.At.Time = at
		s.parser.Close(e)
	case t.missing > 0:
		s.parser.Gap(t.direction, t.missing, stamp, t.why)
		s.positions[t.direction] += t.missing
	default:
		for b := []byte(t.bytes); len(b) > 0; {
			piece := slices.Clone(b[:min(n, len(b))])
			stamp.Position = s.positions[t.direction]
			if s.switched {
				s.returned[t.direction] += string(piece)
			} else {
				s.parser.Data(&protocol.Chunk{Direction: t.direction, Bytes: piece, Stamp: stamp})
			}
			clear(piece) // the parser may not keep it
			s.positions[t.direction] += uint64(len(piece))
			b = b[len(piece):]
		}
	}
}

const whole = 1 << 20

func (s *scene) playAll(steps []step, n int) []string {
	for i, t := range steps {
		s.play(uint64(i+1), t, n)
	}
	return s.emitted
}

type script struct {
	steps []step
	want  []string
}

func (c *script) check(t *testing.T, joined bool, pieces ...int) {
	t.Helper()
	for _, n := range pieces {
		s := newScene(joined)
		if got := s.playAll(c.steps, n); !slices.Equal(got, c.want) {
			t.Errorf("in pieces of %d:\n got %q\nwant %q", n, got, c.want)
		}
	}
}
