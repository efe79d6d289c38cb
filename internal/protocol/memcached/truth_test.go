package memcached

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

const different = 7 // replies

// numbered returns a command, and a reply whose values show to which command it belongs, but for one in so many. It asks for as many keys as
// are found, or for one.
func numbered(n int) (request, reply string) {
	keys := fmt.Sprintf("k%05d%s", n, strings.Repeat(" k", max(n%different-1, 0)))
	return fmt.Sprintf("get %-*s\r\n", len("k00000")+2*different, keys), strings.Repeat("VALUE k 0 5\r\nEND\r\n\r\n", n%different) + "END\r\n"
}

// judge counts the exchanges that have a reply, and lists those that have another command's without saying so.
func judge(r *protocoltest.Recorder) (paired int, wrong []string) {
	request, _ := numbered(0) // all are of the same length
	for _, x := range r.Exchanges {
		rows, ok := x.Attributes["db.response.returned_rows"].(int64)
		if !ok {
			continue
		}
		paired++
		if n := int(x.Start.Position) / len(request); rows != int64(n%different) && x.Capture < protocol.CaptureGap {
			wrong = append(wrong, fmt.Sprintf("command %d: %s", n, brief(&x)))
		}
	}
	return paired, wrong
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
		if n, wrong := judge(r); n != commands || len(wrong) > 0 || len(r.Open) > 0 || r.Errors != [protocol.ParseErrors]int{} {
			t.Fatalf("seed %d: %d of %d commands are paired, errors %v: %s", seed, n, commands, r.Errors, wrong)
		}
	}
}

func TestNoReplyIsPairedWithAnotherCommandAfterLosses(t *testing.T) {
	for _, depth := range []int{1, 5} {
		total, all := 0, 0
		for seed := range uint64(300) {
			random := rand.New(rand.NewPCG(seed, uint64(depth)))
			parser, r := protocoltest.New(Protocol(), protocol.Session{Joined: seed%3 == 0}, limits, nil)
			p := &protocoltest.Player{Parser: parser}
			transfer := func(d protocol.Direction, b string) {
				n := 1 + random.IntN(len(b)-1)
				switch random.IntN(50) {
				case 0, 1:
					p.Gap(d, uint64(len(b)), protocol.Lost)
				case 2: // the beginning of a call was captured
					p.Data(d, b[:n])
					p.Gap(d, uint64(len(b)-n), protocol.Truncated)
				case 3:
					p.Gap(d, uint64(n), protocol.Lost)
					p.Data(d, b[n:])
				default:
					p.Data(d, b)
				}
			}
			for n := 0; n < 200; {
				var requests, replies string
				for range depth {
					request, reply := numbered(n)
					requests, replies = requests+request, replies+reply
					n, all = n+1, all+1
				}
				if depth > 1 && random.IntN(5) == 0 {
					p.Time += second
				}
				transfer(protocol.FromClient, requests)
				transfer(protocol.FromServer, replies)
			}
			p.Close(0)
			paired, wrong := judge(r)
			if total += paired; len(wrong) > 0 || len(r.Open) > 0 {
				t.Errorf("seed %d: %q, %d open", seed, wrong, len(r.Open))
			}
		}
		if least := map[int]int{1: 80, 5: 20}[depth]; total*100 < least*all {
			t.Errorf("depth %d: %d of %d commands are paired, want %d %%", depth, total, all, least)
		}
	}
}
