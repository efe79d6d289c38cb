package mongodb

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// turn is a command about a collection with its number, and the reply, an error with the same number.
func numbered(random *rand.Rand, n int) (request, reply string) {
	name := fmt.Sprintf("c%d", n)
	switch random.IntN(4) {
	case 0:
		request = ask(uint32(n), str("find", name), sub("filter", str("a", secret)))
	case 1:
		request = message(opMsg, uint32(n), 0, n32(0), body(doc(str("insert", name), str("$db", "db"))), sequence("documents", doc(str("a", secret)), doc()))
	case 2:
		request = ask(uint32(n), i64("getMore", 7), str("collection", name))
	case 3:
		request = ask(uint32(n), str("update", name), array("updates", doc(sub("q", i32("a", 1)), sub("u"))))
	}
	reply = answer(uint32(n), sub("cursor", array("firstBatch", doc(str("a", secret)), doc())), num("ok", 0), i32("code", int32(n)))
	if compressor := byte(random.IntN(8)); compressor <= compressedZlib {
		request, reply = packed(compressor, request), packed(compressor, reply)
	}
	return request, reply
}

// mistaken lists the exchanges that were answered with the reply to another command.
func mistaken(r *protocoltest.Recorder) (paired int, wrong []string) {
	for i := range r.Exchanges {
		x := &r.Exchanges[i]
		code, failed := x.Attributes["db.response.status_code"].(string)
		collection, known := x.Attributes["db.collection.name"].(string)
		if !failed || !known {
			continue
		}
		if paired++; collection != "c"+code {
			wrong = append(wrong, brief(x))
		}
	}
	return paired, wrong
}

func TestAnswersArePairedWhateverTheOrderOfTheDirections(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		parser, r := protocoltest.New(Protocol(), protocol.Session{}, protocol.Limits{HeadBytes: 4096, Outstanding: 64}, nil)
		var left [protocol.Directions]string
		for n := range 14 { // as many replies as are held
			request, reply := numbered(random, n+1)
			left[0] += request
			left[1] += reply
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
		paired, wrong := mistaken(r)
		if paired != 14 || len(wrong) > 0 || len(r.Open) > 0 || r.Errors != [protocol.ParseErrors]int{} {
			t.Fatalf("seed %d: %d paired, errors %v, %v", seed, paired, r.Errors, wrong)
		}
	}
}

func TestNoCommandIsTakenForAnotherAfterLosses(t *testing.T) {
	for _, depth := range []int{1, 4} {
		total, sent := 0, 0
		for seed := range uint64(150) {
			random := rand.New(rand.NewPCG(seed, uint64(depth)))
			parser, r := protocoltest.New(Protocol(), protocol.Session{Joined: seed%3 == 0}, limits, nil)
			p := &protocoltest.Player{Parser: parser}
			transfer := func(d protocol.Direction, b string) {
				switch n := 1 + random.IntN(len(b)-1); random.IntN(40) {
				case 0:
					p.Gap(d, uint64(len(b)), protocol.Lost)
				case 1: // the beginning of a call was captured
					p.Data(d, b[:n])
					p.Gap(d, uint64(len(b)-n), protocol.Truncated)
				case 2: // and this call was lost in part
					p.Gap(d, uint64(n), protocol.Lost)
					p.Data(d, b[n:])
				case 3:
					end := n + random.IntN(len(b)-n)
					p.Data(d, b[:n])
					if end > n {
						p.Gap(d, uint64(end-n), protocol.Truncated)
					}
					p.Data(d, b[end:])
				default:
					p.Data(d, b)
				}
			}
			for n := 1; n < 120; n += depth {
				var replies []string
				for i := range depth {
					request, reply := numbered(random, n+i)
					transfer(client, request)
					replies = append(replies, reply)
					sent++
				}
				random.Shuffle(depth, func(i, j int) { replies[i], replies[j] = replies[j], replies[i] })
				for _, b := range replies {
					transfer(server, b)
				}
			}
			p.Close(0)
			paired, wrong := mistaken(r)
			if total += paired; len(wrong) > 0 || len(r.Open) > 0 || len(r.Exchanges) > 120+depth {
				t.Fatalf("depth %d, seed %d: %d exchanges, %d open, mistaken: %v", depth, seed, len(r.Exchanges), len(r.Open), wrong)
			}
			r.Ended(t, parser, secret)
		}
		if total < sent*3/4 {
			t.Errorf("depth %d: %d of %d commands are paired", depth, total, sent)
		}
		t.Logf("depth %d: %d of %d commands are paired and known", depth, total, sent)
	}
}
