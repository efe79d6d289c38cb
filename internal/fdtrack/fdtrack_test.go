package fdtrack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/pending"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
)

func TestTrackerCompletesAddresses(t *testing.T) {
	const whole = local + ">" + remote
	for name, test := range map[string]struct {
		events []event.Event
		want   []string
	}{
		"a complete connection, at once": {
			[]event.Event{open(1, local, remote), data(1, "a"), closing(1)},
			[]string{"open 1 " + whole + " connect", "data 1 a", "close 1 " + whole + " connect"},
		},
		"nothing before the address": {
			[]event.Event{open(1, "", remote), data(1, "a"), data(1, "b")}, nil,
		},
		"all in order behind the address": {
			[]event.Event{
				open(1, "", remote), data(1, "a"), data(1, "b"), named(1, local, "", event.AddressSourceGetsockname), data(1, "c"),
			},
			[]string{"open 1 " + whole + " getsockname", "data 1 a", "data 1 b", "data 1 c"},
		},
		"plaintext behind what its socket has carried": {
			[]event.Event{
				open(1, "", remote), data(1, "a"), data(1|event.LayerTLS, "b"), data(1, "c"), named(1, local, "", event.AddressSourceGetsockname),
				data(1|event.LayerTLS, "d"),
			},
			[]string{
				"open 1 " + whole + " getsockname", "data 1 a", fmt.Sprintf("data %d b", 1|event.LayerTLS), "data 1 c",
				fmt.Sprintf("data %d d", 1|event.LayerTLS),
			},
		},
		"others meanwhile": {
			[]event.Event{
				open(1, "", remote), open(2, local, remote), data(1, "a"), data(2, "b"),
				named(1, local, "", event.AddressSourceGetsockname),
			},
			[]string{"open 2 " + whole + " connect", "data 2 b", "open 1 " + whole + " getsockname", "data 1 a"},
		},
		"the peer's address, of a server": {
			[]event.Event{
				accepted(1, remote, ""), data(1, "a"), named(1, "", local, event.AddressSourceGetpeername),
			},
			[]string{
				"open 1 10.0.0.2:80>10.0.0.1:50000 getpeername", "accept 1 10.0.0.2:80>10.0.0.1:50000 getpeername", "data 1 a",
			},
		},
		"an address behind any address": {
			[]event.Event{accepted(1, "0.0.0.0:80", local), named(1, "10.0.0.2:80", "", event.AddressSourceGetsockname)},
			[]string{"open 1 10.0.0.2:80>10.0.0.1:50000 getsockname", "accept 1 10.0.0.2:80>10.0.0.1:50000 getsockname"},
		},
		"an accept at once, of a complete server": {
			[]event.Event{accepted(1, remote, local), data(1, "a")},
			[]string{"open 1 10.0.0.2:80>10.0.0.1:50000 accept", "accept 1 10.0.0.2:80>10.0.0.1:50000 accept", "data 1 a"},
		},
		"no accept of a server for datagrams": {
			[]event.Event{over(event.UDP, accepted(1, remote, local))}, []string{"open 1 10.0.0.2:80>10.0.0.1:50000 accept"},
		},
		"both addresses, one after the other": {
			[]event.Event{
				open(1, "", ""), named(1, "", remote, event.AddressSourceGetpeername), named(1, local, "", event.AddressSourceGetsockname),
			},
			[]string{"open 1 " + whole + " getsockname"},
		},
		"an address that says nothing": {
			[]event.Event{open(1, "", remote), named(1, "0.0.0.0:0", "", event.AddressSourceGetsockname)}, nil,
		},
		"an address that came before the open": {
			[]event.Event{hold(1, 4), named(1, local, "", event.AddressSourceGetsockname), open(1, "", remote)},
			[]string{"open 1 " + whole + " getsockname"},
		},
		"no other address once it is complete": {
			[]event.Event{open(1, local, remote), named(1, "10.9.9.9:1", "10.9.9.9:2", event.AddressSourceGetsockname), closing(1)},
			[]string{"open 1 " + whole + " connect", "close 1 " + whole + " connect"},
		},
		"at the close, a client's address without a port": {
			[]event.Event{open(1, "", remote), data(1, "a"), closing(1)},
			[]string{"open 1 10.0.0.9:0>10.0.0.2:80 container", "data 1 a", "close 1 10.0.0.9:0>10.0.0.2:80 container"},
		},
		"at the close, a server's address with its port": {
			[]event.Event{accepted(1, "0.0.0.0:80", local), closing(1)},
			[]string{
				"open 1 10.0.0.9:80>10.0.0.1:50000 container", "accept 1 10.0.0.9:80>10.0.0.1:50000 container",
				"close 1 10.0.0.9:80>10.0.0.1:50000 container",
			},
		},
		"at the close, what no guess is possible of": {
			[]event.Event{accepted(1, "0.0.0.0:80", ""), closing(1)},
			[]string{"open 1 -:80>-:0 unknown", "accept 1 -:80>-:0 unknown", "close 1 -:80>-:0 unknown"},
		},
		"a client that connects to itself": {
			[]event.Event{open(1, "", "0.0.0.0:80"), named(1, "127.0.0.1:50000", "", event.AddressSourceGetsockname)},
			[]string{"open 1 127.0.0.1:50000>127.0.0.1:80 getsockname"},
		},
		"a client that connects to itself, bound": {
			[]event.Event{open(1, local, "0.0.0.0:80")}, []string{"open 1 10.0.0.1:50000>10.0.0.1:80 connect"},
		},
		"a client that connects to itself, IPv6": {
			[]event.Event{open(1, "", "[::]:80"), closing(1)}, []string{"open 1 ::1:0>::1:80 container", "close 1 ::1:0>::1:80 container"},
		},
		"datagrams": {
			[]event.Event{over(event.UDP, open(1, "", remote)), data(1, "a"), named(1, local, "", event.AddressSourceGetsockname)},
			[]string{"open 1 " + whole + " getsockname", "data 1 a"},
		},
		"a Unix socket, at once": {
			[]event.Event{over(event.UnixStream, open(1, "", "")), data(1, "a"), closing(1)},
			[]string{"open 1 -:0>-:0 connect", "data 1 a", "close 1 -:0>-:0 connect"},
		},
		"an existing connection": {
			[]event.Event{{Kind: event.KindExisting, Flow: open(1, local, remote).Flow}}, []string{"existing 1 " + whole + " connect"},
		},
		"a refused connect, at once": {
			[]event.Event{func() event.Event {
				e := open(1, "", remote)
				e.Kind = event.KindConnectError
				return e
			}()},
			[]string{"connect_error 1 10.0.0.9:0>10.0.0.2:80 container"},
		},
		"a failure with the address that was named before": {
			[]event.Event{hold(1, 4), named(1, local, "", event.AddressSourceGetsockname), func() event.Event {
				e := open(1, "", remote)
				e.Kind = event.KindFail
				return e
			}()},
			[]string{"fail 1 " + whole + " getsockname"},
		},
		"a failure behind what waits": {
			[]event.Event{open(1, "", remote), func() event.Event {
				e := open(1, "", remote)
				e.Kind = event.KindFail
				return e
			}(), named(1, local, "", event.AddressSourceGetsockname)},
			[]string{"open 1 " + whole + " getsockname", "fail 1 " + whole + " getsockname"},
		},
		"nothing of a listener that two processes close": {
			[]event.Event{closing(1), closing(1)}, nil,
		},
		"the end of a connection whose beginning was lost": {
			[]event.Event{ended(7, "0.0.0.0:80", local)}, []string{"close 7 10.0.0.9:80>10.0.0.1:50000 container"},
		},
		"the end of one that is older, if it was connected": {
			[]event.Event{older(7, local, remote), older(8, "", "")}, []string{"close 7 10.0.0.1:50000>10.0.0.2:80 sock"},
		},
		"strays as they are": {
			[]event.Event{data(7, "a"), ended(7, "", ""), named(7, local, "", event.AddressSourceGetsockname), of(event.KindLive, 7)},
			[]string{"data 7 a", "close 7 -:0>-:0 unknown", "live 7"},
		},
		"the end of the last descriptor only": {
			[]event.Event{open(1, local, remote), hold(1, 4), hold(1, 5), closing(1), data(1, "a"), closing(1), data(1, "b"), closing(1)},
			[]string{"open 1 " + whole + " connect", "data 1 a", "data 1 b", "close 1 " + whole + " connect"},
		},
		"a descriptor that was there before the open": {
			[]event.Event{hold(1, 4), open(1, local, remote), closing(1), closing(1)},
			[]string{"open 1 " + whole + " connect", "close 1 " + whole + " connect"},
		},
		"nothing of a socket that was never opened": {
			[]event.Event{hold(1, 4), closing(1), closing(1)}, nil,
		},
		"the other end's close, in order": {
			[]event.Event{open(1, "", remote), of(event.KindPeerClose, 1), named(1, local, "", event.AddressSourceGetsockname)},
			[]string{"open 1 " + whole + " getsockname", "peer_close 1 " + whole + " getsockname"},
		},
		"a socket that is connected anew": {
			[]event.Event{open(1, "", remote), open(1, local, "10.0.0.3:80"), closing(1)},
			[]string{
				"open 1 10.0.0.9:0>10.0.0.2:80 container", "open 1 10.0.0.1:50000>10.0.0.3:80 connect",
				"close 1 10.0.0.1:50000>10.0.0.3:80 connect",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, Limits{}, nil)
			s.handle(test.events...)
			assert.Equal(t, test.want, s.take())
			s.Flush()
			assertNothingWaits(t, s)
		})
	}
}

// What the kernel counts of an attempt, its SYNs that nobody answered, is not known: it is no 0.
func TestFailureIsUncounted(t *testing.T) {
	for _, kind := range []event.Kind{event.KindFail, event.KindConnectError} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			s := newScene(t, Limits{}, nil)
			e := open(1, "10.0.0.1:50000", "10.0.0.2:80")
			e.Kind = kind
			s.handle(e)
			require.Len(t, s.raw, 1)
			assert.True(t, s.raw[0].Ending.Uncounted)
		})
	}
}

func assertNothingWaits(t *testing.T, s *scene) {
	t.Helper()
	assert.Zero(t, s.Stats().Pending.Keys.Load())
	assert.Zero(t, s.Stats().Pending.Items.Load())
	assert.Zero(t, s.Stats().Pending.Bytes.Load())
	items, bytes := s.shared.budget.InUse()
	assert.Zero(t, items)
	assert.Zero(t, bytes)
	assert.False(t, s.waiting.Waiting())
}

func TestWaitEndsAtTheTimeout(t *testing.T) {
	s := newScene(t, Limits{Timeout: 100 * time.Millisecond}, nil)
	s.handle(open(1, "", remote), data(1, "a"))
	s.pass(98 * time.Millisecond)
	assert.Empty(t, s.take())
	assert.EqualValues(t, 1, s.Stats().Pending.Keys.Load())
	assert.EqualValues(t, 2, s.Stats().Pending.Items.Load())
	assert.EqualValues(t, 64, s.Stats().Pending.Bytes.Load())
	s.pass(2 * time.Millisecond)
	assert.Equal(t, []string{"open 1 10.0.0.9:0>10.0.0.2:80 container", "data 1 a"}, s.take())
	assert.EqualValues(t, 1, s.Stats().Incomplete[pending.CauseTimeout].Load())
	assert.InDelta(t, 100*millisecond, s.Stats().Pending.Waited.Load(), float64(2*millisecond))
	s.handle(data(1, "b"), named(1, local, "", event.AddressSourceGetsockname), closing(1))
	assert.Equal(t, []string{"data 1 b", "close 1 10.0.0.9:50000>10.0.0.2:80 getsockname"}, s.take())
	assertNothingWaits(t, s)
}

// A reader that is behind delivers old events: the events with their addresses may be right behind them.
func TestTimeIsCountedFromWhenAnEventIsRead(t *testing.T) {
	s := newScene(t, Limits{Timeout: 100 * time.Millisecond}, nil)
	e := open(1, "", remote)
	e.Time = s.now - 500*millisecond
	s.Handle(&e)
	s.pass(90 * time.Millisecond)
	assert.Empty(t, s.take())
	s.pass(10 * time.Millisecond)
	assert.Len(t, s.take(), 1)
}

func TestOrderIsKeptAmongManySockets(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	const sockets, events = 100, 50
	for i := range uint64(sockets) {
		s.handle(open(i+1, "", remote))
	}
	for n := range events {
		for i := range uint64(sockets) {
			s.handle(data(i+1, fmt.Sprintf("%d", n)))
		}
	}
	assert.Empty(t, s.take())
	for i := uint64(sockets); i > 0; i-- {
		s.handle(named(i, local, "", event.AddressSourceGetsockname))
		got := s.take()
		require.Len(t, got, events+1)
		for n := range events {
			require.Equal(t, fmt.Sprintf("data %d %d", i, n), got[n+1])
		}
	}
	assert.EqualValues(t, sockets, s.Stats().Completed[event.AddressSourceGetsockname].Load())
	assertNothingWaits(t, s)
}

func TestBounds(t *testing.T) {
	for name, test := range map[string]struct {
		limits Limits
		events []event.Event
		cause  pending.Cause
		want   []string
	}{
		"events of a socket": {
			Limits{SocketItems: 2}, []event.Event{open(1, "", remote), data(1, "a"), data(1, "b")}, pending.CauseKeyBound,
			[]string{"open 1", "data 1 a", "data 1 b"},
		},
		"bytes of a socket": {
			Limits{SocketBytes: 192}, []event.Event{open(1, "", remote), data(1, "a"), data(1, strings.Repeat("b", 65)), data(1, "c")},
			pending.CauseKeyBound, []string{"open 1", "data 1 a", "data 1 " + strings.Repeat("b", 65), "data 1 c"},
		},
		"events of all": {
			Limits{Items: 3}, []event.Event{open(1, "", remote), open(2, "", remote), data(1, "a"), data(2, "b")}, pending.CauseTotalBound,
			[]string{"open 2", "data 2 b"},
		},
		"bytes of all": {
			Limits{Bytes: 128}, []event.Event{open(1, "", remote), open(2, "", remote), data(1, "a"), data(2, "b"), data(1, "c")},
			pending.CauseTotalBound, []string{"open 1", "data 1 a", "data 1 c"},
		},
		"not even the open": {
			Limits{Items: 1}, []event.Event{open(1, "", remote), open(2, "", remote)}, pending.CauseTotalBound, []string{"open 2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, test.limits, nil)
			s.handle(test.events...)
			got := s.take()
			require.Len(t, got, len(test.want))
			for i := range got {
				assert.True(t, strings.HasPrefix(got[i], test.want[i]), got[i])
			}
			assert.EqualValues(t, 1, s.Stats().Incomplete[test.cause].Load())
			for i := range s.raw {
				if s.raw[i].Kind == event.KindOpen {
					assert.Equal(t, event.AddressSourceContainer, s.raw[i].Flow.AddressSource)
				}
			}
			s.Flush()
			assertNothingWaits(t, s)
		})
	}
}

// TestLeastRecentlyUsedSocketOfTheTransportGivesWay: each transport has its own bound, and data is use.
func TestLeastRecentlyUsedSocketOfTheTransportGivesWay(t *testing.T) {
	s := newScene(t, Limits{}, func(o *Options) { o.Sockets = 2 })
	flow := func(cookie uint64) event.Event {
		e := open(cookie, local, remote)
		e.Flow.Transport = event.UDP
		return e
	}
	s.handle(open(1, local, remote), open(2, local, remote), flow(11), flow(12), flow(13), data(1, "a"), open(3, local, remote))
	assert.Equal(t, []uint64{1, 3, 12, 13}, slices.Sorted(maps.Keys(s.sockets)))
	assert.EqualValues(t, 2, s.Stats().Evicted.Load())
}

// TestDescriptionHasWhatIsKnownByNow: the kernel side may know less of the addresses of a socket than the tracker.
func TestDescriptionHasWhatIsKnownByNow(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	described := open(1, "", remote)
	described.Kind, described.Existing = event.KindExisting, true
	s.handle(open(1, local, remote), described, closing(1))
	assert.Equal(t, []string{
		"open 1 10.0.0.1:50000>10.0.0.2:80 connect", "existing 1 10.0.0.1:50000>10.0.0.2:80 connect",
		"close 1 10.0.0.1:50000>10.0.0.2:80 connect",
	}, s.take())
	assertNothingWaits(t, s)
}

func TestFullTableEvictsTheOldestSockets(t *testing.T) {
	s := newScene(t, Limits{}, func(o *Options) { o.Sockets = 2 })
	s.handle(open(1, "", remote), data(1, "a"), open(2, local, remote), open(3, local, remote))
	assert.Equal(t, []string{
		"open 2 10.0.0.1:50000>10.0.0.2:80 connect", "open 1 10.0.0.9:0>10.0.0.2:80 container", "data 1 a",
		"open 3 10.0.0.1:50000>10.0.0.2:80 connect",
	}, s.take())
	assert.EqualValues(t, 1, s.Stats().Incomplete[pending.CauseEvicted].Load())
	assert.EqualValues(t, 1, s.Stats().Evicted.Load())
	assert.EqualValues(t, 2, s.Stats().Sockets.Load())
	s.handle(data(1, "b"))
	assert.Equal(t, []string{"data 1 b"}, s.take())
}

func TestFlushPassesOnAllEvents(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	s.handle(open(1, "", remote), open(2, "", remote), data(1, "a"), unknownOf(testPID, 9))
	s.Inject(data(2, ""))
	s.Flush()
	assert.Equal(t, []string{
		"open 1 10.0.0.9:0>10.0.0.2:80 container", "data 1 a", "open 2 10.0.0.9:0>10.0.0.2:80 container", "data 2 ",
	}, s.take())
	assert.EqualValues(t, 2, s.Stats().Incomplete[pending.CauseFlushed].Load())
	assertNothingWaits(t, s)
}

// found is a socket of procfs.
func found(local, remote string) procfs.Socket {
	return procfs.Socket{Inode: 77, NetNS: testNetNS, Local: address(local), Remote: address(remote), State: procfs.StateEstablished}
}

func TestProcfsIsAskedAfterAWhile(t *testing.T) {
	s := newScene(t, Limits{LookupAfter: 20 * time.Millisecond}, nil)
	q := s.resolver.question(testPID, 1)
	s.handle(open(1, "", remote), data(1, "a"))
	s.pass(18 * time.Millisecond)
	assert.Empty(t, s.resolver.asked)
	s.pass(2 * time.Millisecond)
	assert.Equal(t, []descriptor{{testPID, 1}}, s.resolver.asked)
	s.pass(100 * time.Millisecond)
	assert.Empty(t, s.take())
	q.Answer(found(local, remote), nil)
	s.pass(2 * time.Millisecond)
	assert.Equal(t, []string{"open 1 10.0.0.1:50000>10.0.0.2:80 proc", "data 1 a"}, s.take())
	assert.EqualValues(t, 1, s.Stats().Completed[event.AddressSourceProc].Load())
	s.pass(2 * time.Second)
	assert.Len(t, s.resolver.asked, 1)
	assert.Empty(t, s.asked)
}

func TestProcfsIsAskedAgainBeforeTheTimeIsUp(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	s.resolver.question(testPID, 1).Answer(procfs.Socket{}, procfs.ErrNotListed)
	s.handle(open(1, "", remote))
	s.pass(700 * time.Millisecond)
	assert.Len(t, s.resolver.asked, 1)
	s.resolver.question(testPID, 1).Answer(found(local, remote), nil)
	s.pass(200 * time.Millisecond)
	assert.Equal(t, []string{"open 1 10.0.0.1:50000>10.0.0.2:80 proc"}, s.take())
	assert.Len(t, s.resolver.asked, 2)
}

func TestProcfsAnswerCompletesTheSocket(t *testing.T) {
	other := found(local, remote)
	other.Transport = procfs.UDP
	for name, test := range map[string]struct {
		socket   procfs.Socket
		err      error
		complete bool
		counted  Lookup
	}{
		"fits":                     {socket: found(local, remote), complete: true, counted: LookupFound},
		"is of another connection": {socket: found(local, "10.0.0.3:80"), counted: LookupReused},
		"is of another transport":  {socket: other, counted: LookupReused},
		"is no answer":             {err: errTest, counted: LookupFailed},
		"is that there is none":    {err: procfs.ErrGone, counted: LookupGone},
		"is that it is no socket":  {err: procfs.ErrNotSocket, counted: LookupGone},
		"is that it is not listed": {err: procfs.ErrNotListed, counted: LookupNotListed},
		"is that too many ask":     {err: procfs.ErrTooMany, counted: LookupRefused},
		"is that the end has come": {err: procfs.ErrClosed, counted: LookupUnneeded},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, Limits{Timeout: 100 * time.Millisecond, LookupAfter: 80 * time.Millisecond}, nil)
			s.resolver.question(testPID, 1).Answer(test.socket, test.err)
			s.handle(open(1, "", remote))
			s.pass(90 * time.Millisecond)
			assert.Equal(t, test.complete, len(s.take()) > 0)
			for lookup := range Lookups {
				want := uint64(0)
				if lookup == test.counted {
					want = 1
				}
				assert.Equal(t, want, s.Stats().Lookups[lookup].Load(), "%s", lookup)
			}
		})
	}
}

// The descriptor was reused before procfs was asked, and the close was on its way.
func TestProcfsAnswerDoesNotOvertakeTheClose(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	q := s.resolver.question(testPID, 1)
	s.handle(open(1, "", remote))
	s.pass(25 * time.Millisecond)
	require.Len(t, s.resolver.asked, 1)
	q.Answer(found("10.0.0.1:60000", remote), nil)
	s.pass(time.Millisecond)
	s.handle(closing(1))
	s.pass(time.Second)
	assert.Equal(t, []string{"open 1 10.0.0.9:0>10.0.0.2:80 container", "close 1 10.0.0.9:0>10.0.0.2:80 container"}, s.take())
	assert.EqualValues(t, 1, s.Stats().Lookups[LookupUnneeded].Load())
}

// A server that answers all clients on one socket: no call will name its address, so the wait ends.
func TestDatagramsOfASocketWithoutAnAddressDoNotWaitForLong(t *testing.T) {
	for name, test := range map[string]struct{ local, found, want string }{
		"its port was known":   {"0.0.0.0:53", "0.0.0.0:53", "10.0.0.9:53"},
		"its port is chosen":   {"", "0.0.0.0:40000", "10.0.0.9:40000"},
		"its address is known": {"", "10.0.0.7:53", "10.0.0.7:53"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, Limits{}, nil)
			answer := found(test.found, "")
			answer.Transport, answer.State = procfs.UDP, procfs.StateClose
			s.resolver.question(testPID, 1).Answer(answer, nil)
			s.handle(over(event.UDP, accepted(1, test.local, local)), data(1, "a"))
			s.pass(30 * time.Millisecond)
			got := s.take()
			require.Len(t, got, 2)
			assert.True(t, strings.HasPrefix(got[0], "open 1 "+test.want+">10.0.0.1:50000"), got[0])
			assert.Zero(t, s.Stats().Lookups[LookupReused].Load())
			assertNothingWaits(t, s)
		})
	}
}

// A resolver asks one question, and closes its socket.
func TestDatagramsOfAClosedSocketDoNotWaitForLong(t *testing.T) {
	for name, test := range map[string]struct {
		socket procfs.Socket
		err    error
		waits  bool
	}{
		"its descriptor is gone":         {err: procfs.ErrGone},
		"its descriptor is a file's":     {err: procfs.ErrNotSocket},
		"its descriptor is a TCP socket": {socket: found(local, remote)},
		"that is not known":              {err: procfs.ErrTooMany, waits: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, Limits{}, nil)
			s.resolver.question(testPID, 1).Answer(test.socket, test.err)
			s.handle(over(event.UDP, open(1, "", remote)), data(1, "a"))
			s.pass(30 * time.Millisecond)
			if test.waits {
				assert.Empty(t, s.take())
				return
			}
			assert.Equal(t, []string{"open 1 10.0.0.9:0>10.0.0.2:80 container", "data 1 a"}, s.take())
			assert.EqualValues(t, 1, s.Stats().Incomplete[pending.CauseEnded].Load())
			assertNothingWaits(t, s)
		})
	}
}

func TestProcfsIsNotAskedIfThatIsNotWanted(t *testing.T) {
	s := newScene(t, Limits{Timeout: 100 * time.Millisecond, LookupAfter: 200 * time.Millisecond}, nil)
	s.handle(open(1, "", remote))
	s.pass(300 * time.Millisecond)
	assert.Empty(t, s.resolver.asked)
	assert.Len(t, s.take(), 1)
}

// Many sockets may be due at once. Each is asked about, in whatever order they are completed.
func TestAllThatAreDueAreAskedAbout(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	for i := range uint64(10) {
		s.handle(open(i+1, "", remote))
	}
	for _, done := range []uint64{1, 5, 10} {
		s.handle(named(done, local, "", event.AddressSourceGetsockname))
	}
	s.pass(100 * time.Millisecond)
	var fds []uint32
	for _, d := range s.resolver.asked {
		fds = append(fds, d.fd)
	}
	assert.Equal(t, []uint32{2, 3, 4, 6, 7, 8, 9}, fds)
	s.pass(time.Second)
	assert.Len(t, s.resolver.asked, 14, "twice")
	assertNothingWaits(t, s)
}

func TestOwners(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	s.resolver.gone = map[uint32]bool{11: true}
	by := func(id process.ID, e event.Event) event.Event {
		e.Owner = id
		return e
	}
	zero := by(process.ID{PID: testPID}, data(4, ""))
	described := by(name(testPID), event.Event{Kind: event.KindProcess})
	described.Process = &process.Snapshot{ID: name(testPID)}
	s.handle(
		described,
		open(1, local, remote),
		by(name(11), open(2, local, remote)),
		by(process.ID{PID: testPID, Start: 2}, open(3, local, remote)), // who had the pid before the one that has it now began
		zero,
		by(name(testPID), event.Event{Kind: event.KindExit}),
		by(name(12), event.Event{Kind: event.KindExit}),
	)
	want := []struct {
		id    process.ID
		netns uint32
	}{
		{process.ID{PID: testPID, Start: testStart}, testNetNS},
		{process.ID{PID: testPID, Start: testStart}, testNetNS},
		{process.ID{PID: 11, Start: seenAt}, 0},
		{process.ID{PID: testPID, Start: 2}, 0},
		{process.ID{PID: testPID}, 0},
		{process.ID{PID: testPID, Start: testStart}, 0},
		{process.ID{PID: 12, Start: seenAt}, 0},
	}
	require.Len(t, s.raw, len(want))
	for i := range want {
		assert.Equal(t, want[i].id, s.raw[i].Owner, i)
		assert.Equal(t, want[i].netns, s.raw[i].Flow.NetNS, i)
	}
	assert.Equal(t, want[0].id, s.raw[0].Process.ID)
	assert.Equal(t, 3, s.resolver.processes, "each is looked at once")
	s.handle(open(4, local, remote))
	assert.Equal(t, 4, s.resolver.processes, "one that has ended is forgotten")
	s.handle(of(event.KindExit, 0), open(5, local, remote))
	assert.Equal(t, 5, s.resolver.processes)
}

func TestReachedIsTheTimeOfTheOldestEventThatWaits(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	assert.Equal(t, s.now, s.Reached(s.now))
	s.handle(open(1, "", remote))
	first := s.now
	s.handle(open(2, "", remote))
	second := s.now
	assert.Equal(t, first, s.Reached(s.now+1))
	assert.Equal(t, first-1, s.Reached(first-1))
	s.handle(named(1, local, "", event.AddressSourceGetsockname))
	assert.Equal(t, second, s.Reached(s.now))
	s.handle(named(2, local, "", event.AddressSourceGetsockname))
	assert.Equal(t, s.now, s.Reached(s.now))
}

// A shard that reads its events late finds that the process has ended.
func TestOwnerIsTheSameInAllShards(t *testing.T) {
	shared, err := NewShared(Limits{})
	require.NoError(t, err)
	first, second := newSceneOf(t, shared, nil), newSceneOf(t, shared, nil)
	first.handle(open(1, local, remote))
	second.resolver.gone = map[uint32]bool{testPID: true}
	second.handle(open(2, local, remote))
	assert.Equal(t, process.ID{PID: testPID, Start: testStart}, first.raw[0].Owner)
	assert.Equal(t, first.raw[0].Owner, second.raw[0].Owner)
}

func TestProcessEventRefreshesTheOwner(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	described := of(event.KindProcess, 0)
	described.Owner = name(testPID)
	s.handle(open(1, local, remote), described, open(2, local, remote))
	assert.Equal(t, 2, s.resolver.processes)
	s.resolver.gone = map[uint32]bool{testPID: true}
	s.handle(described, open(3, local, remote))
	last := s.raw[len(s.raw)-1]
	assert.EqualValues(t, testStart, last.Owner.Start, "who it was is known")
	assert.Zero(t, last.Flow.NetNS, "where it went is not")
	assert.Equal(t, []owner{{id: described.Owner, netns: testNetNS}}, s.kernel.located, "for its children")
	described.Flow.NetNS = 7
	s.handle(described, open(4, local, remote))
	assert.EqualValues(t, 7, s.raw[len(s.raw)-1].Flow.NetNS, "the kernel side knew")
}

// A namespace that cannot be read is read again, at most maxTries times.
func TestUnreadableNamespaceIsReadAgain(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	s.resolver.hidden = map[uint32]bool{testPID: true}
	s.handle(open(1, local, remote), open(2, local, remote))
	assert.Zero(t, s.raw[1].Flow.NetNS)
	s.resolver.hidden = nil
	s.handle(open(3, local, remote))
	assert.EqualValues(t, testNetNS, s.raw[2].Flow.NetNS)
	s.handle(open(4, local, remote))
	assert.Equal(t, 3, s.resolver.processes, "it is known now")

	s = newScene(t, Limits{}, nil)
	s.resolver.hidden = map[uint32]bool{testPID: true}
	for cookie := range uint64(100) {
		s.handle(open(1+cookie, local, remote))
	}
	assert.Equal(t, 1+maxTries, s.resolver.processes)
}

func TestProcessesAreBounded(t *testing.T) {
	s := newScene(t, Limits{}, func(o *Options) { o.Processes = 2 })
	for _, pid := range []uint32{10, 11, 12, 10} {
		e := open(uint64(pid), local, remote)
		e.Owner = name(pid)
		s.handle(e)
	}
	assert.Equal(t, 4, s.resolver.processes)
	assert.Equal(t, 2, s.owners.cache.Len())
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := NewShared(Limits{Items: -1})
	assert.ErrorContains(t, err, "must not be negative")
	_, err = New(Options{})
	assert.ErrorContains(t, err, "an option is missing")
	s := newScene(t, Limits{}, nil)
	o := s.opts
	o.Sockets = -1
	_, err = New(o)
	assert.ErrorContains(t, err, "capacity -1")
	o.Sockets, o.Processes = 1, -1
	_, err = New(o)
	assert.ErrorContains(t, err, "-1 processes")
}

func TestNames(t *testing.T) {
	var names []string
	for c := range pending.Causes + 1 {
		names = append(names, CauseName(c))
	}
	for r := range Results + 1 {
		names = append(names, r.String())
	}
	assert.NotContains(t, names, "")
	slices.Sort(names)
	assert.Len(t, slices.Compact(names), int(pending.Causes)+int(Results)+1)
}

// TestNameOfTheProcessThatAnEventIsAbout: the kernel side's name is known while the event is passed on.
func TestNameOfTheProcessThatAnEventIsAbout(t *testing.T) {
	var got []process.ID
	s := newScene(t, Limits{}, nil)
	s.opts.Next = func(e *event.Event) {
		name, known := s.NameOf(e.Owner)
		if _, other := s.NameOf(process.ID{PID: 1, Start: 1}); !known || other {
			t.Errorf("%v has the name %v, known %v; another's known %v", e.Owner, name, known, other)
		}
		got = append(got, name)
	}
	other := of(event.KindProcess, 0)
	other.Owner = name(testPID + 1)
	s.handle(of(event.KindProcess, 0), other, open(1, local, remote))
	assert.Equal(t, []process.ID{name(testPID), name(testPID + 1), name(testPID)}, got)
}
