package http1

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

const second = 1_000_000_000

func isDoubted(line string) bool {
	return strings.Contains(line, " joined") || strings.Contains(line, " gap")
}

// dialogue is a conversation of numbered requests, of which a part is observed. The status of a response identifies its request.
type dialogue struct {
	*scene
	now            uint64
	expect         bool // requests announce their body, and the server asks for it
	unseen         bool
	lost           [protocol.Directions]uint64
	sent, answered int
}

func (d *dialogue) transfer(x step) {
	d.now++
	if d.unseen {
		d.lost[x.direction] += uint64(len(x.bytes))
		return
	}
	if n := d.lost[x.direction]; n > 0 && d.sent > 0 {
		d.play(d.now, step{direction: x.direction, missing: n, why: missing}, 0)
	}
	d.lost[x.direction] = 0
	d.play(d.now, x, whole)
}

func (d *dialogue) request() {
	if d.expect {
		d.transfer(client(fmt.Sprintf("POST /%d HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", d.sent)))
		d.transfer(client("body"))
	} else {
		d.transfer(client(fmt.Sprintf("POST /%d HTTP/1.1\r\n\r\n", d.sent)))
	}
	d.sent++
}

func (d *dialogue) answer() {
	if d.expect {
		d.transfer(server("HTTP/1.1 100 Continue\r\n\r\n"))
	}
	d.transfer(server(fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", statusOf(d.answered))))
	d.answered++
}

// turns are so many, with at least window requests outstanding before each response.
func (d *dialogue) turns(n, window int) {
	for range n {
		for d.sent-d.answered < window {
			d.request()
		}
		d.answer()
	}
}

func (d *dialogue) finish() {
	for d.answered < d.sent {
		d.answer()
	}
}

// wrong are the exchanges that have another one's status and do not say that they may, and how many have their own for certain.
func (d *dialogue) wrong() (wrong []string, certain int) {
	for _, line := range d.emitted {
		var start, end, path, status int
		if n, _ := fmt.Sscanf(line, "%d-%d POST /%d %d", &start, &end, &path, &status); n < 4 || isDoubted(line) {
			continue
		}
		if certain++; status != statusOf(path) {
			wrong = append(wrong, line)
		}
	}
	return wrong, certain
}

func TestSteadyPipelineIsInDoubtUntilASilence(t *testing.T) {
	const many = 40
	for name, test := range map[string]struct {
		joined bool
		before int // turns that are seen, of a client that does not pipeline yet
	}{
		"older than the collector":   {true, 0},
		"begun while calls are lost": {false, many},
	} {
		for _, window := range []int{1, 2, 3, 5} {
			for _, expect := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, window %d, expect %v", name, window, expect), func(t *testing.T) {
					d := &dialogue{scene: newScene(test.joined), now: second, expect: expect}
					d.turns(test.before, 1)
					d.unseen = true
					d.turns(10, window)
					if d.unseen = false; test.joined {
						clear(d.lost[:])
					}
					d.turns(many, window)
					wrong, certain := d.wrong()
					if len(wrong) > 0 || certain != test.before {
						t.Errorf("%d are certain, of these wrong: %q", certain, wrong)
					}
					if n := len(d.emitted); n < test.before+many-10 && window == 1 {
						t.Errorf("%d are emitted", n)
					}
					d.finish()
					d.now += second
					d.turns(many, 1)
					d.turns(many, window)
					if _, after := d.wrong(); after-certain < many || window > 1 && after-certain < 2*many {
						t.Errorf("%d are certain after the silence: %q", after-certain, d.emitted)
					}
					if wrong, _ := d.wrong(); len(wrong) > 0 {
						t.Errorf("wrong: %q", wrong)
					}
				})
			}
		}
	}
}

func TestKeepAliveIsCertainAfterItsFirstSilence(t *testing.T) {
	s := newScene(true)
	for i, x := range []struct {
		at uint64
		step
	}{
		{second, client(get)}, {second + 1, server(ok)}, // whether it comes after a silence is not known
		{second + 2, client(get)}, {second + 3, server(ok)},
		{2 * second, client(getB)}, {2*second + 1, server(ok)},
		{2*second + 2, client(getC)}, {2*second + 3, server(notFound)},
	} {
		if s.play(x.at, x.step, whole); len(s.emitted) != (i+1)/2 {
			t.Fatalf("after step %d: %q", i, s.emitted)
		}
	}
	want := []string{"GET /a 200 joined", "GET /a 200 joined", "GET /b 200", "GET /c 404"}
	for i, line := range s.emitted {
		if _, line, _ = strings.Cut(line, " "); line != want[i] {
			t.Errorf("%q, want %q", line, want[i])
		}
	}
}

func TestSilenceWithinAnExchangeSettlesNothing(t *testing.T) {
	for name, steps := range map[string][]step{
		"before the response":   {client(get), server(failed), client(getB), server(ok)},
		"within the request":    {client(post), client(strings.Repeat("x", 100)), server(ok)},
		"within the response":   {client(get), server(large), server(strings.Repeat("x", 100))},
		"of the server, it may": {client(get), client(getB), server(ok)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(true)
			s.play(second, steps[0], whole)
			s.play(2*second, steps[1], whole)
			for i, x := range steps[2:] {
				s.play(2*second+uint64(i)+1, x, whole)
			}
			if slices.ContainsFunc(s.emitted, func(line string) bool { return !isDoubted(line) }) {
				t.Errorf("%q", s.emitted)
			}
		})
	}
}
