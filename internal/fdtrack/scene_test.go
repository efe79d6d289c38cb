package fdtrack

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
)

const (
	testPID    = 10
	testNetNS  = 4026531840
	testStart  = 4711 // of testPID
	seenAt     = 9000 // when the kernel side saw a process first
	local      = "10.0.0.1:50000"
	remote     = "10.0.0.2:80"
	containers = "10.0.0.9" // what Source says

	millisecond = uint64(time.Millisecond)
)

// fakeKernel records the answers that it gets.
type fakeKernel struct {
	mu      sync.Mutex
	answers []string
	fail    error
	// settled are the descriptors that are known from a call.
	settled map[descriptor]bool
	last    uint64 // question
	located []owner
}

func (k *fakeKernel) Known(pid, fd uint32) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.settled[descriptor{pid, fd}]
}

func (k *fakeKernel) Locate(name process.ID, netns uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.located = append(k.located, owner{id: name, netns: netns})
}

func (k *fakeKernel) Asked(pid, fd uint32, question uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.settled[descriptor{pid, fd}] && question >= k.last
}

func (k *fakeKernel) Adopt(pid, fd uint32, _ uint64, f *event.Flow, listening bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	text := fmt.Sprintf("adopt %d/%d as %d", pid, fd, f.Cookie)
	if listening {
		text += " listening"
	}
	k.answers = append(k.answers, text)
	return k.fail
}

func (k *fakeKernel) Reject(pid, fd uint32, _ uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.answers = append(k.answers, fmt.Sprintf("reject %d/%d", pid, fd))
	return k.fail
}

// fakeResolver gives the answers that a test sets. It knows testPID and all pids above it, in one network namespace.
type fakeResolver struct {
	mu         sync.Mutex
	gone       map[uint32]bool
	hidden     map[uint32]bool // their network namespaces
	starts     map[uint32]uint64
	queries    map[descriptor]*procfs.Query // none: the descriptor is gone
	noSource   bool
	asked      []descriptor
	processes  int
	sources    int
	sourceWith netip.Addr
}

func (r *fakeResolver) Process(pid uint32) (procfs.Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.processes++
	if r.gone[pid] {
		return procfs.Process{}, procfs.ErrGone
	}
	if r.hidden[pid] {
		return procfs.Process{Start: testStart + uint64(pid) - testPID}, nil
	}
	if start := r.starts[pid]; start != 0 {
		return procfs.Process{Start: start, NetNS: testNetNS}, nil
	}
	return procfs.Process{Start: testStart + uint64(pid) - testPID, NetNS: testNetNS}, nil
}

func (r *fakeResolver) Ask(pid, fd uint32) *procfs.Query {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, descriptor{pid, fd})
	if q := r.queries[descriptor{pid, fd}]; q != nil {
		return q
	}
	q := procfs.NewQuery()
	q.Answer(procfs.Socket{}, procfs.ErrGone)
	return q
}

func (r *fakeResolver) Source(_, _ uint32, to netip.Addr) (netip.Addr, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sources++
	r.sourceWith = to
	switch {
	case r.noSource || !to.IsValid():
		return netip.Addr{}, false
	case to.IsLoopback():
		return to, true
	}
	return netip.MustParseAddr(containers), true
}

// question prepares a query about a descriptor.
func (r *fakeResolver) question(pid, fd uint32) *procfs.Query {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := procfs.NewQuery()
	if r.queries == nil {
		r.queries = make(map[descriptor]*procfs.Query)
	}
	r.queries[descriptor{pid, fd}] = q
	return q
}

// scene is a Tracker and what it emits.
type scene struct {
	*Tracker
	t        *testing.T
	kernel   *fakeKernel
	resolver *fakeResolver
	emitted  []string
	raw      []event.Event
	cookies  atomic.Uint64
	now      uint64
}

func newScene(t *testing.T, limits Limits, change func(*Options)) *scene {
	t.Helper()
	shared, err := NewShared(limits)
	require.NoError(t, err)
	return newSceneOf(t, shared, change)
}

func newSceneOf(t *testing.T, shared *Shared, change func(*Options)) *scene {
	t.Helper()
	s := &scene{t: t, kernel: &fakeKernel{}, resolver: &fakeResolver{}, now: 1000 * millisecond}
	s.cookies.Store(1000)
	o := Options{
		Shared: shared, Kernel: s.kernel, Resolver: s.resolver,
		NewCookie: func() uint64 { return s.cookies.Add(1) },
		Next:      s.next,
	}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	require.NoError(t, err)
	s.Tracker = c
	s.Tick(s.now)
	return s
}

// next writes down an event: kind, cookie, addresses and their source, payload.
func (s *scene) next(e *event.Event) {
	text := fmt.Sprintf("%s %d", e.Kind, e.Flow.Cookie)
	switch e.Kind {
	case event.KindData:
		text += " " + string(e.Data.Payload)
	case event.KindProcess, event.KindExit, event.KindLive:
	default:
		text += fmt.Sprintf(" %s>%s %s", addressText(e.Flow.Local), addressText(e.Flow.Remote), sourceNames[e.Flow.AddressSource])
	}
	s.emitted = append(s.emitted, text)
	kept := *e
	kept.Data.Payload = bytes.Clone(e.Data.Payload)
	s.raw = append(s.raw, kept)
}

var sourceNames = [event.AddressSources]string{
	"sock", "accept", "connect", "getsockname", "getpeername", "container", "proc", "unknown", "tls_record",
}

func addressText(a netip.AddrPort) string {
	host := "-"
	if a.Addr().IsValid() {
		host = a.Addr().String()
	}
	return fmt.Sprintf("%s:%d", host, a.Port())
}

// handle has events handled one after the other, each a millisecond after the one before.
func (s *scene) handle(events ...event.Event) {
	for i := range events {
		s.now += millisecond
		events[i].Time = s.now
		s.Handle(&events[i])
		// The memory is overwritten, as the reader's is.
		for j := range events[i].Data.Payload {
			events[i].Data.Payload[j] = '!'
		}
	}
}

// pass lets time pass, a millisecond at a time.
func (s *scene) pass(d time.Duration) {
	for end := s.now + uint64(d); s.now < end; {
		s.now += millisecond
		s.Tick(s.now)
	}
}

// take returns what has been emitted since the last call.
func (s *scene) take() []string {
	emitted := s.emitted
	s.emitted = nil
	return emitted
}

func address(text string) netip.AddrPort {
	if text == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(text)
}

func name(pid uint32) process.ID { return process.ID{PID: pid, Start: seenAt} }

func of(kind event.Kind, cookie uint64) event.Event {
	return event.Event{Kind: kind, Owner: name(testPID), Flow: event.Flow{Cookie: cookie}}
}

func open(cookie uint64, local, remote string) event.Event {
	e := of(event.KindOpen, cookie)
	e.FD = uint32(cookie)
	e.Flow.Local, e.Flow.Remote = address(local), address(remote)
	e.Flow.Role, e.Flow.RoleSource, e.Flow.AddressSource = event.RoleClient, event.RoleSourceConnect, event.AddressSourceConnect
	return e
}

func accepted(cookie uint64, local, remote string) event.Event {
	e := open(cookie, local, remote)
	e.Flow.Role, e.Flow.RoleSource, e.Flow.AddressSource = event.RoleServer, event.RoleSourceAccept, event.AddressSourceAccept
	return e
}

func data(cookie uint64, payload string) event.Event {
	e := of(event.KindData, cookie)
	e.Data = event.Data{Length: uint32(len(payload)), Payload: []byte(payload)}
	return e
}

func named(cookie uint64, local, remote string, source event.AddressSource) event.Event {
	e := of(event.KindAddress, cookie)
	e.Flow.Local, e.Flow.Remote, e.Flow.AddressSource = address(local), address(remote), source
	return e
}

func hold(cookie uint64, fd uint32) event.Event {
	e := of(event.KindHold, cookie)
	e.FD = fd
	return e
}

func closing(cookie uint64) event.Event { return of(event.KindClose, cookie) }

// ended is the close of a connection, as the kernel side reports it.
func ended(cookie uint64, local, remote string) event.Event {
	e := closing(cookie)
	e.Flow.Local, e.Flow.Remote = address(local), address(remote)
	e.Started, e.Established = 1, 1
	return e
}

// older is the close of a socket that is older than the kernel programs.
func older(cookie uint64, local, remote string) event.Event {
	e := ended(cookie, local, remote)
	e.Started, e.Established, e.Existing = 0, 0, true
	return e
}

func unknownOf(pid, fd uint32) event.Event {
	return event.Event{Kind: event.KindUnknown, Owner: name(pid), FD: fd}
}

func over(transport event.Transport, e event.Event) event.Event {
	e.Flow.Transport = transport
	if transport == event.UnixStream {
		e.Flow.Unix = &event.Unix{}
		e.Flow.Local, e.Flow.Remote = netip.AddrPort{}, netip.AddrPort{}
	}
	return e
}

var errTest = errors.New("the test says no")
