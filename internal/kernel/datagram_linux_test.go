//go:build amd64 || arm64

package kernel

import (
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketflow/socketflow/internal/event"
)

// udpSocket is a UDP socket on loopback.
type udpSocket struct {
	t    *testing.T
	fd   int
	addr *unix.SockaddrInet4
}

func newUDPSocket(t *testing.T) *udpSocket {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { must(t, unix.Close(fd)) })
	must(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	name, err := unix.Getsockname(fd)
	must(t, err)
	return &udpSocket{t, fd, name.(*unix.SockaddrInet4)}
}

func (p *udpSocket) addrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(p.addr.Addr), uint16(p.addr.Port))
}

func (p *udpSocket) sendTo(to *udpSocket, bytes int) {
	must(p.t, unix.Sendto(p.fd, make([]byte, bytes), 0, to.addr))
}

func (p *udpSocket) receive(want int) {
	p.t.Helper()
	n, _, err := unix.Recvfrom(p.fd, make([]byte, 2000), 0)
	if n != want || err != nil {
		p.t.Fatalf("received %d bytes, want %d: %v", n, want, err)
	}
}

// count is what a flow is to have carried.
type carried struct {
	local, remote           netip.AddrPort
	role                    event.Role
	sent, received          uint64 // bytes
	datagramsOut, datagrams uint32
}

func TestDatagrams(t *testing.T) {
	nobody := netip.AddrPort{}
	cases := map[string]func(a, b *udpSocket) []carried{
		"sendto, recvfrom, both ways": func(a, b *udpSocket) []carried {
			a.sendTo(b, 100)
			b.receive(100)
			b.sendTo(a, 200)
			b.sendTo(a, 1)
			a.receive(200)
			a.receive(1)
			return []carried{
				{a.addrPort(), b.addrPort(), event.RoleClient, 100, 201, 1, 2},
				{b.addrPort(), a.addrPort(), event.RoleServer, 201, 100, 2, 1},
			}
		},
		"connected sockets, write and read": func(a, b *udpSocket) []carried {
			must(a.t, errors.Join(unix.Connect(a.fd, b.addr), unix.Connect(b.fd, a.addr)))
			n, err := unix.Write(a.fd, make([]byte, 10))
			if n != 10 || err != nil {
				a.t.Fatal(n, err)
			}
			n, err = unix.Read(b.fd, make([]byte, 2000))
			if n != 10 || err != nil {
				a.t.Fatal(n, err)
			}
			return []carried{
				{a.addrPort(), b.addrPort(), event.RoleClient, 10, 0, 1, 0},
				{b.addrPort(), a.addrPort(), event.RoleServer, 0, 10, 0, 1},
			}
		},
		"sendmsg, recvmsg": func(a, b *udpSocket) []carried {
			must(a.t, unix.Sendmsg(a.fd, make([]byte, 10), nil, b.addr, 0))
			n, _, _, _, err := unix.Recvmsg(b.fd, make([]byte, 2000), nil, 0)
			if n != 10 || err != nil {
				a.t.Fatal(n, err)
			}
			return []carried{
				{a.addrPort(), b.addrPort(), event.RoleClient, 10, 0, 1, 0},
				{b.addrPort(), a.addrPort(), event.RoleServer, 0, 10, 0, 1},
			}
		},
		"sendmmsg, recvmmsg with two senders": func(a, b *udpSocket) []carried {
			c := newUDPSocket(a.t)
			w := &wire{t: a.t}
			parts := iovecs(make([]byte, 10))
			to := rawAddress(b.addr)
			send := func(from *udpSocket, n int) {
				batch := make([]mmsghdr, n)
				for i := range batch {
					batch[i].header = message(parts)
					batch[i].header.Name, batch[i].header.Namelen = &to[0], uint32(len(to))
				}
				w.syscall(n, unix.SYS_SENDMMSG, uintptr(from.fd), pointer(&batch[0]), uintptr(n), 0)
			}
			send(a, 2)
			send(c, 1)
			var names [3][16]byte
			batch := make([]mmsghdr, 3)
			room := iovecs(make([]byte, 100))
			for i := range batch {
				batch[i].header = message(room)
				batch[i].header.Name, batch[i].header.Namelen = &names[i][0], 16
			}
			w.syscall(3, unix.SYS_RECVMMSG, uintptr(b.fd), pointer(&batch[0]), 3, 0, 0)
			runtime.KeepAlive(parts)
			return []carried{
				{a.addrPort(), b.addrPort(), event.RoleClient, 20, 0, 2, 0},
				{c.addrPort(), b.addrPort(), event.RoleClient, 10, 0, 1, 0},
				{b.addrPort(), a.addrPort(), event.RoleServer, 0, 20, 0, 2},
				{b.addrPort(), c.addrPort(), event.RoleServer, 0, 10, 0, 1},
			}
		},
		"from whom is not known where nobody asks": func(a, b *udpSocket) []carried {
			a.sendTo(b, 5)
			n, err := unix.Read(b.fd, make([]byte, 2000))
			if n != 5 || err != nil {
				a.t.Fatal(n, err)
			}
			return []carried{
				{a.addrPort(), b.addrPort(), event.RoleClient, 5, 0, 1, 0},
				{b.addrPort(), nobody, event.RoleServer, 0, 5, 0, 1},
			}
		},
	}
	eachAttachment(t, func(t *testing.T, tracer *SocketTracer) {
		for name, do := range cases {
			t.Run(name, func(t *testing.T) {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				a, b := newUDPSocket(t), newUDPSocket(t)
				want := do(a, b)
				for range 2 { // what has ended is emitted once
					_, err := tracer.Datagrams(t.Context())
					must(t, err)
				}

				ours := func(f *event.Flow) bool {
					return slices.ContainsFunc(want, func(c carried) bool { return c.local == f.Local })
				}
				opened, closed := map[uint64]event.Flow{}, []carried{}
				reader := tracer.Readers()[0]
				reader.SetDeadline(time.Now().Add(time.Millisecond))
				for {
					var e event.Event
					err := reader.Next(&e)
					if errors.Is(err, ErrIdle) {
						break
					}
					must(t, err)
					switch {
					case e.Flow.Transport != event.UDP || !ours(&e.Flow):
					case e.Kind == event.KindOpen:
						if _, again := opened[e.Flow.Cookie]; again {
							t.Errorf("opened again: %+v", e.Flow)
						}
						opened[e.Flow.Cookie] = e.Flow
					case e.Kind == event.KindClose:
						if opened[e.Flow.Cookie] != e.Flow || e.Time < e.Started {
							t.Errorf("closed %+v, opened %+v", e, opened[e.Flow.Cookie])
						}
						remote := e.Flow.Remote
						if remote.Port() == 0 {
							remote = nobody
						}
						closed = append(closed, carried{
							e.Flow.Local, remote, e.Flow.Role, e.Ending.BytesSent, e.Ending.BytesReceived,
							e.Ending.SegmentsSent, e.Ending.SegmentsReceived,
						})
					}
				}
				if len(closed) != len(want) {
					t.Errorf("%d flows, want %d", len(closed), len(want))
				}
				for _, c := range want {
					if !slices.Contains(closed, c) {
						t.Errorf("no flow %+v in %+v", c, closed)
					}
				}
			})
		}
	})
}

func rawAddress(a *unix.SockaddrInet4) []byte {
	return []byte{unix.AF_INET, 0, byte(a.Port >> 8), byte(a.Port), a.Addr[0], a.Addr[1], a.Addr[2], a.Addr[3], 0, 0, 0, 0, 0, 0, 0, 0}
}
