package fdtrack

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/procfs"
)

// hostScene is a Tracker that asks this host's procfs, and a connection of this process with itself.
type hostScene struct {
	*scene
	resolver       *procfs.Resolver
	client, server net.Conn
}

func newHostScene(t *testing.T) *hostScene {
	t.Helper()
	r, err := procfs.New(procfs.Options{})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	h := &hostScene{resolver: r, scene: newScene(t, Limits{Timeout: time.Hour}, func(o *Options) { o.Resolver = r })}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	h.client, err = net.Dial("tcp4", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, h.client.Close()) })
	h.server, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, h.server.Close()) })
	return h
}

func descriptorOf(t *testing.T, c net.Conn) uint32 {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	var number uintptr
	require.NoError(t, raw.Control(func(fd uintptr) { number = fd }))
	return uint32(number)
}

// await lets time pass until something has been emitted.
func (h *hostScene) await() []string {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		h.pass(time.Millisecond)
		return len(h.emitted) > 0
	}, 20*time.Second, time.Millisecond)
	return h.take()
}

func self() process.ID { return process.ID{PID: uint32(os.Getpid()), Start: 1 << 62} }

func TestProcfsCompletesAConnectionOfThisProcess(t *testing.T) {
	h := newHostScene(t)
	for cookie, c := range map[uint64]net.Conn{1: h.client, 2: h.server} {
		e := open(cookie, "", c.RemoteAddr().String())
		e.Owner, e.FD = self(), descriptorOf(t, c)
		h.handle(e)
		h.pass(20 * time.Millisecond)
		assert.Equal(t, []string{fmt.Sprintf("open %d %s>%s proc", cookie, c.LocalAddr(), c.RemoteAddr())}, h.await())
		p, err := h.resolver.Process(self().PID)
		require.NoError(t, err)
		last := h.raw[len(h.raw)-1]
		assert.Equal(t, p.Start, last.Owner.Start)
		assert.Equal(t, p.NetNS, last.Flow.NetNS)
	}
}

func TestDescriptorsOfThisProcessThatAreNotKnown(t *testing.T) {
	h := newHostScene(t)
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close() //nolint:errcheck // nothing depends on it
	for _, fd := range []uint32{uint32(null.Fd()), descriptorOf(t, h.server)} {
		h.handle(event.Event{Kind: event.KindUnknown, Owner: self(), FD: fd})
	}
	assert.Equal(t, []string{fmt.Sprintf("existing 1001 %s>%s proc", h.server.LocalAddr(), h.server.RemoteAddr())}, h.await())
	assert.Equal(t, event.RoleServer, h.raw[0].Flow.Role)
	assert.Equal(t, []string{
		fmt.Sprintf("reject %d/%d", os.Getpid(), null.Fd()), fmt.Sprintf("adopt %d/%d as 1001", os.Getpid(), descriptorOf(t, h.server)),
	}, h.kernel.answers)
}

func TestSocketsOfThisHostThatAreOlder(t *testing.T) {
	h := newHostScene(t)
	duplicate, err := unix.FcntlInt(uintptr(descriptorOf(t, h.client)), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(duplicate) //nolint:errcheck // nothing depends on it
	require.NoError(t, Existing(t.Context(), h.resolver, []*Tracker{h.Tracker}, 0))
	h.Tick(h.now)
	byLocal := make(map[netip.AddrPort]event.Event)
	for _, e := range h.raw {
		byLocal[e.Flow.Local] = e
	}
	for c, role := range map[net.Conn]event.Role{h.client: event.RoleClient, h.server: event.RoleServer} {
		e, ok := byLocal[netip.MustParseAddrPort(c.LocalAddr().String())]
		require.True(t, ok)
		assert.Equal(t, c.RemoteAddr().String(), e.Flow.Remote.String())
		assert.Equal(t, role, e.Flow.Role)
		assert.Equal(t, self().PID, e.Owner.PID)
		assert.Contains(t, h.kernel.answers, fmt.Sprintf("adopt %d/%d as %d", os.Getpid(), descriptorOf(t, c), e.Flow.Cookie))
		if c == h.client {
			assert.Contains(t, h.kernel.answers, fmt.Sprintf("adopt %d/%d as %d", os.Getpid(), duplicate, e.Flow.Cookie))
			assert.Equal(t, 2, h.sockets[e.Flow.Cookie].holders)
		}
	}
}
