package postgres

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// script makes a conversation in which each statement names itself: in the table that it is about, and in the SQLSTATE of the answer. Names of
// prepared statements are used again for others.
type script struct {
	random   *rand.Rand
	n        int
	prepared [4]int // statement by name; 0: none
	sent     int    // statements that are executed
}

func (s *script) sql(n int) string { return fmt.Sprintf("SELECT a FROM t_%05d WHERE b = 'x'", n) }

func (s *script) code(n int) string { return fmt.Sprintf("%05d", n) }

// cycle returns one cycle, and its answer. Statements fail, except for those before the last in a pipeline, whose answers tell nothing.
func (s *script) cycle() (request, answer string) {
	s.n++
	k := s.random.IntN(len(s.prepared))
	name := string(rune('a' + k))
	switch s.random.IntN(5) {
	case 0:
		s.sent++
		return query(s.sql(s.n)), failure(s.code(s.n)) + idle
	case 1:
		s.sent++
		return parse("", s.sql(s.n)) + bind("", "") + describe("P", "") + execute("", 0) + sync, parseDone + bindDone + columns + failure(s.code(s.n)) + idle
	case 2:
		if s.prepared[k] == 0 {
			s.prepared[k] = s.n
			return parse(name, s.sql(s.n)) + describe("S", name) + sync, parseDone + types + columns + idle
		}
		s.prepared[k] = 0
		return closing("S", name) + sync, closeDone + idle
	case 3:
		if s.prepared[k] == 0 {
			return sync, idle
		}
		s.sent++
		return bind("", name) + execute("", 0) + sync, bindDone + row + failure(s.code(s.prepared[k])) + idle
	}
	if s.prepared[k] == 0 {
		return sync, idle
	}
	s.sent += 2
	return bind("", name) + execute("", 0) + parse("", s.sql(s.n)) + bind("", "") + execute("", 0) + sync,
		bindDone + tag("SELECT 0") + parseDone + bindDone + failure(s.code(s.n)) + idle
}

// wrong lists the exchanges whose statement is another one than that which was answered: those that do not say that they may be, and all.
func wrong(r *protocoltest.Recorder) (paired int, certain, all []string) {
	for _, x := range r.Exchanges {
		code, failed := x.Attributes["db.response.status_code"].(string)
		table, known := x.Attributes["db.collection.name"].(string)
		if !failed || !known {
			continue
		}
		if paired++; table != "t_"+code {
			all = append(all, brief(&x))
			if x.Capture < protocol.CaptureGap {
				certain = append(certain, brief(&x))
			}
		}
	}
	return paired, certain, all
}

func TestAnswersArePairedWhateverTheOrderOfTheDirections(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := script{random: random}
		parser, r := protocoltest.New(Protocol(), protocol.Session{}, protocol.Limits{HeadBytes: 4096, Outstanding: 64}, nil)
		var left [protocol.Directions]string
		for _, x := range login {
			left[x.Direction] += x.Bytes
		}
		for range 50 {
			request, answer := s.cycle()
			left[0] += request
			left[1] += answer
		}
		var position [protocol.Directions]uint64
		for at := uint64(1); left[0] != "" || left[1] != ""; at++ {
			d := protocol.Direction(random.IntN(2))
			if n := min(len(left[d]), 1+random.IntN(150)); n > 0 {
				// Each call began before anything was seen: all may have been under way at once.
				parser.Data(&protocol.Chunk{Direction: d, Bytes: []byte(left[d][:n]), Stamp: protocol.Stamp{Time: at, Position: position[d]}})
				position[d] += uint64(n)
				left[d] = left[d][n:]
			}
		}
		parser.Close(protocol.Ending{})
		_, _, mistaken := wrong(r)
		if len(r.Exchanges) != s.sent || len(mistaken) > 0 || len(r.Open) > 0 || r.Errors != [protocol.ParseErrors]int{} {
			t.Fatalf("seed %d: %d of %d statements, errors %v: %s", seed, len(r.Exchanges), s.sent, r.Errors, strings.Join(mistaken, "\n"))
		}
	}
}

func TestNoStatementIsTakenForAnotherAfterLosses(t *testing.T) {
	for _, depth := range []int{1, 4} {
		total, sent := 0, 0
		for seed := range uint64(400) {
			random := rand.New(rand.NewPCG(seed, uint64(depth)))
			s := script{random: random}
			parser, r := protocoltest.New(Protocol(), protocol.Session{Joined: seed%3 == 0}, limits, nil)
			p := &protocoltest.Player{Parser: parser}
			transfer := func(d protocol.Direction, b string) {
				switch random.IntN(50) {
				case 0, 1:
					p.Gap(d, uint64(len(b)), protocol.Lost)
				case 2: // the beginning of a call was captured
					n := 1 + random.IntN(len(b)-1)
					p.Data(d, b[:n])
					p.Gap(d, uint64(len(b)-n), protocol.Truncated)
				case 3: // and this call was lost in part
					n := 1 + random.IntN(len(b)-1)
					p.Gap(d, uint64(n), protocol.Lost)
					p.Data(d, b[n:])
				default:
					p.Data(d, b)
				}
			}
			if seed%3 != 0 {
				for _, x := range login {
					transfer(x.Direction, x.Bytes)
				}
			}
			for range 60 {
				var requests, answers []string
				for range depth {
					request, answer := s.cycle()
					requests, answers = append(requests, request), append(answers, answer)
				}
				if random.IntN(10) == 0 {
					p.Time += second
				}
				for d, all := range [][]string{requests, answers} {
					if random.IntN(2) == 0 {
						all = []string{strings.Join(all, "")}
					}
					for _, b := range all {
						transfer(protocol.Direction(d), b)
					}
				}
			}
			p.Close(0)
			paired, certain, all := wrong(r)
			total += paired
			sent += s.sent
			if len(certain) > 0 || depth > 1 && len(all) > 0 || len(r.Open) > 0 {
				t.Errorf("depth %d, seed %d: %d open, mistaken: %s; %s", depth, seed, len(r.Open), strings.Join(certain, "\n"), strings.Join(all, "\n"))
			}
			if len(all) > 0 {
				t.Logf("depth %d, seed %d: in doubt: %s", depth, seed, strings.Join(all, "\n"))
			}
		}
		t.Logf("depth %d: %d of %d statements are paired and known", depth, total, sent)
	}
}
