package procfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// needDiag fails the test where sock_diag is refused for another reason than a kernel without it.
func needDiag(t *testing.T) {
	t.Helper()
	require.NoError(t, ListsSockets())
}

// sockets opens one of each kind that the listings tell apart, and returns their inodes.
func sockets(t *testing.T) map[uint64]bool {
	t.Helper()
	inodes := map[uint64]bool{}
	add := func(c any) {
		inode, err := socketInode(mountPoint, self(), descriptorOf(t, c))
		require.NoError(t, err)
		inodes[inode] = true
	}
	dir := t.TempDir()
	for _, kind := range []struct{ network, listenOn string }{
		{"tcp4", "127.0.0.1:0"}, {"tcp4", ":0"}, {"tcp6", "[::1]:0"}, {"tcp", "[::]:0"},
		{"unix", filepath.Join(dir, "named")}, {"unix", "@socketflow-test-" + filepath.Base(dir)},
	} {
		listener, client, server := pair(t, kind.network, kind.listenOn, map[bool]string{true: "127.0.0.1"}[kind.listenOn == "[::]:0" || kind.listenOn == ":0"])
		for _, c := range []any{listener, client, server} {
			add(c)
		}
	}
	for _, bound := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		at, err := net.ListenPacket("udp", bound)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, at.Close()) })
		add(at)
	}
	to, err := net.Dial("udp", "127.0.0.1:9")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, to.Close()) })
	add(to)
	pairFDs, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	for _, fd := range pairFDs {
		t.Cleanup(func() { assert.NoError(t, unix.Close(fd)) })
		inode, err := socketInode(mountPoint, self(), uint32(fd))
		require.NoError(t, err)
		inodes[inode] = true
	}
	return inodes
}

func TestSockDiagAndTheTablesListTheSameSockets(t *testing.T) {
	needDiag(t)
	inodes := sockets(t)
	netns, err := threadNetNS()
	require.NoError(t, err)
	wanted := func(inode uint64) bool { return inodes[inode] }
	byTables, byDiag := newReading(netns, wanted), newReading(netns, wanted)
	require.NoError(t, byTables.all(path(mountPoint, self(), "net")))
	netlink, err := openDiag()
	require.NoError(t, err)
	defer unix.Close(netlink) //nolint:errcheck // of no use any more
	require.NoError(t, byDiag.diag(netlink))
	require.Len(t, byDiag.found, len(inodes), "missing: %v", slices.DeleteFunc(slices.Collect(maps.Keys(inodes)), func(inode uint64) bool {
		_, found := byDiag.found[inode]
		return found
	}))
	require.Equal(t, byTables.found, byDiag.found)
}

func TestSockDiagListsTheNetworkNamespaceOfItsThread(t *testing.T) {
	needDiag(t)
	var found map[uint64]Socket
	require.NoError(t, onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(listener) //nolint:errcheck // of no use any more
		netlink, err := openDiag()
		if err != nil {
			return err
		}
		defer unix.Close(netlink) //nolint:errcheck // of no use any more
		if err := errors.Join(unix.Bind(listener, &unix.SockaddrInet4{Port: 0x0102}), unix.Listen(listener, 1)); err != nil {
			return err
		}
		g := newReading(1, all)
		found = g.found
		return g.diag(netlink)
	}))
	require.Len(t, found, 1, "and none of the host's")
	for _, s := range found {
		assert.Equal(t, StateListen, s.State)
		assert.Equal(t, netip.MustParseAddrPort("0.0.0.0:258"), s.Local)
	}
}

func TestOtherNetworkNamespacesAreListedBySockDiag(t *testing.T) {
	needDiag(t)
	r := newResolver(t, Options{})
	pid := resident(t, "10.77.0.9/24", "fd77::9/64")
	p, err := r.Process(pid)
	require.NoError(t, err)
	_, err = r.readTables(p.NetNS, pid, all)
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Stats().Listings.Load())
	require.Zero(t, r.Stats().Readings.Load())
}

func TestTablesAreReadWhereSockDiagIsRefused(t *testing.T) {
	_, client, server := pair(t, "tcp4", "127.0.0.1:0", "")
	r := newResolver(t, Options{Interval: time.Millisecond})
	require.False(t, r.noticeDiag(&diagRefusal{unix.ENOENT}))
	for _, c := range []net.Conn{client, server} {
		s, err := answer(t, r.Ask(self(), descriptorOf(t, c)))
		require.NoError(t, err)
		require.Equal(t, addrPort(t, c.LocalAddr()), s.Local)
	}
	require.Zero(t, r.Stats().Listings.Load())
	require.Positive(t, r.Stats().Readings.Load())
}

func TestAnswersOfSockDiagThatAreInterruptedAreAskedForAgain(t *testing.T) {
	r := newResolver(t, Options{})
	require.False(t, r.noticeDiag(errDiagInterrupted))
	require.True(t, r.listsByDiag())
}

// message is one of netlink.
func message(kind, flags uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(b, make([]byte, 8)...)
	b = append(b, body...)
	return append(b, make([]byte, -len(b)&3)...)
}

func TestMalformedAnswersOfSockDiagAreErrors(t *testing.T) {
	inet, local := &diagDumps[0], &diagDumps[4]
	of := func(kind uint16, body ...byte) []byte { return message(kind, 0, body) }
	unixBody := make([]byte, sizeofUnixDiagMsg)
	unixBody[1] = unix.SOCK_STREAM
	binary.NativeEndian.PutUint32(unixBody[4:], 7)
	errno := binary.NativeEndian.AppendUint32(nil, uint32(1<<32-int64(syscall.ENOENT)))
	for name, test := range map[string]struct {
		dump *diagDump
		b    []byte
		want error
	}{
		"a cut header":                    {inet, of(unix.NLMSG_DONE)[:10], errDiagMalformed},
		"a length beyond what was read":   {inet, binary.NativeEndian.AppendUint32(nil, 1000), errDiagMalformed},
		"a length below its own":          {inet, append(binary.NativeEndian.AppendUint32(nil, 4), make([]byte, 12)...), errDiagMalformed},
		"a socket that is cut":            {inet, of(unix.SOCK_DIAG_BY_FAMILY, make([]byte, 71)...), errDiagMalformed},
		"another kind of message":         {inet, of(99), errDiagMalformed},
		"a Unix socket that is cut":       {local, of(unix.SOCK_DIAG_BY_FAMILY, make([]byte, 15)...), errDiagMalformed},
		"an attribute that is too long":   {local, of(unix.SOCK_DIAG_BY_FAMILY, append(unixBody[:16:16], 99, 0, 0, 0)...), errDiagMalformed},
		"an attribute without a length":   {local, of(unix.SOCK_DIAG_BY_FAMILY, append(unixBody[:16:16], 0, 0, 0, 0)...), errDiagMalformed},
		"an error that is cut":            {inet, of(unix.NLMSG_ERROR, 1, 2), errDiagMalformed},
		"an error":                        {inet, of(unix.NLMSG_ERROR, errno...), unix.ENOENT},
		"an error at the end":             {inet, of(unix.NLMSG_DONE, errno...), unix.ENOENT},
		"a list that changed meanwhile":   {inet, message(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP_INTR, make([]byte, 72)), errDiagInterrupted},
		"a whole end":                     {inet, of(unix.NLMSG_DONE), nil},
		"a Unix socket without more data": {local, append(of(unix.SOCK_DIAG_BY_FAMILY, unixBody...), of(unix.NLMSG_DONE)...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			done, err := newReading(1, all).messages(test.dump, test.b)
			require.ErrorIs(t, err, test.want)
			if test.want == nil {
				require.True(t, done)
			}
		})
	}
}

// TestALackOfMemoryOrDescriptorsIsNoRefusal: sock_diag is asked again.
func TestALackOfMemoryOrDescriptorsIsNoRefusal(t *testing.T) {
	for err, again := range map[error]bool{
		unix.EMFILE: true, unix.ENFILE: true, unix.ENOMEM: true, unix.ENOBUFS: true, unix.EAGAIN: true, errDiagInterrupted: true,
		unix.ENOENT: false, unix.EACCES: false, unix.EPERM: false, unix.EPROTONOSUPPORT: false, errDiagMalformed: false,
	} {
		r, failed := New(Options{})
		require.NoError(t, failed)
		require.False(t, r.noticeDiag(refused(fmt.Errorf("ask: %w", err))))
		require.Equal(t, again, r.listsByDiag(), "%v", err)
		r.Close()
	}
}

func FuzzSockDiag(f *testing.F) {
	body := make([]byte, sizeofInetDiagMsg)
	body[0], body[68] = unix.AF_INET6, 1
	f.Add(message(unix.SOCK_DIAG_BY_FAMILY, 0, body), false)
	f.Add(message(unix.SOCK_DIAG_BY_FAMILY, 0, []byte{1, 1, 10, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 'a', 'b', 'c'}), true)
	f.Fuzz(func(t *testing.T, b []byte, local bool) {
		d := &diagDumps[0]
		if local {
			d = &diagDumps[4]
		}
		g := newReading(1, all)
		_, _ = g.messages(d, b)
		require.LessOrEqual(t, len(g.found), len(b)/(unix.SizeofNlMsghdr+sizeofUnixDiagMsg))
	})
}

func TestNamesOfUnixSocketsAreThoseOfTheTable(t *testing.T) {
	for name, want := range map[string]string{
		"/run/a.sock\x00": "/run/a.sock", "\x00abstract": "@abstract", "\x00a\x00b\x00": "@a@b@", "\xff\x00": "\uFFFD",
	} {
		assert.Equal(t, want, diagName([]byte(name)))
	}
}
