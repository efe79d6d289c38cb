package fastcgi

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// call is what one call of a made conversation transfers.
type call struct {
	d     protocol.Direction
	bytes string
}

// numbered is the request with a number, as the records that it consists of, and the response that shows to which request it belongs.
func numbered(id, n int, random *rand.Rand) (request, response []string) {
	request = []string{beginOf(id, responder, 1), rec(typeParams, id, pairs("REQUEST_METHOD=GET", fmt.Sprint("REQUEST_URI=/", n))), rec(typeParams, id, "")}
	for range random.IntN(3) {
		request = append(request, rec(typeStdin, id, strings.Repeat("b", 1+random.IntN(300))))
	}
	request = append(request, rec(typeStdin, id, ""))
	response = []string{rec(typeStdout, id, fmt.Sprintf("Status: %d x\r\n\r\n", 200+n%700))}
	for range random.IntN(3) {
		response = append(response, rec(typeStdout, id, strings.Repeat("B", 1+random.IntN(300))))
	}
	return request, append(response, endOf(id, 1+n, 0)) // its status, too, says whose it is
}

// conversation makes one of a number of requests, of which up to wide are under way at a time, and cuts it at random.
func conversation(random *rand.Rand, requests, wide int) (calls []call) {
	next := 0
	var left [][2][]string // records of requests, and then those of their responses
	var ids []int
	for next < requests || len(left) > 0 {
		if len(left) < wide && next < requests && (len(left) == 0 || random.IntN(3) == 0) {
			id := 1
			for taken := true; taken; {
				taken = false
				for _, used := range ids {
					if used == id {
						id, taken = id+1, true
					}
				}
			}
			request, response := numbered(id, next, random)
			left, ids = append(left, [2][]string{request, response}), append(ids, id)
			next++
		}
		i := random.IntN(len(left))
		d := protocol.FromClient
		if len(left[i][d]) == 0 {
			d = protocol.FromServer
		}
		record := left[i][d][0]
		if left[i][d] = left[i][d][1:]; d == protocol.FromServer && len(left[i][d]) == 0 {
			left, ids = append(left[:i], left[i+1:]...), append(ids[:i], ids[i+1:]...)
		}
		if random.IntN(2) == 0 {
			at := random.IntN(len(record))
			calls = append(calls, call{d, record[:at]})
			record = record[at:]
		}
		if last := len(calls) - 1; last >= 0 && calls[last].d == d && random.IntN(2) == 0 {
			calls[last].bytes += record
		} else {
			calls = append(calls, call{d, record})
		}
	}
	return calls
}

// judge counts the exchanges with a status, and lists those that have another one's.
func judge(r *protocoltest.Recorder) (answered int, wrong []string) {
	for i := range r.Exchanges {
		x := &r.Exchanges[i]
		path, _ := x.Attributes["url.path"].(string)
		var n int64
		_, err := fmt.Sscanf(path, "/%d", &n)
		status, known := x.Attributes["http.response.status_code"].(int64)
		if known {
			answered++
		}
		app, ended := x.Attributes["socketflow.fastcgi.app_status"].(int64)
		if err == nil && (known && status != 200+n%700 || ended && app != 1+n) {
			wrong = append(wrong, brief(x))
		}
	}
	return answered, wrong
}

func TestExchangesAreTheSameHoweverTheyAreCut(t *testing.T) {
	const requests = 40
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 1))
		parser, r := newScene(serverSide)
		p := &protocoltest.Player{Parser: parser}
		for _, x := range conversation(random, requests, 1+int(seed%5)) {
			if x.bytes != "" {
				p.Data(x.d, x.bytes)
			}
		}
		complete := 0
		for i := range r.Exchanges {
			if r.Exchanges[i].Capture == protocol.CaptureComplete {
				complete++
			}
		}
		if n, wrong := judge(r); n != requests || complete != requests || len(wrong) > 0 || len(r.Open) > 0 || r.Errors != [protocol.ParseErrors]int{} || parser.Held() != 0 {
			t.Fatalf("seed %d: %d of %d have a status, %d are complete, errors %v, wrong: %s", seed, n, requests, complete, r.Errors, wrong)
		}
	}
}

// TestNoResponseIsAnotherRequests loses calls at random, and joins some conversations in the middle.
func TestNoResponseIsAnotherRequests(t *testing.T) {
	for wide := 1; wide <= 4; wide++ {
		total, found := 0, 0
		for seed := range uint64(120) {
			random := rand.New(rand.NewPCG(seed, uint64(wide)))
			calls := conversation(random, 40, wide)
			session := protocol.Session{Side: protocol.Side(seed % 2), Joined: seed%3 == 0}
			parser, r := newScene(session)
			p := &protocoltest.Player{Parser: parser}
			if session.Joined {
				calls = calls[random.IntN(len(calls)):]
			}
			var gap [protocol.Directions]uint64 // a gap is reported when the direction goes on
			for _, x := range calls {
				switch {
				case x.bytes == "":
				case random.IntN(12) == 0:
					gap[x.d] += uint64(len(x.bytes))
				default:
					if n := gap[x.d]; n > 0 {
						gap[x.d] = 0
						p.Gap(x.d, n, protocol.Lost)
					}
					// What a thread sends may be seen after what another one receives, so calls are under way for a while.
					p.Time += 1000
					at := protocol.Stamp{Time: p.Time, Began: p.Time - min(p.Time, 3500), Position: p.Position[x.d]}
					parser.Data(&protocol.Chunk{Direction: x.d, Bytes: []byte(x.bytes), Stamp: at})
					p.Position[x.d] += uint64(len(x.bytes))
				}
			}
			p.Close(0)
			n, wrong := judge(r)
			if total, found = total+40, found+n; len(wrong) > 0 || len(r.Open) > 0 || parser.Held() != 0 {
				t.Fatalf("%d at a time, seed %d: open %d, held %d, wrong:\n%s", wide, seed, len(r.Open), parser.Held(), strings.Join(wrong, "\n"))
			}
		}
		if found < total/4 {
			t.Errorf("%d at a time: only %d of %d requests have a status", wide, found, total)
		}
		t.Logf("%d at a time: %d of %d requests have a status", wide, found, total)
	}
}
