package fdtrack

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/procfs"
)

func TestDescriptorsThatTheKernelSideDoesNotKnow(t *testing.T) {
	listening := found("0.0.0.0:80", "")
	listening.State = procfs.StateListen
	server := found(local, remote)
	server.Listened = true
	client := found(local, remote)
	client.PeerListened = true
	datagrams := found("0.0.0.0:53", "")
	datagrams.Transport, datagrams.State = procfs.UDP, procfs.StateClose
	connected := found(local, remote)
	connected.Transport, connected.PeerListened = procfs.UDP, true
	stream := procfs.Socket{Inode: 5, NetNS: testNetNS, Transport: procfs.UnixStream, State: procfs.StateEstablished}
	named := stream
	named.Name, named.Listened = "/run/s", true
	const (
		adopted      = "adopt 10/9 as 1001"
		rejected     = "reject 10/9"
		existing     = "existing 1001 10.0.0.1:50000>10.0.0.2:80 proc"
		existingUnix = "existing 1001 -:0>-:0 proc"
	)
	for name, test := range map[string]struct {
		socket  procfs.Socket
		err     error
		result  Result
		kernel  string // the answer to the kernel side; "": none
		emitted string // "": nothing
		role    event.Role
	}{
		"a client":                     {client, nil, ResultSocket, adopted, existing, event.RoleClient},
		"one of either side":           {found(local, remote), nil, ResultSocket, adopted, existing, event.RoleUnknown},
		"a server":                     {server, nil, ResultSocket, adopted, existing, event.RoleServer},
		"a listener":                   {listening, nil, ResultSocket, adopted + " listening", "", 0},
		"one for datagrams":            {datagrams, nil, ResultSocket, adopted, "", 0},
		"one for datagrams to one end": {connected, nil, ResultSocket, adopted, "", 0},
		"a Unix socket":                {stream, nil, ResultSocket, adopted, existingUnix, event.RoleUnknown},
		"one with a name":              {named, nil, ResultSocket, adopted, existingUnix, event.RoleServer},
		"no socket":                    {procfs.Socket{}, procfs.ErrNotSocket, ResultNotSocket, rejected, "", 0},
		"one not followed":             {procfs.Socket{}, procfs.ErrNotListed, ResultNotSocket, rejected, "", 0},
		"one that is hidden":           {procfs.Socket{}, errTest, ResultFailed, rejected, "", 0},
		"one that is closed":           {procfs.Socket{}, procfs.ErrGone, ResultGone, "", "", 0},
		"one too many":                 {procfs.Socket{}, procfs.ErrTooMany, ResultDropped, "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, Limits{}, nil)
			q := s.resolver.question(testPID, 9)
			s.handle(unknownOf(testPID, 9), unknownOf(testPID, 9))
			s.pass(5 * time.Millisecond)
			assert.Empty(t, s.kernel.answers)
			q.Answer(test.socket, test.err)
			s.pass(time.Millisecond)
			assert.Equal(t, lines(test.kernel), s.kernel.answers)
			assert.Equal(t, lines(test.emitted), s.take())
			assert.EqualValues(t, 1, s.Stats().Unknown[test.result].Load())
			assert.Empty(t, s.resolves)
			for _, e := range s.raw {
				assert.Equal(t, test.role, e.Flow.Role)
				assert.True(t, e.Existing)
				assert.EqualValues(t, testNetNS, e.Flow.NetNS)
				assert.EqualValues(t, testStart, e.Owner.Start)
				assert.Equal(t, event.StateEstablished, e.Ending.LastState)
			}
			if test.result == ResultSocket {
				s.handle(closing(1001))
				assert.Len(t, s.take(), len(lines(test.emitted)), "a close for each open")
			}
			assert.Empty(t, s.shared.inodes.known)
		})
	}
}

func TestTransportsAreNumberedAlike(t *testing.T) {
	for from, want := range map[procfs.Transport]event.Transport{
		procfs.TCP: event.TCP, procfs.UDP: event.UDP, procfs.UnixStream: event.UnixStream,
	} {
		assert.Equal(t, want, transportOf(&procfs.Socket{Transport: from}))
	}
	assert.EqualValues(t, event.Transports, procfs.Transports)
}

// lines is a text as a list of at most one.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func TestWhatTheKernelRefusesIsCounted(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	s.kernel.fail = errTest
	s.resolver.question(testPID, 9).Answer(found(local, remote), nil)
	s.resolver.question(testPID, 8).Answer(procfs.Socket{}, procfs.ErrNotSocket)
	s.handle(unknownOf(testPID, 9), unknownOf(testPID, 8))
	assert.EqualValues(t, 1, s.Stats().AdoptsFailed.Load())
}

func TestTooManyDescriptorsThatAreNotKnown(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	for fd := range uint32(maxUnknown + 3) {
		s.resolver.question(testPID, fd)
		s.handle(unknownOf(testPID, fd))
	}
	assert.Len(t, s.unknowns, maxUnknown)
	assert.EqualValues(t, 3, s.Stats().Unknown[ResultDropped].Load())
	s.Flush()
	assert.EqualValues(t, maxUnknown, s.Stats().Unknown[ResultGone].Load())
}

// While procfs is asked the first question, the descriptor's number becomes a socket's, and then that of a file with a second question.
// The socket that was found is not followed, and the second question gets an answer of its own.
func TestAnswerToAnOldQuestionIsIgnored(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	query := s.resolver.question(testPID, 9)
	first, second := unknownOf(testPID, 9), unknownOf(testPID, 9)
	first.Flow.Cookie, second.Flow.Cookie = 100, 200
	s.handle(first)
	s.kernel.last = 200
	s.handle(second)
	assert.Len(t, s.unknowns, 2)
	query.Answer(found(local, remote), nil)
	s.Tick(s.now)
	assert.EqualValues(t, 1, s.Stats().Unknown[ResultKnown].Load(), "the answer to the first question")
	assert.Equal(t, []string{"adopt 10/9 as 1001"}, s.kernel.answers, "the answer to the second question")
}

// Two descriptors lead to one socket: a child has inherited it before the programs were attached.
func TestASecondDescriptorOfASocketIsRecognised(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	s.resolver.question(testPID, 9).Answer(found(local, remote), nil)
	s.resolver.question(11, 9).Answer(found(local, remote), nil)
	s.handle(unknownOf(testPID, 9), unknownOf(11, 9), closing(1001))
	assert.Equal(t, []string{"adopt 10/9 as 1001", "adopt 11/9 as 1001"}, s.kernel.answers)
	assert.EqualValues(t, 1, s.Stats().Unknown[ResultKnown].Load())
	assert.Equal(t, []string{"existing 1001 10.0.0.1:50000>10.0.0.2:80 proc"}, s.take())
	s.handle(closing(1001))
	assert.Equal(t, []string{"close 1001 10.0.0.1:50000>10.0.0.2:80 proc"}, s.take())
	assert.Empty(t, s.shared.inodes.known)
}

func TestASocketInAMessage(t *testing.T) {
	unix := procfs.Socket{Inode: 5, NetNS: testNetNS, Transport: procfs.UnixStream, State: procfs.StateEstablished}
	unnamed := open(1, "", "")
	unnamed.Flow.Transport, unnamed.Flow.Unix = event.UnixStream, &event.Unix{}
	for name, test := range map[string]struct {
		before  []event.Event
		landing procfs.Socket
		claimed bool
	}{
		"sent when complete":       {[]event.Event{open(1, local, remote), hold(1, inFlight)}, found(local, remote), true},
		"sent before it was known": {[]event.Event{hold(1, inFlight), open(1, local, remote)}, found(local, remote), true},
		"completed in flight": {
			[]event.Event{open(1, "", remote), hold(1, inFlight), named(1, local, "", event.AddressSourceGetsockname)},
			found(local, remote), true,
		},
		"not complete":          {[]event.Event{open(1, "", remote), hold(1, inFlight)}, found(local, remote), true},
		"of another connection": {[]event.Event{open(1, local, remote), hold(1, inFlight)}, found(local, "10.0.0.3:80"), false},
		"one of two that fit": {
			[]event.Event{open(1, "", remote), hold(1, inFlight), open(2, "", remote), hold(2, inFlight)}, found(local, remote), false,
		},
		"closed in inFlightFD": {
			[]event.Event{open(1, local, remote), hold(1, inFlight), closing(1), closing(1)}, found(local, remote), false,
		},
		"a Unix socket": {[]event.Event{unnamed, hold(1, inFlight)}, unix, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, Limits{}, nil)
			s.resolver.question(11, 9).Answer(test.landing, nil)
			s.handle(test.before...)
			s.handle(unknownOf(11, 9))
			if !test.claimed {
				assert.Equal(t, []string{"adopt 11/9 as 1001"}, s.kernel.answers)
				return
			}
			assert.Equal(t, []string{"adopt 11/9 as 1"}, s.kernel.answers)
			assert.EqualValues(t, 1, s.Stats().Unknown[ResultInFlight].Load())
			// The message has been received, so that no second socket can match it.
			s.resolver.question(12, 9).Answer(test.landing, nil)
			s.handle(unknownOf(12, 9))
			assert.Equal(t, "adopt 12/9 as 1001", s.kernel.answers[1])
			s.take()
			s.handle(closing(1))
			assert.Empty(t, s.take(), "the receiver still has it")
			s.handle(closing(1))
			assert.Equal(t, event.KindClose, s.raw[len(s.raw)-1].Kind)
			assert.EqualValues(t, 1, s.Stats().Sockets.Load(), "the second")
		})
	}
}

// Another shard follows the socket that is received.
func TestASocketOfAnotherShardIsReceived(t *testing.T) {
	shared, err := NewShared(Limits{})
	require.NoError(t, err)
	a, b := newSceneOf(t, shared, nil), newSceneOf(t, shared, nil)
	a.handle(open(1, "", remote), hold(1, inFlight))
	b.resolver.question(11, 9).Answer(found(local, remote), nil)
	b.handle(unknownOf(11, 9))
	assert.Equal(t, []string{"adopt 11/9 as 1"}, b.kernel.answers)
	a.Tick(a.now)
	assert.Equal(t, []string{"open 1 10.0.0.1:50000>10.0.0.2:80 proc"}, a.take(), "its address came to light")
	b.resolver.question(12, 3).Answer(found("10.0.0.1:1", remote), nil)
	b.handle(unknownOf(12, 3))
	assert.Equal(t, []string{"existing 1001 10.0.0.1:1>10.0.0.2:80 proc"}, b.take())
	a.resolver.question(13, 3).Answer(found("10.0.0.1:1", remote), nil)
	a.handle(unknownOf(13, 3))
	assert.Equal(t, []string{"adopt 13/3 as 1001"}, a.kernel.answers)
	b.handle(closing(1001))
	assert.Empty(t, b.take(), "the holder came from the other shard")
	b.handle(closing(1001))
	assert.Len(t, b.take(), 1)
}

func TestTooManyMessagesInFlight(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	s.handle(open(1, local, remote), hold(1, inFlight), hold(1, inFlight), closing(1), open(2, local, remote), hold(2, inFlight))
	s.take()
	for cookie := range uint64(maxInFlightFDs) {
		s.handle(hold(100+cookie, inFlight))
	}
	s.Tick(s.now)
	assert.Equal(t, []string{"close 1 10.0.0.1:50000>10.0.0.2:80 connect"}, s.take(), "nobody is known to hold it")
	assert.True(t, s.raw[len(s.raw)-1].Ending.Uncounted)
	assert.EqualValues(t, 3, s.Stats().HoldersLost.Load())
	s.handle(closing(2))
	assert.Len(t, s.take(), 1)
}

// scanner is a Scanner that lists the given descriptors.
type scanner struct {
	fakeResolver
	descriptors []procfs.Descriptor
	err         error
}

func (s *scanner) Scan(_ context.Context, skip uint32, f func(procfs.Descriptor) error) error {
	for _, d := range s.descriptors {
		if d.PID == skip {
			continue
		}
		if err := f(d); err != nil {
			return err
		}
	}
	return s.err
}

func TestSocketsOlderThanTheCapture(t *testing.T) {
	shared, err := NewShared(Limits{})
	require.NoError(t, err)
	a := newSceneOf(t, shared, nil)
	b := newSceneOf(t, shared, func(o *Options) { o.NewCookie, o.Kernel = func() uint64 { return 2002 }, a.kernel })
	one, two := found(local, remote), found("10.0.0.1:2", remote)
	listening, pending := found("0.0.0.0:80", ""), found("10.0.0.1:3", remote)
	two.Inode, listening.Inode, pending.Inode = 78, 79, 80
	listening.State, pending.State = procfs.StateListen, procfs.StateSynSent
	x := &scanner{err: errTest, descriptors: []procfs.Descriptor{
		{PID: 10, FD: 3, Socket: &one}, {PID: 10, FD: 4, Socket: &one}, {PID: 10, FD: 5, Socket: &two}, {PID: 11, FD: 3, Socket: &one},
		{PID: 11, FD: 7, Socket: &listening}, {PID: 12, FD: 7, Socket: &listening}, {PID: 12, FD: 8, Socket: &pending},
		{PID: 13, FD: 3, Socket: &two}, {PID: 99, FD: 3, Socket: &two}, {PID: 14, FD: 3, Socket: &two},
	}}
	x.gone = map[uint32]bool{13: true}
	a.kernel.settled = map[descriptor]bool{{14, 3}: true} // by an accept
	assert.ErrorIs(t, Existing(t.Context(), x, []*Tracker{a.Tracker, b.Tracker}, 99), errTest)
	a.Tick(a.now)
	b.Tick(b.now)
	assert.Equal(t, []string{"existing 1001 10.0.0.1:50000>10.0.0.2:80 proc"}, a.take())
	assert.Equal(t, []string{"existing 2002 10.0.0.1:2>10.0.0.2:80 proc"}, b.take())
	assert.Equal(t, []string{
		"adopt 10/3 as 1001", "adopt 10/4 as 1001", "adopt 10/5 as 2002", "adopt 11/3 as 1001", "adopt 11/7 as 1002 listening",
		"adopt 12/7 as 1002 listening",
	}, a.kernel.answers)
	assert.EqualValues(t, testStart, a.raw[0].Owner.Start)
	assert.Equal(t, a.now, a.raw[0].Time)
	a.handle(closing(1001), closing(1001), closing(1002), closing(1002))
	assert.Empty(t, a.take())
	a.handle(closing(1001))
	assert.Len(t, a.take(), 1)
	assert.Zero(t, a.Stats().Sockets.Load())
}

// A descriptor that an accept made during the scan is not older. Nor is one that leads to another socket in the second scan.
func TestSocketsThatAreNotOlder(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	one, other := found(local, remote), found(local, remote)
	other.Inode++
	x := &turningScanner{turns: [][]procfs.Descriptor{
		{{PID: 10, FD: 3, Socket: &one}, {PID: 10, FD: 4, Socket: &one}},
		{{PID: 10, FD: 3, Socket: &other}, {PID: 10, FD: 4, Socket: &one}, {PID: 10, FD: 5, Socket: &one}},
	}}
	x.between = func() { s.kernel.settled = map[descriptor]bool{{10, 4}: true} }
	require.NoError(t, Existing(t.Context(), x, []*Tracker{s.Tracker}, 0))
	assert.Empty(t, s.kernel.answers)
}

// turningScanner lists something else each time.
type turningScanner struct {
	scanner
	turns   [][]procfs.Descriptor
	between func()
}

func (s *turningScanner) Scan(ctx context.Context, skip uint32, f func(procfs.Descriptor) error) error {
	s.descriptors, s.turns = s.turns[0], s.turns[1:]
	err := s.scanner.Scan(ctx, skip, f)
	s.between()
	return err
}

func TestExistingNeedsATracker(t *testing.T) {
	assert.ErrorContains(t, Existing(t.Context(), &scanner{}, nil, 0), "nobody")
}

func TestTheScanWaitsForTheTrackers(t *testing.T) {
	s := newScene(t, Limits{}, nil)
	for range maxInbox {
		s.Inject(of(event.KindLive, 1))
	}
	one := found(local, remote)
	x := &scanner{descriptors: []procfs.Descriptor{{PID: 10, FD: 3, Socket: &one}}}
	ctx, cancel := context.WithTimeout(t.Context(), settling+20*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, Existing(ctx, x, []*Tracker{s.Tracker}, 0), context.DeadlineExceeded)
	done := make(chan error)
	go func() { done <- Existing(t.Context(), x, []*Tracker{s.Tracker}, 0) }()
	s.Tick(s.now)
	require.NoError(t, <-done)
	s.Tick(s.now)
	assert.Equal(t, event.KindExisting, s.raw[len(s.raw)-1].Kind)
}

// Injected events are handled once each, in order, while others are.
func TestInjectionFromOtherGoroutines(t *testing.T) {
	s := newScene(t, Limits{}, func(o *Options) { o.Sockets = 1 << 20 })
	const injectors, each = 4, 2000
	var working sync.WaitGroup
	for i := range uint64(injectors) {
		working.Go(func() {
			for n := range uint64(each) {
				e := open(1+i*each+n, local, remote)
				e.Kind = event.KindExisting
				s.Inject(e)
				s.Inject(hold(1+i*each+n, 4))
			}
		})
	}
	done := make(chan struct{})
	go func() {
		working.Wait()
		close(done)
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		s.handle(data(1<<40, ""))
		s.Tick(s.now)
		s.Stats().Sockets.Load()
	}
	last := make(map[uint64]uint64)
	count := 0
	for i := range s.raw {
		if e := &s.raw[i]; e.Kind == event.KindExisting {
			injector := (e.Flow.Cookie - 1) / each
			require.Greater(t, e.Flow.Cookie, last[injector])
			last[injector] = e.Flow.Cookie
			count++
		}
	}
	assert.Equal(t, injectors*each, count)
	for cookie := range uint64(injectors * each) {
		require.Equal(t, 2, s.sockets[1+cookie].holders)
	}
}
