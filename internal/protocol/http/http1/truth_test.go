package http1

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

// call is a system call of a generated conversation, and the part of it that was captured.
type call struct {
	step
	lost     bool
	captured int // bytes
}

// converse generates a conversation of n exchanges, in the order in which a client with that window makes it. The status of
// a response identifies its exchange.
func converse(r *rand.Rand, n, window int) (calls []call) {
	add := func(d protocol.Direction, text string) {
		for len(text) > 0 {
			size := len(text)
			if r.IntN(4) == 0 {
				size = 1 + r.IntN(size)
			}
			calls = append(calls, call{step: step{direction: d, bytes: text[:size]}, captured: size})
			text = text[size:]
		}
	}
	body := func(head string) string {
		b := strings.Repeat("b", r.IntN(60))
		switch r.IntN(3) {
		case 0:
			return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(b), b)
		case 1:
			return fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n3\r\nbbb\r\n%x\r\n%sb\r\n0\r\n\r\n", head, len(b)+1, b)
		}
		return fmt.Sprintf("%sContent-Length: 0\r\n\r\n", head)
	}
	sent, answered := 0, 0
	for answered < n {
		if sent < n && sent-answered < window && (sent == answered || sent < window || r.IntN(2) == 0) {
			add(protocol.FromClient, body(fmt.Sprintf("POST /%d HTTP/1.1\r\n", sent)))
			sent++
			continue
		}
		if r.IntN(8) == 0 {
			add(protocol.FromServer, "HTTP/1.1 103 Early Hints\r\n\r\n")
		}
		add(protocol.FromServer, body(fmt.Sprintf("HTTP/1.1 %d X\r\n", statusOf(answered))))
		answered++
	}
	return calls
}

func statusOf(exchange int) int { return 400 + exchange }

// perform gives a parser the captured part of the calls, as the socket table does: a gap shows when the next call of its
// direction is seen, or at the end.
func (s *scene) perform(calls []call) {
	var unseen [protocol.Directions]uint64
	for i, c := range calls {
		d, at := c.direction, uint64(i+1)
		if c.lost {
			unseen[d] += uint64(len(c.bytes))
			continue
		}
		if unseen[d] > 0 {
			s.play(at, step{direction: d, missing: unseen[d], why: protocol.Lost}, 0)
			unseen[d] = 0
		}
		s.play(at, step{direction: d, bytes: c.bytes[:c.captured]}, whole)
		if rest := len(c.bytes) - c.captured; rest > 0 {
			s.play(at, step{direction: d, missing: uint64(rest), why: protocol.Truncated}, 0)
		}
	}
	for d, n := range unseen {
		if n > 0 {
			s.play(uint64(len(calls)), step{direction: protocol.Direction(d), missing: n, why: protocol.Lost}, 0)
		}
	}
	s.play(uint64(len(calls)+1), closes(""), 0)
}

// Whatever is lost, bursts of calls or the bytes beyond a capture limit: no exchange is emitted with the response to
// another request, or as failed, and none twice. Where a client may have begun to pipeline unseen, none is without saying so.
func TestExchangesOfLossyConversationsAreTrue(t *testing.T) {
	const exchanges = 60
	for name, test := range map[string]struct {
		window int
		joined bool
		lose   func(r *rand.Rand, calls []call)
		least  int // percentage of the exchanges that have to be emitted with their status
	}{
		"nothing":                            {1, false, func(*rand.Rand, []call) {}, 100},
		"nothing, pipelining":                {4, false, func(*rand.Rand, []call) {}, 100},
		"nothing, seen out of order":         {1, false, swap, 100},
		"nothing, pipelining, out of order":  {4, false, swap, 100},
		"the beginning":                      {1, true, func(r *rand.Rand, calls []call) { burst(calls, 0, r.IntN(20)) }, 80},
		"a burst":                            {1, false, oneBurst, 70},
		"a burst, pipelining":                {4, false, oneBurst, 0},
		"a burst, joined in the middle":      {1, true, oneBurst, 70},
		"what is behind a bound":             {1, false, cut, 60},
		"what is behind a bound, pipelining": {4, false, cut, 0},
		"bursts and what is behind a bound":  {1, false, func(r *rand.Rand, calls []call) { oneBurst(r, calls); cut(r, calls) }, 40},
		"the beginning, pipelining":          {4, true, func(r *rand.Rand, calls []call) { burst(calls, 0, shown+r.IntN(20)) }, 1},
		"the beginning of the pipelining":    {4, false, func(r *rand.Rand, calls []call) { burst(calls, 0, shown+r.IntN(20)) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			emitted := 0
			const rounds = 200
			for seed := range uint64(rounds) {
				r := rand.New(rand.NewPCG(seed, 7))
				calls := converse(r, exchanges, test.window)
				test.lose(r, calls)
				s := newScene(test.joined)
				s.perform(calls)
				emitted += s.checkTruth(t, exchanges, strings.HasPrefix(name, "the beginning") && test.window > 1)
				if t.Failed() {
					t.Fatalf("seed %d: %q", seed, s.emitted)
				}
			}
			if emitted < rounds*exchanges*test.least/100 {
				t.Errorf("only %d of %d exchanges were emitted with their status", emitted, rounds*exchanges)
			}
			t.Logf("%.1f%% of the exchanges were emitted with their status", 100*float64(emitted)/(rounds*exchanges))
		})
	}
}

func burst(calls []call, from, n int) {
	for i := from; i < min(from+n, len(calls)); i++ {
		calls[i].lost = true
	}
}

// A client that pipelines has to have shown it before the loss.
const shown = 20

func oneBurst(r *rand.Rand, calls []call) { burst(calls, shown+r.IntN(len(calls)-shown), 1+r.IntN(12)) }

// cut captures only the beginnings of some calls, but enough for the parser to find messages again.
func cut(r *rand.Rand, calls []call) {
	for i := shown; i < len(calls); i++ {
		if r.IntN(10) == 0 {
			calls[i].captured = 1 + r.IntN(len(calls[i].bytes))
		}
	}
}

// swap moves the beginning of some responses before the end of their request, as where two threads share the socket.
func swap(r *rand.Rand, calls []call) {
	for i := 1; i < len(calls); i++ {
		if calls[i-1].direction == protocol.FromClient && calls[i].direction == protocol.FromServer && r.IntN(3) == 0 {
			calls[i-1], calls[i] = calls[i], calls[i-1]
		}
	}
}

// checkTruth looks at every exchange. Doubtful: it may have another one's status if it says that it is not complete.
func (s *scene) checkTruth(t *testing.T, exchanges int, doubtful bool) (withStatus int) {
	seen := make([]bool, exchanges)
	for _, line := range s.emitted {
		if !strings.Contains(line, "POST") {
			continue
		}
		var start, end, path, status int
		n, _ := fmt.Sscanf(line, "%d-%d POST /%d %d", &start, &end, &path, &status)
		if n < 3 || path >= exchanges || seen[path] {
			t.Errorf("emitted twice, or not at all: %q", line)
			continue
		}
		seen[path] = true
		if n == 4 {
			withStatus++
			if status != statusOf(path) && !(doubtful && isDoubted(line)) {
				t.Errorf("another one's response: %q", line)
			}
		}
		if strings.Contains(line, "!connection") {
			t.Errorf("it did not fail: %q", line)
		}
	}
	return withStatus
}
