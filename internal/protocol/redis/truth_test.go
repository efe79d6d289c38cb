package redis

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// numbered returns a command, and a reply that shows to which command it belongs.
func numbered(n int) (request, reply string) {
	n %= maxCodes
	id := string([]byte{'A' + byte(n/26), 'A' + byte(n%26)})
	return cmd("GET", id), "-" + id + " x\r\n"
}

// judge counts the exchanges that have a reply, and lists those that have another command's: those that do not say so, and all.
func judge(r *protocoltest.Recorder) (paired int, wrong, all []string) {
	for _, x := range r.Exchanges {
		code, ok := x.Attributes["db.response.status_code"].(string)
		if !ok {
			continue
		}
		paired++
		request, _ := numbered(0) // all are of the same length
		n := int(x.Start.Position) / len(request)
		if _, reply := numbered(n); !strings.HasPrefix(reply, "-"+code) {
			text := fmt.Sprintf("command %d (%s) has the reply to %s, want %s", n, brief(&x), code, reply)
			if all = append(all, text); x.Capture < protocol.CaptureGap {
				wrong = append(wrong, text)
			}
		}
	}
	return paired, wrong, all
}

func TestRepliesArePairedWhateverTheOrderOfTheDirections(t *testing.T) {
	const commands = 60
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		var left [protocol.Directions]string
		for n := range commands {
			request, reply := numbered(n)
			left[0] += request
			left[1] += reply
		}
		parser, r := protocoltest.New(Protocol(), protocol.Session{}, protocol.Limits{HeadBytes: 4096, Outstanding: 64}, nil)
		var position [protocol.Directions]uint64
		for at := uint64(1); left[0] != "" || left[1] != ""; at++ {
			d := protocol.Direction(random.IntN(2))
			n := min(len(left[d]), 1+random.IntN(100))
			if n > 0 {
				// Each call began before anything was seen: all may have been under way at once.
				parser.Data(&protocol.Chunk{Direction: d, Bytes: []byte(left[d][:n]), Stamp: protocol.Stamp{Time: at, Position: position[d]}})
				position[d] += uint64(n)
				left[d] = left[d][n:]
			}
		}
		parser.Close(protocol.Ending{})
		if n, _, wrong := judge(r); n != commands || len(wrong) > 0 || len(r.Open) > 0 || r.Errors != [protocol.ParseErrors]int{} {
			t.Fatalf("seed %d: %d of %d commands are paired, errors %v: %s", seed, n, commands, r.Errors, wrong)
		}
	}
}

func TestNoReplyIsPairedWithAnotherCommandAfterLosses(t *testing.T) {
	for _, usual := range []int{1, 5, 0} { // 0: it changes
		total, lossless := 0, 0
		var wrong []string
		for seed := range uint64(300) {
			random := rand.New(rand.NewPCG(seed, uint64(usual)))
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
			for n := 0; n < 200; {
				depth := usual
				if depth == 0 {
					depth = 1 + n/70%2*random.IntN(4)
				}
				var requests, replies []string
				for range depth {
					request, reply := numbered(n)
					requests, replies = append(requests, request), append(replies, reply)
					n++
					lossless++
				}
				if depth > 1 && random.IntN(5) == 0 {
					p.Time += second
				}
				// In one call, or in several.
				for d, all := range [][]string{requests, replies} {
					if random.IntN(2) == 0 {
						all = []string{strings.Join(all, "")}
					}
					for _, b := range all {
						transfer(protocol.Direction(d), b)
					}
				}
			}
			p.Close(0)
			paired, unsaid, mistaken := judge(r)
			total += paired
			if len(unsaid) > 0 {
				t.Errorf("seed %d: %q", seed, unsaid)
			}
			for _, x := range mistaken {
				wrong = append(wrong, fmt.Sprintf("seed %d: %s", seed, x))
			}
			if len(r.Open) > 0 {
				t.Fatalf("seed %d: %d open", seed, len(r.Open))
			}
		}
		// What must not be paired is left out; the rest must not be given up with it.
		if least := map[int]int{1: 80, 5: 25, 0: 40}[usual]; total*100 < least*lossless {
			t.Errorf("depth %d: %d of %d commands are paired, want %d %%", usual, total, lossless, least)
		}
		// Where requests are lost just when a client pipelines for the first time, it looks like one that does not.
		if usual != 0 && len(wrong) > 0 || len(wrong)*1000 > total {
			t.Errorf("depth %d:\n%s", usual, strings.Join(wrong, "\n"))
		}
		t.Logf("depth %d: %d of %d commands are paired, %d wrongly", usual, total, lossless, len(wrong))
	}
}

// TestSteadyPipelineIsInDoubtUntilASilence: a client that always has so many commands outstanding takes turns with the server.
func TestSteadyPipelineIsInDoubtUntilASilence(t *testing.T) {
	const turns, missed = 20, 5
	for name, x := range map[string]struct {
		joined bool
		before int // turns before calls are lost in which it begins to pipeline
	}{
		"older than the collector":   {true, 0},
		"begun while calls are lost": {false, turns},
	} {
		for window := 1; window <= 3; window++ {
			t.Run(fmt.Sprint(name, ", window ", window), func(t *testing.T) {
				parser, r := protocoltest.New(Protocol(), protocol.Session{Joined: x.joined}, limits, nil)
				p := &protocoltest.Player{Parser: parser}
				sent, answered := 0, 0
				do := func(turns, window int, transfer func(protocol.Direction, string)) {
					for range turns {
						for ; sent-answered < window; sent++ {
							request, _ := numbered(sent)
							transfer(protocol.FromClient, request)
						}
						_, reply := numbered(answered)
						transfer(protocol.FromServer, reply)
						answered++
					}
				}
				do(x.before, 1, p.Data)
				do(missed, window, func(d protocol.Direction, b string) {
					if n := uint64(len(b)); x.joined {
						p.Position[d] += n
					} else {
						p.Gap(d, n, protocol.Lost)
					}
				})
				do(turns, window, p.Data)
				before := len(r.Exchanges)
				if before < x.before+turns-window {
					t.Errorf("%d of %d commands are emitted", before, x.before+turns)
				}
				do(sent-answered, 0, p.Data)
				p.Time += second
				do(turns, window, p.Data)
				p.Close(0)
				if _, wrong, _ := judge(r); len(wrong) > 0 {
					t.Errorf("%q", wrong)
				}
				for i, x := range r.Exchanges[len(r.Exchanges)-turns:] {
					if x.Capture != protocol.CaptureComplete {
						t.Errorf("command %d after the silence: %s", i, brief(&x))
					}
				}
			})
		}
	}
}
