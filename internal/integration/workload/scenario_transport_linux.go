//go:build amd64 || arm64

package workload

import (
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// temporaryPaths counts the temporary paths of this process.
var temporaryPaths atomic.Int64

func unixSocket() int {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(err)
	return fd
}

func unixListener(on *unix.SockaddrUnix) int {
	fd := unixSocket()
	check(unix.Bind(fd, on))
	check(unix.Listen(fd, 16))
	return fd
}

func unixConnected(to *unix.SockaddrUnix) int {
	fd := unixSocket()
	check(retry(func() error { return unix.Connect(fd, to) }))
	return fd
}

// unixParties are parties over a Unix socket. The server has the name, if there is one.
func unixParties(step, name string, client, server int) (*party, *party) {
	c, s := parties(step, client, server)
	c.flow.Transport, c.flow.RemoteName = Unix, name
	s.flow.Transport, s.flow.LocalName = Unix, name
	return c, s
}

// unixPath has connections over a Unix socket with a path.
//
// Steps: "path: client", "path: server".
func unixPath(n *notes, _ []string) {
	path := temporaryPath()
	named(n, "path", path, &unix.SockaddrUnix{Name: path})
	check(os.Remove(path))
}

// unixAbstract has connections over a Unix socket with a name in the abstract namespace, which x/sys too writes with an @.
//
// Steps: "abstract: client", "abstract: server".
func unixAbstract(n *notes, _ []string) {
	name := "@scenario/" + strconv.Itoa(os.Getpid())
	named(n, "abstract", name, &unix.SockaddrUnix{Name: name})
}

func named(n *notes, step, name string, on *unix.SockaddrUnix) {
	l := unixListener(on)
	for range 2 {
		c, s := unixParties(step, name, unixConnected(on), acceptAddress(l))
		makeRequests(c, s, 2)
		part(c, s)
		n.flows(c, s)
	}
}

// unixPair has a conversation over a socketpair. The calls that made it make neither end the server.
//
// Steps: "pair: client", "pair: server": who asks and who answers.
func unixPair(n *notes, _ []string) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(err)
	c, s := unixParties("pair", "", pair[0], pair[1])
	makeRequests(c, s, 2)
	part(c, s)
	n.flows(c, s)
}

// udpParty is a flow between a socket and one remote address.
func udpParty(step string, role Role, fd int, local, remote netip.AddrPort) *party {
	p := newParty(step, role, fd)
	p.flow.Transport, p.flow.Local, p.flow.Remote = UDP, local, remote
	return p
}

// boundUDP is a datagram socket with an address.
func boundUDP() (int, netip.AddrPort) {
	fd := udpSocket()
	check(unix.Bind(fd, sockaddr(anyV4)))
	return fd, localAddr(fd)
}

// udpConnected sends datagrams between two sockets that are connected to each other.
//
// Steps: "connected: client" (sends first), "connected: server".
func udpConnected(n *notes, _ []string) {
	client, clientAddr := boundUDP()
	server, serverAddr := boundUDP()
	check(unix.Connect(client, sockaddr(serverAddr)))
	check(unix.Connect(server, sockaddr(clientAddr)))
	c := udpParty("connected: client", Client, client, clientAddr, serverAddr)
	s := udpParty("connected: server", Server, server, serverAddr, clientAddr)
	for i := range 4 {
		c.send(payload[:10+i])
		s.receive(10 + i)
		s.send(payload[:20+i])
		c.receive(20 + i)
	}
	c.close()
	s.close()
	n.flows(c, s)
}

// udpMessages sends datagrams between unconnected sockets, in each way: a server has a flow with each client.
//
// Steps, of client and server: "sendto", "sendmsg", "sendmmsg".
func udpMessages(n *notes, _ []string) {
	server, serverAddr := boundUDP()
	for _, form := range [...]struct {
		step    string
		send    func(fd int, to netip.AddrPort, data ...[]byte) (int, error)
		receive func(fd int, data ...[]byte) (int, error)
	}{
		{"sendto", sendEach(sendToOne), receiveEach(receiveFromOne)},
		{"sendmsg", sendEach(sendMessageTo), receiveEach(receiveMessage)},
		{"sendmmsg", func(fd int, to netip.AddrPort, data ...[]byte) (int, error) {
			raw := rawInet4(to)
			return messages(unix.SYS_SENDMMSG, fd, &raw, data...)
		}, func(fd int, data ...[]byte) (int, error) {
			var from unix.RawSockaddrInet4
			return messages(unix.SYS_RECVMMSG, fd, &from, data...)
		}},
	} {
		client, clientAddr := boundUDP()
		c := udpParty(form.step+": client", Client, client, clientAddr, serverAddr)
		s := udpParty(form.step+": server", Server, server, serverAddr, clientAddr)
		for range 3 {
			datagrams(c, s, form.send, form.receive)
			datagrams(s, c, form.send, form.receive)
		}
		c.close()
		n.flows(c, s)
	}
	check(unix.Close(server))
}

// datagrams go from one to the other, three at a time.
func datagrams(from, to *party, send func(fd int, to netip.AddrPort, data ...[]byte) (int, error),
	receive func(fd int, data ...[]byte) (int, error),
) {
	all := [][]byte{payload[:100], payload[:200], payload[:300]}
	sent, err := send(from.fd, to.flow.Local, all...)
	check(err)
	from.flow.Sent += uint64(sent)
	received, err := receive(to.fd, make([]byte, 100), make([]byte, 200), make([]byte, 300))
	check(err)
	to.flow.Received += uint64(received)
	if sent != 600 || received != 600 {
		check(unix.EMSGSIZE)
	}
}

func sendEach(send func(fd int, to netip.AddrPort, data []byte) (int, error)) func(int, netip.AddrPort, ...[]byte) (int, error) {
	return func(fd int, to netip.AddrPort, data ...[]byte) (total int, err error) {
		for _, d := range data {
			n, err := send(fd, to, d)
			if err != nil {
				return total, err
			}
			total += n
		}
		return total, nil
	}
}

func receiveEach(receive func(fd int, data []byte) (int, error)) func(int, ...[]byte) (int, error) {
	return func(fd int, data ...[]byte) (total int, err error) {
		for _, d := range data {
			n, err := receive(fd, d)
			if err != nil {
				return total, err
			}
			total += n
		}
		return total, nil
	}
}

func sendToOne(fd int, to netip.AddrPort, data []byte) (int, error) {
	return len(data), unix.Sendto(fd, data, 0, sockaddr(to))
}

func receiveFromOne(fd int, data []byte) (int, error) {
	n, _, err := unix.Recvfrom(fd, data, 0)
	return n, err
}

func sendMessageTo(fd int, to netip.AddrPort, data []byte) (int, error) {
	return unix.SendmsgN(fd, data, nil, sockaddr(to), 0)
}

func receiveMessage(fd int, data []byte) (int, error) {
	n, _, _, _, err := unix.Recvmsg(fd, data, nil, 0)
	return n, err
}

// rawInet4 is an address as the kernel has it: the port is in the network's order.
func rawInet4(a netip.AddrPort) unix.RawSockaddrInet4 {
	raw := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr().As4()}
	port := (*[2]byte)(unsafe.Pointer(&raw.Port))
	port[0], port[1] = byte(a.Port()>>8), byte(a.Port())
	return raw
}
