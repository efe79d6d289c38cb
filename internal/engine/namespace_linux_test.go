//go:build amd64 || arm64

package engine_test

import (
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// inNetNS calls f in a network namespace of its own, in which the loopback interface is up. Sockets that f makes stay there.
func inNetNS(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { // the thread ends with the goroutine, because it stays locked
		defer close(done)
		runtime.LockOSThread()
		if !assert.NoError(t, unix.Unshare(unix.CLONE_NEWNET)) || !assert.NoError(t, setLoopback(true)) {
			return
		}
		f()
	}()
	<-done
}

// setLoopback sets the loopback interface of the calling thread's network namespace up or down.
func setLoopback(up bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if up {
		request.SetUint16(unix.IFF_UP)
	}
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// setSysctl writes a parameter of the calling thread's network namespace.
func setSysctl(t *testing.T, name, value string) {
	t.Helper()
	assert.NoError(t, os.WriteFile("/proc/sys/net/"+name, []byte(value), 0))
}

// family is how a TCP socket is addressed: IPv4, IPv6, or IPv4 through an IPv6 socket.
type family struct {
	domain   int
	listener unix.Sockaddr
	loopback unix.Sockaddr // without a port
}

var families = map[string]family{
	"IPv4":   {unix.AF_INET, &unix.SockaddrInet4{}, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}},
	"IPv6":   {unix.AF_INET6, &unix.SockaddrInet6{}, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}},
	"mapped": {unix.AF_INET6, &unix.SockaddrInet6{}, &unix.SockaddrInet6{Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}}},
}

// listen returns a listener, and the address at which it is reached.
func (f family) listen(t *testing.T) (int, unix.Sockaddr) {
	t.Helper()
	fd := f.socket(t)
	require.NoError(t, unix.Bind(fd, f.listener))
	require.NoError(t, unix.Listen(fd, 8))
	name, err := unix.Getsockname(fd)
	require.NoError(t, err)
	switch bound := name.(type) {
	case *unix.SockaddrInet4:
		to := *f.loopback.(*unix.SockaddrInet4)
		to.Port = bound.Port
		return fd, &to
	case *unix.SockaddrInet6:
		to := *f.loopback.(*unix.SockaddrInet6)
		to.Port = bound.Port
		return fd, &to
	}
	return fd, nil
}

// addressOf is an address and its port, as spans have them.
func addressOf(a unix.Sockaddr) string {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr).String() + " " + strconv.Itoa(a.Port)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr).Unmap().String() + " " + strconv.Itoa(a.Port)
	}
	return ""
}

func (f family) socket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(f.domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	return fd
}

// connected returns both ends of a connection.
func (f family) connected(t *testing.T) (client, server int) {
	t.Helper()
	listener, to := f.listen(t)
	defer closeAll(t, listener)
	client = f.socket(t)
	require.NoError(t, unix.Connect(client, to))
	server, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	require.NoError(t, err)
	return client, server
}

func closeAll(t *testing.T, fds ...int) {
	t.Helper()
	for _, fd := range fds {
		assert.NoError(t, unix.Close(fd))
	}
}
