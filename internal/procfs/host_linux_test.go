package procfs

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/testenv"
)

// descriptorOf is the number of a connection's or listener's descriptor in this process.
func descriptorOf(t *testing.T, c any) uint32 {
	t.Helper()
	s, ok := c.(syscall.Conn)
	require.True(t, ok, "%T", c)
	raw, err := s.SyscallConn()
	require.NoError(t, err)
	var number uintptr
	require.NoError(t, raw.Control(func(fd uintptr) { number = fd }))
	return uint32(number)
}

func self() uint32 { return uint32(os.Getpid()) }

// pair connects a client to a listener, for the length of the test.
func pair(t *testing.T, network, listenOn, dialTo string) (listener net.Listener, client, server net.Conn) {
	t.Helper()
	listener, err := net.Listen(network, listenOn)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, listener.Close()) })
	address := listener.Addr().String()
	if dialTo != "" {
		_, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		address = net.JoinHostPort(dialTo, port)
	}
	network, _, _ = strings.Cut(network, ":")
	client, err = net.Dial(strings.TrimRight(network, "46"), address)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	server, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Close()) })
	return listener, client, server
}

func addrPort(t *testing.T, a net.Addr) netip.AddrPort {
	t.Helper()
	p, err := netip.ParseAddrPort(a.String())
	require.NoError(t, err)
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

func TestSocketsOfThisProcessAreFound(t *testing.T) {
	r := newResolver(t, Options{})
	for name, test := range map[string]struct{ network, listenOn, dialTo string }{
		"IPv4":                   {"tcp4", "127.0.0.1:0", ""},
		"IPv4, any address":      {"tcp4", ":0", "127.0.0.1"},
		"IPv6":                   {"tcp6", "[::1]:0", ""},
		"IPv4, a socket of IPv6": {"tcp", "[::]:0", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, client, server := pair(t, test.network, test.listenOn, test.dialTo)
			for _, c := range []net.Conn{client, server} {
				s, err := answer(t, r.Ask(self(), descriptorOf(t, c)))
				require.NoError(t, err)
				assert.Equal(t, addrPort(t, c.LocalAddr()), s.Local)
				assert.Equal(t, addrPort(t, c.RemoteAddr()), s.Remote)
				assert.Equal(t, TCP, s.Transport)
				assert.Equal(t, StateEstablished, s.State)
				assert.Equal(t, c == server, s.Listened)
				assert.True(t, s.Connected())
				assert.Equal(t, r.own, s.NetNS)
			}
			s, err := answer(t, r.Ask(self(), descriptorOf(t, listener)))
			require.NoError(t, err)
			assert.Equal(t, addrPort(t, listener.Addr()).Port(), s.Local.Port())
			assert.True(t, s.Listening())
			assert.False(t, s.Connected())
			assert.False(t, s.Remote.IsValid())
		})
	}
}

func TestDatagramSocketsOfThisProcessAreFound(t *testing.T) {
	r := newResolver(t, Options{})
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer server.Close() //nolint:errcheck // nothing depends on it
	client, err := net.Dial("udp4", server.LocalAddr().String())
	require.NoError(t, err)
	defer client.Close() //nolint:errcheck // nothing depends on it

	s, err := answer(t, r.Ask(self(), descriptorOf(t, client)))
	require.NoError(t, err)
	assert.Equal(t, UDP, s.Transport)
	assert.Equal(t, addrPort(t, client.LocalAddr()), s.Local)
	assert.Equal(t, addrPort(t, client.RemoteAddr()), s.Remote)
	assert.True(t, s.Connected())
	assert.False(t, s.Listened)

	s, err = answer(t, r.Ask(self(), descriptorOf(t, server)))
	require.NoError(t, err)
	assert.Equal(t, addrPort(t, server.LocalAddr()), s.Local)
	assert.False(t, s.Connected())
	assert.True(t, s.Listened)
}

func TestUnixSocketsOfThisProcessAreFound(t *testing.T) {
	r := newResolver(t, Options{})
	path := filepath.Join(t.TempDir(), "s")
	listener, client, server := pair(t, "unix", path, "")
	for c, want := range map[any]Socket{
		listener: {Name: path, State: StateListen},
		client:   {State: StateEstablished},
		server:   {Name: path, State: StateEstablished},
	} {
		s, err := answer(t, r.Ask(self(), descriptorOf(t, c)))
		require.NoError(t, err)
		assert.Equal(t, UnixStream, s.Transport)
		assert.Equal(t, want.Name, s.Name)
		assert.Equal(t, want.State, s.State)
		assert.Equal(t, c != listener, s.Connected())
	}
}

func TestDescriptorsOfThisProcessThatLeadNowhere(t *testing.T) {
	r := newResolver(t, Options{})
	netlink, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(netlink) //nolint:errcheck // nothing depends on it
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close() //nolint:errcheck // nothing depends on it
	for fd, want := range map[uint32]error{
		uint32(netlink):   ErrNotListed,
		uint32(null.Fd()): ErrNotSocket,
		1 << 20:           ErrGone,
	} {
		_, err := answer(t, r.Ask(self(), fd))
		assert.ErrorIs(t, err, want)
	}
}

func TestThisProcess(t *testing.T) {
	r := newResolver(t, Options{})
	p, err := r.Process(self())
	require.NoError(t, err)
	assert.Equal(t, r.own, p.NetNS)
	var up unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_BOOTTIME, &up))
	assert.InDelta(t, up.Nano()/1e7, p.Start, 100*60*60, "clock ticks since boot, not long ago")
	_, err = r.Process(1 << 30)
	assert.ErrorIs(t, err, ErrGone)
}

func TestTheScanFindsEveryDescriptor(t *testing.T) {
	r := newResolver(t, Options{})
	listener, client, server := pair(t, "tcp4", "127.0.0.1:0", "")
	duplicate, err := unix.FcntlInt(uintptr(descriptorOf(t, client)), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(duplicate) //nolint:errcheck // nothing depends on it
	found := make(map[uint32]*Socket)
	scan := func(d Descriptor) error {
		if d.PID == self() {
			found[d.FD] = d.Socket
		}
		return nil
	}
	require.NoError(t, r.Scan(t.Context(), 0, scan))
	for _, c := range []any{listener, client, server} {
		assert.Contains(t, found, descriptorOf(t, c))
	}
	require.Contains(t, found, uint32(duplicate))
	assert.Same(t, found[descriptorOf(t, client)], found[uint32(duplicate)])
	assert.Equal(t, addrPort(t, client.LocalAddr()), found[uint32(duplicate)].Local)

	clear(found)
	require.NoError(t, r.Scan(t.Context(), self(), scan))
	assert.Empty(t, found, "this process was to be left out")

	stop := context.Canceled
	assert.ErrorIs(t, r.Scan(t.Context(), 0, func(Descriptor) error { return stop }), stop)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, r.Scan(canceled, 0, scan), context.Canceled)
}

// A socket that is asked for during a reading may be missing from it.
func TestQueriesDuringAReadingAreAnsweredByTheNext(t *testing.T) {
	root := t.TempDir()
	fakeProcess(t, root, 10, 1, 2, nil)
	pipe := filepath.Join(root, "10", "net", "tcp")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	r := newResolver(t, Options{ProcRoot: root, Interval: time.Millisecond})
	serve := func(during func(), text string) {
		f, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits until the resolver reads
		require.NoError(t, err)
		during()
		_, err = f.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	one := inetHeading + inetLine("0100007F:0001", "0200007F:0050", "01", 103)
	var second *Query
	first := r.Ask(10, 3)
	serve(func() { second = r.Ask(10, 4) }, one)
	_, err := answer(t, first)
	require.NoError(t, err)
	serve(func() {}, one+inetLine("0100007F:0002", "0200007F:0050", "01", 104))
	s, err := answer(t, second)
	require.NoError(t, err)
	assert.EqualValues(t, 2, s.Local.Port())
}

func TestSourcesInThisNetworkNamespace(t *testing.T) {
	r := newResolver(t, Options{})
	for remote, want := range map[string]string{
		"127.0.0.1": "127.0.0.1", "127.9.9.9": "127.0.0.1", "::1": "::1", "::ffff:127.0.0.1": "127.0.0.1",
	} {
		got, ok := r.Source(self(), 0, netip.MustParseAddr(remote))
		assert.True(t, ok)
		assert.Equal(t, want, got.String())
	}
	for _, remote := range []netip.Addr{{}, netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		_, ok := r.Source(self(), 0, remote)
		assert.False(t, ok)
	}
	assert.Zero(t, sourcesLookedFor(r))
}

// sourcesLookedFor sums all ways.
func sourcesLookedFor(r *Resolver) (sum uint64) {
	for way := range r.Stats().Sources {
		sum += r.Stats().Sources[way].Load()
	}
	return sum
}

func needPrivilege(t *testing.T) {
	t.Helper()
	testenv.NeedRoot(t, "making network namespaces")
	testenv.NeedProgram(t, "iproute2", "ip")
}

// resident starts a process in a network namespace of its own. The namespace has one interface, with the given addresses and
// prefix lengths and the default routes. The process lives as long as the test.
func resident(t *testing.T, addresses ...string) (pid uint32) {
	t.Helper()
	needPrivilege(t)
	script := "set -e; ip link set lo up; ip link add v0 type veth peer name v1; ip link set v1 up; ip link set v0 up; "
	for _, a := range addresses {
		flag := ""
		if strings.Contains(a, ":") {
			flag = "nodad" // usable at once
		}
		script += fmt.Sprintf("ip addr add %s dev v0 %s; ", a, flag)
	}
	script += "ip route add default dev v0; ip -6 route add default dev v0; echo ready; exec cat"
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, in.Close())
		assert.NoError(t, cmd.Wait())
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return uint32(cmd.Process.Pid)
}

// Two network namespaces have different addresses, and a third has the same ones as the first.
func TestSourcesInOtherNetworkNamespaces(t *testing.T) {
	r := newResolver(t, Options{})
	own, err := threadNetNS()
	require.NoError(t, err)
	first := resident(t, "10.77.0.1/24", "fd77::1/64")
	second := resident(t, "10.77.0.2/24", "fd77::2/64")
	third := resident(t, "10.77.0.1/24", "fd77::1/64")
	netns := make(map[uint32]bool)
	for pid, want := range map[uint32][2]string{
		first:  {"10.77.0.1", "fd77::1"},
		second: {"10.77.0.2", "fd77::2"},
		third:  {"10.77.0.1", "fd77::1"},
	} {
		p, err := r.Process(pid)
		require.NoError(t, err)
		netns[p.NetNS] = true
		for i, remote := range []string{"192.0.2.9", "2001:db8::9"} {
			got, ok := r.Source(pid, p.NetNS, netip.MustParseAddr(remote))
			require.True(t, ok, remote)
			assert.Equal(t, want[i], got.String())
		}
		got, ok := r.Source(pid, p.NetNS, netip.MustParseAddr(want[0]))
		require.True(t, ok, "itself")
		assert.Equal(t, want[0], got.String())
	}
	assert.Len(t, netns, 3)
	assert.EqualValues(t, 9, r.Stats().Sources[SourceEntered].Load())
	assert.Zero(t, r.Stats().Sources[SourceGuarded].Load())
	for range 100 {
		now, err := threadNetNS()
		require.NoError(t, err)
		assert.Equal(t, own, now, "no thread has stayed in another network namespace")
	}
	before := sourcesLookedFor(r)
	p, err := r.Process(first)
	require.NoError(t, err)
	_, ok := r.Source(1<<30, p.NetNS, netip.MustParseAddr("192.0.2.9"))
	assert.True(t, ok, "it is remembered, whoever asks")
	assert.Equal(t, before, sourcesLookedFor(r))
	_, ok = r.Source(1<<30, p.NetNS, netip.MustParseAddr("192.0.2.10"))
	assert.True(t, ok, "the process has ended, but another lives in its network namespace")
}

func TestEachNetworkNamespaceIsEnteredOnce(t *testing.T) {
	own, err := threadNetNS()
	require.NoError(t, err)
	r := newResolver(t, Options{})
	want := []uint32{own}
	for range 2 {
		p, err := r.Process(resident(t))
		require.NoError(t, err)
		want = append(want, p.NetNS)
	}
	var got []uint32
	err = EachNetNS(func(netns uint32) error {
		now, err := threadNetNS()
		assert.Equal(t, now, netns, "it is where the thread is")
		got = append(got, netns)
		return err
	})
	if err != nil { // some cannot be read, such as that of process 1 in a sandbox
		require.ErrorIs(t, err, fs.ErrPermission)
	}
	assert.Subset(t, got, want)
	slices.Sort(got)
	assert.Equal(t, slices.Compact(slices.Clone(got)), got)
	now, err := threadNetNS()
	require.NoError(t, err)
	assert.Equal(t, own, now)
}

func TestOneNetworkNamespaceThatFailsDoesNotHideTheOthers(t *testing.T) {
	resident(t)
	calls := 0
	err := EachNetNS(func(uint32) error { calls++; return unix.EPERM })
	assert.ErrorIs(t, err, unix.EPERM)
	assert.ErrorContains(t, err, "network namespaces, the first")
	assert.Greater(t, calls, 1)
}

func TestThreadsOfThisProcess(t *testing.T) {
	threads, err := Threads()
	require.NoError(t, err)
	assert.True(t, slices.ContainsFunc(threads, func(one Thread) bool { return one.TID == self() }))
}

func TestProcessesOfThisHost(t *testing.T) {
	pids, err := Processes()
	require.NoError(t, err)
	assert.Contains(t, pids, self())
	assert.False(t, HasEnded(self()))
	assert.True(t, HasEnded(1<<30))
	executable, err := Executable(self())
	require.NoError(t, err)
	want, err := os.Executable()
	require.NoError(t, err)
	assert.Equal(t, want, executable)
}

func TestWhatADescriptorLeadsTo(t *testing.T) {
	listener, _, _ := pair(t, "tcp4", "127.0.0.1:0", "")
	assert.True(t, LeadsToSocket(self(), descriptorOf(t, listener)))
	file, err := os.Open(os.DevNull)
	require.NoError(t, err)
	assert.False(t, LeadsToSocket(self(), uint32(file.Fd())))
	require.NoError(t, file.Close())
	assert.False(t, LeadsToSocket(self(), 1<<30))
	assert.False(t, LeadsToSocket(1<<30, 0))
}

// The file of the namespace is not one of a network namespace, so that setns fails.
func TestTheSourceWhereTheNamespaceMayNotBeEntered(t *testing.T) {
	for name, test := range map[string]struct {
		table string
		want  string
	}{
		"one address":       {fibTrie, "192.0.2.2"},
		"several addresses": {fibTrie + "     |-- 192.0.2.3\n        /32 host LOCAL\n", "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			file := filepath.Join(root, "file")
			require.NoError(t, os.WriteFile(file, nil, 0o600))
			var stat unix.Stat_t
			require.NoError(t, unix.Stat(file, &stat))
			netns := uint32(stat.Ino)
			fakeProcess(t, root, 10, int(netns), 0, map[string]string{"fib_trie": test.table})
			require.NoError(t, os.Rename(file, filepath.Join(root, "10", "ns", fmt.Sprintf("net:[%d]", netns))))
			r := newResolver(t, Options{ProcRoot: root})
			got, ok := r.Source(10, netns, netip.MustParseAddr("198.51.100.1"))
			assert.Equal(t, test.want, got.String())
			assert.Equal(t, got.IsValid(), ok)
			assert.EqualValues(t, 1, r.Stats().Sources[SourceGuarded].Load())
		})
	}
}

func BenchmarkAsk(b *testing.B) {
	r := newResolver(b, Options{Interval: 1})
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(b, err)
	defer listener.Close() //nolint:errcheck // nothing depends on it
	raw, err := listener.(*net.TCPListener).SyscallConn()
	require.NoError(b, err)
	var fd uint32
	require.NoError(b, raw.Control(func(number uintptr) { fd = uint32(number) }))
	b.ReportAllocs()
	for b.Loop() {
		<-r.Ask(self(), fd).Done()
	}
}
