package pairing

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/socketflow/socketflow/internal/protocol"
)

// scene is an Order of numbered requests, and what became of them.
type scene struct {
	order   Order[int]
	pool    Pool[int]
	current *Item[int]
	made    int
	log     []string
	errors  [protocol.ParseErrors]int
	doubts  map[int]protocol.Capture // of requests
	time    uint64
}

type sink struct {
	protocol.Sink
	*scene
}

func (s sink) Error(e protocol.ParseError) { s.errors[e]++ }

func newScene(limit int, joined bool) *scene {
	s := &scene{time: 1, doubts: make(map[int]protocol.Capture)}
	s.order = NewOrder[int](&s.pool, s, sink{scene: s}, limit, joined)
	return s
}

func (s *scene) note(what string, x *Item[int]) { s.log = append(s.log, fmt.Sprint(what, x.Value)) }

// paired notes a pair: with ~ or ' if it is in doubt because of a loss, or because the conversation was joined.
func (s *scene) paired(what string, x *Item[int]) {
	s.note(what, x)
	s.log[len(s.log)-1] += map[protocol.Capture]string{protocol.CaptureGap: "~", protocol.CaptureJoined: "'"}[s.doubts[x.Value]]
}

func (s *scene) Unanswered(x *Item[int]) { s.note("-", x); s.forget(x) }
func (s *scene) Dropped(x *Item[int])    { s.note("x", x); s.forget(x) }
func (s *scene) forget(x *Item[int]) {
	if s.current == x {
		s.current = nil
	}
	s.pool.Put(x)
}

// do does one thing for each letter: q a request, r a response, ( and ) its beginning and end, Q and R requests and responses
// that are lost, T a response of which only the beginning was captured, p something that the server sends unasked, s a silence, e the end.
func (s *scene) do(script string) *scene {
	for _, c := range script {
		s.time += 1000
		at := protocol.Stamp{Time: s.time, Began: s.time}
		switch c {
		case 'q':
			s.made++
			x, answered := s.order.Request(&at, func(x *Item[int]) bool { return x.Value < 0 })
			if x == nil {
				s.log = append(s.log, fmt.Sprint("!", s.made))
				continue
			}
			s.doubts[s.made] = s.order.Doubt()
			if x.Value = s.made; answered {
				s.paired("early", x)
				s.pool.Put(x)
			}
		case 'r', '(':
			s.order.Heard(&at)
			x, early := s.order.Response()
			switch {
			case early:
				x.Value = 0
				s.order.Answered()
			case x == nil:
				s.log = append(s.log, "?")
			default:
				if s.current = x; c == 'r' {
					s.answered()
				}
			}
		case ')':
			if s.current != nil {
				s.answered()
			}
		case 'p':
			s.order.Heard(&at)
		case 'Q':
			s.order.LostRequests()
		case 'R':
			s.order.Heard(&at)
			s.order.LostResponses(protocol.Lost)
		case 'T':
			s.order.Heard(&at)
			s.order.LostResponses(protocol.Truncated)
		case 's':
			s.time += quiet
		case 'e':
			s.order.End()
		}
	}
	return s
}

func (s *scene) answered() {
	x := s.current
	s.current = nil
	s.order.Answered()
	s.paired("", x)
	s.pool.Put(x)
}

func TestOrderPairsWhatIsCertain(t *testing.T) {
	for name, x := range map[string]struct {
		joined   bool
		script   string
		want     string
		unpaired int
		tooMany  int
	}{
		"in turns":                         {false, "qrqrqr", "1 2 3", 0, 0},
		"pipelined":                        {false, "qqqrrqrr", "1 2 3 4", 0, 0},
		"response before its request":      {false, "rqqr", "early1 2", 0, 0},
		"end":                              {false, "qq(e", "-1 -2", 0, 0},
		"response that is never asked for": {false, "qrre", "1 x0", 1, 0},
		"too many":                         {false, "qqqqqqrrrrrr", "x1 x2 ? ? 3 4 5 6", 0, 2},
		"too many during a response":       {false, "q(qqqqq)rrrrr", "x2 1 ? 3 4 5 6", 0, 1},
		"response lost, in turns":          {false, "qRqrqr", "-1 2~ 3~", 0, 0},
		"its end lost":                     {false, "q(Rqrqr", "-1 2~ 3~", 0, 0},
		"request lost, in turns":           {false, "qrQrqr", "1 ? 2~", 1, 0},
		"its response seen later":          {false, "QqrqQrqr", "1~ 2~ 3~", 0, 0},
		"unanswered after a loss":          {false, "Qqpqrqr", "-1 2~ 3~", 0, 0},
		"responses lost in a pipeline":     {false, "qqrRqrqr", "1 -2 !3 ? !4 ?", 4, 0},
		"until a silence":                  {false, "qqrRqrsqrqr", "1 -2 !3 ? 4 5", 2, 0},
		"requests lost in a pipeline":      {false, "qqQrrqrsqr", "1 2 !3 ? 4", 2, 0},
		"requests meanwhile":               {false, "qqQqrrsqr", "!3 1 2 4", 1, 0},
		"request lost in an idle pipeline": {false, "qqrrQqrsqr", "1 2 !3 ? 4", 2, 0},
		"joined":                           {true, "rqrqrqrqr", "? 1' 2' 3' 4'", 0, 0},
		"joined, without the response":     {true, "qpqrqr", "-1 2' 3'", 0, 0},
		"joined, pipelined":                {true, "qqrrsqr", "-1 !2 ? ? 3", 1, 0},
		"joined, trusted after some turns": {true, "qrqrqrqrqqrr", "1' 2' 3' 4' 5' 6'", 0, 0},
		"joined, then a silence":           {true, "qrqrsqrqqrr", "1' 2' 3 4 5", 0, 0},
		"joined, a silence before nothing": {true, "sqrqr", "1' 2'", 0, 0},
		"joined, always two outstanding":   {true, "qrqrqrqrqrqrrsqrqr", "1' 2' 3' 4' 5' 6' x0 7 8", 1, 0},
		"early in doubt":                   {true, "qrqrqrqrrqr", "1' 2' 3' 4' early5'", 0, 0},
		"response cut, in turns":           {false, "qTqrqr", "-1 2 3", 0, 0},
		"joined, and a loss":               {true, "qrQqrsqr", "1' 2' 3", 0, 0},
		"a loss while one is outstanding":  {false, "qQrqrsqr", "1 2~ 3", 0, 0},
		"no pipeline any more":             {false, "qqrr" + strings.Repeat("qr", enoughAlone) + "qRqr", "1 2 " + count(3, enoughAlone+2) + " -35 36~", 0, 0},
		"silence proves nothing meanwhile": {false, "qqsqrrr", "1 2 3", 0, 0},
	} {
		s := newScene(4, x.joined).do(x.script)
		if got := strings.Join(s.log, " "); got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
		if s.errors != [protocol.ParseErrors]int{protocol.Unpaired: x.unpaired, protocol.TooMany: x.tooMany} {
			t.Errorf("%s: errors %v", name, s.errors)
		}
	}
}

// count has the numbers from one to another.
func count(from, to int) string {
	var all []string
	for n := from; n <= to; n++ {
		all = append(all, fmt.Sprint(n))
	}
	return strings.Join(all, " ")
}

func TestOrderRemovesARequestThatIsNotAnswered(t *testing.T) {
	for removed := 1; removed <= 3; removed++ {
		s := newScene(4, false)
		var all [4]*Item[int]
		for i := 1; i <= 3; i++ {
			all[i], _ = s.order.Request(&protocol.Stamp{}, nil)
			all[i].Value = i
		}
		s.order.Remove(all[removed])
		want := strings.TrimSpace(strings.Replace("1 2 3 ", fmt.Sprintf("%d ", removed), "", 1))
		if got := strings.Join(s.do("rr").log, " "); got != want || s.order.Outstanding() != 0 {
			t.Errorf("without %d: %s, want %s", removed, got, want)
		}
	}
}

func TestOrderNeedsNoAllocation(t *testing.T) {
	s := newScene(8, false)
	at := protocol.Stamp{Time: 1}
	turn := func() {
		for range 4 {
			s.order.Request(&at, nil)
		}
		for range 4 {
			x, _ := s.order.Response()
			s.order.Answered()
			s.pool.Put(x)
		}
	}
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("%v allocations for a pipeline", n)
	}
}

// FuzzOrder does arbitrary things. No request may be handed over twice, and none may be left.
func FuzzOrder(f *testing.F) {
	for _, script := range []string{"qqrRqrsqrqr", "qqqqqqrrrrrr", "rqqr", "q(Q)sqR", "rrrqqq"} {
		f.Add(script, false)
		f.Add(script, true)
	}
	f.Fuzz(func(t *testing.T, script string, joined bool) {
		s := newScene(4, joined)
		for _, c := range script {
			if s.current != nil && (c == 'r' || c == '(') { // one response at a time
				continue
			}
			if s.do(string(c)); s.order.Items() > 4+maxEarly {
				t.Fatalf("%d items", s.order.Items())
			}
		}
		s.do("e")
		seen := make(map[string]bool)
		for _, x := range s.log {
			n := strings.TrimRight(strings.TrimLeft(x, "-x!early?"), "~'")
			if n == "" || n == "0" {
				continue
			}
			if seen[n] {
				t.Errorf("%s was handed over twice: %v", n, s.log)
			}
			seen[n] = true
		}
		if len(seen) != s.made || s.order.Outstanding() != 0 || s.order.Items() != 0 {
			t.Errorf("%d of %d requests, %d outstanding", len(seen), s.made, s.order.Outstanding())
		}
	})
}

// TestOrderRemovesARequestAtTheSameCostHoweverManyWait: a client decides how many wait, and could make every byte that it sends expensive.
func TestOrderRemovesARequestAtTheSameCostHoweverManyWait(t *testing.T) {
	fastest := func(waiting int) time.Duration {
		s := newScene(waiting+2, false)
		s.do(strings.Repeat("q", waiting))
		best := time.Hour
		for range 20 {
			start := time.Now()
			for range 100 {
				x := s.pool.Get()
				s.order.Append(x)
				s.order.Remove(x)
				s.pool.Put(x)
			}
			best = min(best, time.Since(start))
		}
		if got := s.order.Items(); got != waiting {
			t.Fatalf("%d requests wait, want %d", got, waiting)
		}
		return best
	}
	few, many := fastest(4), fastest(65536)
	if many > 100*few { // 10,000 times more wait
		t.Errorf("removing 100 requests took %v where 65536 wait, and %v where 4 do", many, few)
	}
}

func TestSilenceIsLongAndLeavesNothingUnread(t *testing.T) {
	for name, x := range map[string]struct {
		last    uint64
		request protocol.Stamp
		want    bool
	}{
		"long enough":                         {1, protocol.Stamp{Began: 1 + quiet}, true},
		"too short":                           {1, protocol.Stamp{Began: quiet}, false},
		"the call began before":               {quiet, protocol.Stamp{Began: 1, Time: 3 * quiet}, false},
		"a response has arrived meanwhile":    {1, protocol.Stamp{Began: 1 + quiet, Unread: true}, false},
		"of what was before nothing is known": {0, protocol.Stamp{Began: 2 * quiet}, false},
	} {
		if got := Silent(x.last, &x.request); got != x.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
