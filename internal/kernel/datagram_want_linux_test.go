//go:build amd64 || arm64

package kernel

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// pass sends datagrams from a to b and receives them.
func (e *datagramEnd) pass(to *datagramEnd, payloads ...[]byte) {
	e.t.Helper()
	for _, p := range payloads { // one by one, so that they fit into the receiver's buffer
		sendWays["sendto"](e, to, [][]byte{p})
		receiveWays["recvfrom"](to, []int{len(p)})
	}
}

// cookieOf returns the cookie of the only flow of an end, after the events until now.
func cookieOf(t *testing.T, reports []*datagramReport, end *datagramEnd) uint64 {
	t.Helper()
	for _, r := range reports {
		if r.end == end {
			return r.flow.Cookie
		}
	}
	t.Fatal("no flow")
	return 0
}

// dataOf reads the data events of a flow.
func dataOf(t *testing.T, tracer datagramTracer, cookie uint64) (all []event.Data) {
	t.Helper()
	reader := tracer.Readers()[0]
	reader.SetDeadline(time.Now().Add(time.Millisecond))
	for {
		var e event.Event
		err := reader.Next(&e)
		if errors.Is(err, ErrIdle) {
			return all
		}
		must(t, err)
		if e.Kind == event.KindData && e.Flow.Cookie == cookie {
			e.Data.Payload = append([]byte(nil), e.Data.Payload...)
			all = append(all, e.Data)
		}
	}
}

func TestDatagramDataFollowsWant(t *testing.T) {
	eachDatagramTracer(t, func(t *testing.T, tracer datagramTracer, _ bool) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		a, b := newDatagramEnd(t, unix.AF_INET), newDatagramEnd(t, unix.AF_INET)
		large := letters(20_000)[:16_000]
		a.pass(b, []byte("one"))
		cookie := cookieOf(t, datagramsOf(t, tracer, a), a)
		tracer.Want(cookie, event.Want{Limit: [event.Directions]uint32{10_000, 2}, Burst: 1})
		for range 20 { // more than the budget before an answer
			a.pass(b, large)
		}
		b.pass(a, []byte("back"))
		got := dataOf(t, tracer, cookie)
		if len(got) != 21 {
			t.Fatalf("%d datagrams are emitted, want 21", len(got))
		}
		for i, d := range got[:20] {
			if string(d.Payload) != string(large[:10_000]) || d.Length != 16_000 || d.CutReason != event.CutLimit ||
				d.Position != uint64(3+16_000*i) || d.GapReason != 0 {
				t.Errorf("datagram %d: %d of %d at %d, cut %d, gap %d", i, len(d.Payload), d.Length, d.Position, d.CutReason, d.GapReason)
			}
		}
		if back := got[20]; back.Direction != event.Received || string(back.Payload) != "ba" || back.Length != 4 {
			t.Errorf("the other direction: %+v", back)
		}

		tracer.Want(cookie, event.Want{Until: [event.Directions]uint64{event.Never, 0}, Limit: [event.Directions]uint32{9, 9}})
		a.pass(b, []byte("unwanted"))
		b.pass(a, []byte("wanted"))
		if got := dataOf(t, tracer, cookie); len(got) != 1 || string(got[0].Payload) != "wanted" {
			t.Errorf("of one direction: %+v", got)
		}
		tracer.Want(cookie, event.Want{Until: [event.Directions]uint64{event.Never, event.Never}})
		a.pass(b, []byte("unwanted"))
		b.pass(a, []byte("unwanted"))
		if got := dataOf(t, tracer, cookie); len(got) != 0 {
			t.Errorf("of nothing: %+v", got)
		}
	})
}

// TestDatagramBudgetBoundsWhatNobodyAnswers: what is captured before user space has answered has an end, and is counted.
func TestDatagramBudgetBoundsWhatNobodyAnswers(t *testing.T) {
	eachDatagramTracer(t, func(t *testing.T, tracer datagramTracer, _ bool) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		const budget, each, datagrams = 65536, 4096, 20
		a, b := newDatagramEnd(t, unix.AF_INET), newDatagramEnd(t, unix.AF_INET)
		for range datagrams / 2 {
			a.pass(b, letters(each))
			b.pass(a, letters(each))
		}
		reports := datagramsOf(t, tracer, a)
		sent, received := len(reports[0].emitted[event.Sent]), len(reports[0].emitted[event.Received])
		if sent+received != budget/each || sent != received {
			t.Errorf("%d datagrams sent and %d received are emitted, want %d together", sent, received, budget/each)
		}
		counters, err := tracer.Counters()
		must(t, err)
		if want := uint64(2 * (datagrams - budget/each)); counters.DatagramBudget != want {
			t.Errorf("%d datagrams over the budget are counted, want %d", counters.DatagramBudget, want)
		}

		tracer.Want(reports[0].flow.Cookie, event.Want{Limit: [event.Directions]uint32{each, each}})
		a.pass(b, []byte("answered"))
		a.pass(b, []byte("again"))
		got := dataOf(t, tracer, reports[0].flow.Cookie)
		if len(got) != 2 || got[0].GapReason != event.CutLimit || got[1].GapReason != 0 || string(got[1].Payload) != "again" {
			t.Errorf("after the answer: %+v", got)
		}
	})
}

// TestDatagramBatchLongerThanBoundIsCounted: the messages behind the bound are not seen.
func TestDatagramBatchLongerThanBoundIsCounted(t *testing.T) {
	const bound, messages = 64, 70
	eachDatagramTracer(t, func(t *testing.T, tracer datagramTracer, _ bool) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		a, b := newDatagramEnd(t, unix.AF_INET), newDatagramEnd(t, unix.AF_INET)
		var payloads [][]byte
		var lengths []int
		for i := range messages {
			payloads, lengths = append(payloads, letters(i+1)), append(lengths, i+1)
		}
		sendWays["sendto"](a, b, payloads)
		receiveBatch(b, lengths)
		reports := datagramsOf(t, tracer, b)
		if got := len(reports[0].emitted[event.Received]); got != bound {
			t.Errorf("%d messages are emitted, want %d", got, bound)
		}
		counters, err := tracer.Counters()
		must(t, err)
		if counters.BatchRest != messages-bound {
			t.Errorf("%d messages behind the bound are counted, want %d", counters.BatchRest, messages-bound)
		}
	})
}

// TestDatagramDataIsOff: nothing is emitted if nobody asks for payload of datagrams.
func TestDatagramDataIsOff(t *testing.T) {
	needPrivilege(t)
	opts := datagramOptions
	opts.DatagramData, opts.Data, opts.PayloadLimit, opts.PayloadBurst = false, true, 100, 100
	for name, open := range map[string]func() (datagramTracer, func() error, error){
		"socket mode": func() (datagramTracer, func() error, error) {
			tracer, err := OpenSockets(opts)
			return tracer, tracer.Close, err
		},
		"syscall mode": func() (datagramTracer, func() error, error) {
			tracer, err := OpenSyscalls(opts, func(event.Event) {})
			return tracer, tracer.Close, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, end, err := open()
			must(t, err)
			t.Cleanup(func() { must(t, end()) })
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			a, b := newDatagramEnd(t, unix.AF_INET), newDatagramEnd(t, unix.AF_INET)
			datagramsOf(t, tracer) // makes room: payload of the whole host fills the ring buffer while programs are being attached
			a.pass(b, []byte("text"))
			expectDatagrams(t, tracer, expectedFlow{a, b.addrPort(), nil, nil}, expectedFlow{b, a.addrPort(), nil, nil})
		})
	}
}

// TestDatagramLookupsAreNotLost: 2,000 requests and responses a second, over one socket and with a socket each. User space answers when
// it has read the open.
func TestDatagramLookupsAreNotLost(t *testing.T) {
	const lookups, tick = 2000, 10 * time.Millisecond
	query, response := letters(60), letters(300)
	cases := map[string]func(t *testing.T, client, server *datagramEnd) *datagramEnd{
		"one socket":        func(_ *testing.T, client, _ *datagramEnd) *datagramEnd { return client },
		"a socket a lookup": func(t *testing.T, _, _ *datagramEnd) *datagramEnd { return newDatagramEnd(t, unix.AF_INET) },
	}
	eachDatagramTracer(t, func(t *testing.T, tracer datagramTracer, _ bool) {
		for name, clientOf := range cases {
			t.Run(name, func(t *testing.T) {
				count := make(chan map[int]int)
				over := make(chan struct{})
				go func() { count <- countLookups(t, tracer, over) }()
				first, server := newDatagramEnd(t, unix.AF_INET), newDatagramEnd(t, unix.AF_INET)
				ticker := time.NewTicker(tick)
				for range int(time.Second / tick) {
					<-ticker.C
					for range lookups / int(time.Second/tick) {
						client := clientOf(t, first, server)
						client.pass(server, query)
						server.pass(client, response)
					}
				}
				ticker.Stop()
				close(over)
				got := <-count
				if got[len(query)] != 2*lookups || got[len(response)] != 2*lookups {
					counters, err := tracer.Counters()
					t.Errorf("%d queries and %d responses are emitted whole, want %d of each\n%+v, %v",
						got[len(query)], got[len(response)], 2*lookups, counters, err)
				}
			})
		}
	})
}

// countLookups counts the datagrams that are emitted whole, by length, until no more come.
func countLookups(t *testing.T, tracer datagramTracer, over <-chan struct{}) map[int]int {
	all := map[int]int{}
	flows := map[uint64]bool{}
	reader := tracer.Readers()[0]
	for last := false; ; {
		select {
		case <-over:
			last = true
		default:
		}
		reader.SetDeadline(time.Now().Add(50 * time.Millisecond))
		for {
			var e event.Event
			err := reader.Next(&e)
			if errors.Is(err, ErrIdle) {
				break
			}
			if err != nil {
				t.Error(err)
				return all
			}
			switch {
			case e.Kind == event.KindOpen && e.Flow.Transport == event.UDP && e.Owner.PID == uint32(os.Getpid()):
				flows[e.Flow.Cookie] = true
				tracer.Want(e.Flow.Cookie, event.Want{Limit: [event.Directions]uint32{4096, 4096}})
			case e.Kind == event.KindData && flows[e.Flow.Cookie] && int(e.Data.Length) == len(e.Data.Payload) && e.Data.GapReason == 0:
				all[len(e.Data.Payload)]++
			}
		}
		if last {
			return all
		}
	}
}
